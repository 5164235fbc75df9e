"""The supervisor, with everything real: it starts, survives, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]
import pytest
from arenamesh.client import Backoff, ExperienceAward, connect
from arenamesh.client.errors import Unavailable

from services.mesh import probes
from services.mesh.ports import LOOPBACK
from tests.e2e.conftest import FRAGILE, Rest, bearer
from tests.support.mesh import (
    DEADLINE_S,
    PORTS,
    START_S,
    Supervisor,
    command,
    environment,
    supervised,
    token,
)


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=START_S,
        check=False,
    )


@pytest.fixture
async def calls(fragile: Supervisor) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession() as session:
        yield Rest(session, f"{fragile.url}/api/v1/combat")


async def reachable_again(rest: Rest, sessions: list[str]) -> None:
    """Until every one of the sessions answers."""

    async def all_answer() -> bool:
        try:
            return all([(await rest("GET", f"/sessions/{session}"))[0] == 200 for session in sessions])
        except aiohttp.ClientError:
            return False

    async with asyncio.timeout(DEADLINE_S):
        await probes.until(all_answer)


async def created_again(rest: Rest) -> str:
    """A new session, as soon as a worker takes one: until it is sure of its own it says UNAVAILABLE."""
    created: list[str] = []

    async def taken() -> bool:
        session = {"name": "again", "type": "SESSION_TYPE_TRAINING"}
        status, answer = await rest("POST", "/sessions", {"session": session})
        assert status in (200, 503), answer
        if status == 200:
            created.append(answer["session"]["session_id"])
        return bool(created)

    async with asyncio.timeout(DEADLINE_S):
        await probes.until(taken)
    return created[0]


async def steal(port: int) -> socket.socket:
    """Listens on a port as soon as its owner is gone."""
    thief = socket.socket()
    thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    async def taken() -> bool:
        try:
            thief.bind((LOOPBACK, port))
        except OSError:
            return False
        thief.listen()
        return True

    async with asyncio.timeout(DEADLINE_S):
        await probes.until(taken)
    return thief


@pytest.mark.parametrize("victim", ["w0", "w1", "progression", "envoy", "redis", "postgres"])
async def test_a_killed_part_comes_back_and_the_mesh_works_again(
    fragile: Supervisor, calls: Rest, victim: str
) -> None:
    sessions = [await calls.create(name=f"before {victim} {index}") for index in range(8)]
    before = fragile.part(victim)
    os.kill(before["pid"], signal.SIGKILL)
    told = fragile.until("part", where=lambda event: event["part"] == victim)
    assert told["state"] == "waiting"
    assert "SIGKILL" in told["reason"]
    fragile.until("part", where=lambda event: event["part"] == victim and event["state"] == "running")
    after = fragile.part(victim)
    assert after["pid"] != before["pid"]
    assert after["restarts"] > before["restarts"]
    await reachable_again(calls, sessions)
    await reachable_again(calls, [await created_again(calls) for _ in range(8)])


async def test_a_watch_goes_on_when_its_process_dies(fragile: Supervisor) -> None:
    # On a full machine a process takes a while to start.
    patient = Backoff(first_s=0.1, max_s=0.5, attempts=200)
    async with connect(
        fragile.target, token=partial(token, "server-1", "game_server"), backoff=patient
    ) as client:
        one = ExperienceAward(character_id="survivor", source="test.award", experience=10)
        await client.progression.award(one)
        told = []
        async with (
            asyncio.timeout(DEADLINE_S),
            aclosing(client.progression.watch_progress("survivor")) as watch,
        ):
            async for answer in watch:
                told.append((answer.progress.version, answer.progress.base.experience))
                if len(told) == 4:
                    break
                if len(told) == 2:
                    os.kill(fragile.part("progression")["pid"], signal.SIGKILL)
                await client.progression.award(one)
        assert told == [(2, "10"), (3, "20"), (4, "30"), (5, "40")]
    fragile.until("part", where=lambda event: event["part"] == "progression" and event["state"] == "running")


async def test_a_worker_whose_port_was_taken_moves(fragile: Supervisor, calls: Rest) -> None:
    worker = fragile.part("w0")
    endpoints = fragile.data / "edge" / "endpoints" / "combat.yaml"
    before = endpoints.read_text()
    connections = psutil.Process(worker["pid"]).net_connections("tcp")
    ports = [entry.laddr.port for entry in connections if entry.status == psutil.CONN_LISTEN]
    assert len(ports) == 2
    # Held still, so that it cannot start the worker again before the ports are stolen.
    fragile.process.send_signal(signal.SIGSTOP)
    thieves: list[socket.socket] = []
    try:
        os.kill(worker["pid"], signal.SIGKILL)
        thieves = [await steal(port) for port in ports]
        fragile.process.send_signal(signal.SIGCONT)
        fragile.until("part", where=lambda event: event["part"] == "w0" and event["state"] == "running")
        assert endpoints.read_text() != before
        await reachable_again(calls, [await calls.create() for _ in range(8)])
    finally:
        fragile.process.send_signal(signal.SIGCONT)
        for thief in thieves:
            thief.close()


def test_a_second_mesh_on_the_same_data_is_refused(fragile: Supervisor) -> None:
    result = run("up", "--data", fragile.data, "--port", str(PORTS.free()), "--no-bots", "--no-web")
    assert result.returncode == 1
    assert f"A mesh is already running on {fragile.data} (process {fragile.process.pid}" in result.stderr
    assert "scripts/down" in result.stderr


def test_a_taken_port_says_by_which_option_to_change_it(fragile: Supervisor, tmp_path: Path) -> None:
    result = run("up", "--data", tmp_path, "--port", str(fragile.port), "--no-bots", "--no-web")
    assert result.returncode == 1
    assert f"Port {fragile.port} is taken." in result.stderr
    assert f"scripts/up --port {fragile.port + 1}" in result.stderr


def test_the_status_of_a_running_mesh(fragile: Supervisor) -> None:
    told = run("status", "--data", fragile.data)
    assert told.returncode == 0
    parts = ("postgres", "redis", "envoy", "w0", "w1", "projector", "progression")
    for part in parts:
        assert part in told.stdout
    state = json.loads(run("status", "--json", "--data", fragile.data).stdout)
    assert state["state"] == "ready"
    assert state["pid"] == fragile.process.pid
    assert {part["part"]: part["state"] for part in state["parts"]} == dict.fromkeys(parts, "running")


async def test_services_that_were_left_out_say_that_they_are_not_there(fragile: Supervisor) -> None:
    async with aiohttp.ClientSession() as http:
        for path in ("/leaderboard/", "/quests/active"):
            async with http.get(fragile.url + path, headers=bearer("ada")) as response:
                assert response.status == 503
                assert await response.json() == {"code": 14, "message": "no healthy upstream", "details": []}
        async with http.get(fragile.url) as response:
            page = await response.text()
    assert "<code>/api /paragon /prestige" in page
    assert "/leaderboard" not in page
    with pytest.raises(Unavailable, match="no healthy upstream"):
        async with connect(
            fragile.target, token=token("ada", "player"), backoff=Backoff(attempts=1)
        ) as client:
            await client.leaderboard.top()


def test_a_service_that_there_is_not_is_told_from_those_that_there_are(tmp_path: Path) -> None:
    result = run("up", "--data", tmp_path, "--services", "combat,chess")
    assert result.returncode == 2
    assert "there is no service 'chess', but combat, progression, gamification, " in result.stderr


def test_nothing_running_is_status_3_and_no_error_to_stop(tmp_path: Path) -> None:
    assert run("status", "--data", tmp_path).returncode == 3
    assert json.loads(run("status", "--json", "--data", tmp_path).stdout) == {"state": "stopped"}
    assert run("down", "--data", tmp_path).returncode == 0


def test_production_does_not_start_with_a_secret_that_others_know(tmp_path: Path) -> None:
    result = run("up", "--data", tmp_path, ENVIRONMENT="production", JWT_SECRET="")
    assert result.returncode == 1
    assert "JWT_SECRET" in result.stderr


def test_a_database_that_is_not_there_ends_the_start_with_its_name(tmp_path: Path) -> None:
    unreachable = f"postgresql://nobody@{LOOPBACK}:{PORTS.free()}/none"
    port = str(PORTS.free())
    result = run("up", "--data", tmp_path, "--port", port, "--no-web", "--no-bots", DATABASE_URL=unreachable)
    assert result.returncode == 1
    assert "The database migration failed with exit code 1" in result.stderr
    assert "The migration of combat failed." in result.stderr
    assert "migrations.log" in result.stderr


def test_another_versions_database_ends_the_start_and_stays(tmp_path: Path) -> None:
    version = tmp_path / "postgres" / "PG_VERSION"
    version.parent.mkdir()
    version.write_text("15\n")
    port = str(PORTS.free())
    result = run("up", "--data", tmp_path, "--port", port, "--no-web", "--no-bots")
    assert result.returncode == 1
    assert "was made by PostgreSQL 15; this is 18.\nMove it away" in result.stderr
    assert "Traceback" not in result.stderr
    assert version.read_text() == "15\n"


def test_interrupted_during_the_start_it_leaves_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path, *FRAGILE) as supervisor:
        supervisor.until("begin", seconds=START_S)
        members = family(supervisor.process.pid)
        assert supervisor.stop() == 0
        assert all_gone(members)


async def test_it_stops_cleanly_and_starts_warm_with_what_it_had(fragile: Supervisor, calls: Rest) -> None:
    """Runs after the tests that hurt the mesh, and stops it on purpose."""
    session = await calls.create(name="before the stop")
    members = family(fragile.process.pid)
    assert len(members) > 5
    assert fragile.stop() == 0
    assert all_gone(members)
    fragile.until("stopped")
    with supervised(fragile.data, *FRAGILE, port=fragile.port) as again:
        again.until("ready", seconds=START_S)
        await reachable_again(calls, [session])
        assert (await calls.ok("GET", f"/sessions/{session}"))["session"]["name"] == "before the stop"
        members = family(again.process.pid)
        # Not even asked to stop.
        again.process.kill()
        again.process.wait()
        assert all_gone(members)


def all_gone(members: list[psutil.Process]) -> bool:
    _, left = psutil.wait_procs(members, timeout=DEADLINE_S)
    return not left


def test_detached_it_runs_until_it_is_told_to_stop(fragile: Supervisor) -> None:
    """On what the one before left behind."""
    if fragile.process.poll() is None:
        fragile.stop()
    data, port = fragile.data, str(PORTS.free())
    started = run("up", "--detach", "--data", data, "--port", port, "--workers", "1", *FRAGILE)
    try:
        assert started.returncode == 0, started.stderr
        assert f"http://localhost:{port}  /api /paragon " in started.stdout
        state = json.loads(run("status", "--json", "--data", data).stdout)
        members = family(state["pid"])
    finally:
        stopped = run("down", "--data", data)
    assert stopped.returncode == 0
    assert "Stopped" in stopped.stdout
    assert all_gone(members)
    assert run("status", "--data", data).returncode == 3

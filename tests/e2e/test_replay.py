"""A finished match through the edge: as streamed JSON, over gRPC, and with `scripts/replay`."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from typing import Any

import pytest
from arenamesh.bots.credentials import signed_with
from arenamesh.bots.fleet import Fleet, Plan
from arenamesh.bots.tally import Tally
from arenamesh.client import connect
from arenamesh.combat.v1 import session_pb2

from tests.e2e.conftest import Rest, bearer
from tests.support.mesh import SECRET, Supervisor, environment, token

OPERATOR = bearer("olga", "operator")
SECONDS = 6


@pytest.fixture(scope="module")
def finished(mesh: Supervisor) -> session_pb2.Session:
    """A match that bots have played, and that is over."""
    return asyncio.run(play(mesh))


async def play(mesh: Supervisor) -> session_pb2.Session:
    async with connect(mesh.target, token=token("server-1", "game_server")) as server:
        session = await server.combat.create_session("the past", mode="deathmatch", max_players=8)
        plan = Plan(edge=mesh.target, bots=6, seed=3, session_id=session.session_id)
        bots = asyncio.create_task(Fleet(plan, signed_with(SECRET), Tally()).run())
        async with asyncio.timeout(60):
            state = await server.combat.get_state(session.session_id)
            while state.snapshot.tick < SECONDS * session.tick_rate_hz:
                await asyncio.sleep(0.2)
                state = await server.combat.get_state(session.session_id)
        bots.cancel()
        await asyncio.wait([bots])
        return await server.combat.end_session(session.session_id)


async def script(mesh: Supervisor, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `scripts/replay`, behind its shell."""
    command = ["-m", "arenamesh.replay", *arguments, "--edge", mesh.target]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment(), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_as_streamed_json(rest: Rest, finished: session_pb2.Session) -> None:
    path = f"/sessions/{finished.session_id}/replay?from_tick=20&to_tick=60"
    frames = [each["frame"] async for each in rest.lines(path, by=bearer("eve"))]
    assert [frame["tick"] for frame in frames] == list(range(20, 61))
    assert frames[0]["welcome"]["session_id"] == finished.session_id
    assert frames[0]["snapshot"]["entities"]


async def test_streamed_json_comes_as_it_is_played(rest: Rest, finished: session_pb2.Session) -> None:
    path = f"/sessions/{finished.session_id}/replay?speed=0.05"
    async with aclosing(rest.lines(path, by=bearer("eve"))) as answers:
        assert (await anext(answers))["frame"]["tick"] == 1


async def test_over_grpc(mesh: Supervisor, finished: session_pb2.Session) -> None:
    async with connect(mesh.target, token=token("eve", "player")) as eve:
        frames = [frame async for frame in eve.combat.replay(finished.session_id)]
    assert frames[0].tick == 1
    assert frames[-1].notices
    assert any(event.HasField("session_end") for frame in frames for event in frame.events)


async def test_proof_and_evidence_over_rest(rest: Rest, finished: session_pb2.Session) -> None:
    path = f"/sessions/{finished.session_id}"
    proof = await rest.ok("POST", f"{path}/replay:verify", {}, by=OPERATOR)
    assert proof["verified"] is True
    page = await rest.ok("GET", f"{path}/verdicts?page_size=3&outcome=OUTCOME_ACCEPTED", by=OPERATOR)
    assert len(page["records"]) == 3
    assert page["next_page_token"]
    sequence = page["records"][0]["sequence"]
    answer = await rest.ok("GET", f"{path}/verdicts/{sequence}", by=OPERATOR)
    assert answer["record"]["command"]["verdict"] == page["records"][0]["command"]["verdict"]
    assert answer["explanation"].startswith("At ")


async def test_the_script_lists(mesh: Supervisor, finished: session_pb2.Session) -> None:
    code, out = await script(mesh, "list", "--finished")
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    assert rows["SESSION"][1] == "STATUS"
    assert rows[finished.session_id][1] == "ENDED"
    code, out = await script(mesh, "list", "--json", "--limit", "1")
    assert [json.loads(line)["session_id"] for line in out.splitlines()]


async def test_the_script_shows(mesh: Supervisor, finished: session_pb2.Session) -> None:
    code, out = await script(mesh, "show", finished.session_id)
    assert code == 0
    assert " joins (seat " in out
    assert "the match ends: requested" in out
    code, out = await script(mesh, "show", finished.session_id, "--json", "--explain")
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    hits = [line for line in lines if line["kind"] == "hit"]
    assert hits, "nobody hit anybody"
    assert all("It hit " in hit["explanation"] for hit in hits)
    code, out = await script(mesh, "show", finished.session_id, "--player", "bot-ash")
    commands = out.splitlines()
    assert commands
    assert all(" bot-ash (command " in line for line in commands)
    assert not [line for line in commands if line.endswith("That was possible.")], "moves"
    code, out = await script(mesh, "show", finished.session_id, "--sequence", str(hits[0]["sequence"]))
    assert out.strip() == hits[0]["explanation"]


async def test_the_script_verifies(mesh: Supervisor, finished: session_pb2.Session) -> None:
    code, out = await script(mesh, "verify", finished.session_id)
    assert (code, out.startswith("verified: ")) == (0, True), out


async def test_the_script_exports(mesh: Supervisor, finished: session_pb2.Session) -> None:
    code, out = await script(mesh, "export", finished.session_id)
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [int(record["sequence"]) for record in records] == list(range(1, len(records) + 1))
    assert "join" in records[0]
    assert "end" in records[-1]


async def test_the_script_says_what_is_wrong(mesh: Supervisor) -> None:
    assert (await script(mesh, "verify", "no-such-session"))[0] == 1
    assert (await script(mesh, "list", "--token", "nonsense"))[0] == 1

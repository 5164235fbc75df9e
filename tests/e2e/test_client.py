"""The Python client against a whole mesh, through Envoy."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
from arenamesh.client import Mesh, SessionEnded, SessionStatus, commands, connect
from arenamesh.client.errors import (
    FailedPrecondition,
    InvalidArgument,
    Kicked,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from arenamesh.combat.v1 import event_pb2, play_pb2, verdict_pb2

from services.mesh.settings import ROOT
from tests.support.mesh import Supervisor, environment, token

EYE_M = 1.62


@pytest.fixture
async def server(mesh: Supervisor) -> AsyncIterator[Mesh]:
    """A game server's client."""
    async with connect(mesh.target, token=partial(token, "server-1", "game_server")) as client:
        yield client


def player(mesh: Supervisor, name: str) -> Mesh:
    return connect(mesh.target, token=partial(token, name, "player"))


def moving(match_slot: int, position: tuple[float, float, float]) -> play_pb2.Command:
    return commands.move(position, yaw=0.0, client_time_us=int(time.monotonic() * 1_000_000), slot=match_slot)


async def test_a_player_joins_plays_and_sees_the_world(mesh: Supervisor, server: Mesh) -> None:
    session = await server.combat.create_session("duel", mode="duel", max_players=2)
    async with player(mesh, "ann") as ann:
        seat = await ann.combat.join(session.session_id)
        assert (await ann.combat.join(session.session_id)).slot == seat.slot, "the same seat again"
        async with ann.play(session.session_id) as match:
            assert match.slot == seat.slot
            assert match.world.seats[seat.slot].player_id == "ann"
            async with asyncio.timeout(10):
                while await match.next_snapshot() < 10:
                    pass
            me = match.world.players[seat.slot]
            assert me.alive
            assert me.health == 100
            (stay,) = await match.judge(moving(seat.slot, me.position))
            assert stay.outcome == verdict_pb2.OUTCOME_ACCEPTED
            (away,) = await match.judge(moving(seat.slot, (0.0, 0.0, 500.0)))
            assert away.outcome == verdict_pb2.OUTCOME_REJECTED
            x, y, z = me.position
            fired, again = await match.judge(
                commands.shot(0, (x, y, z + EYE_M), (1.0, 0.0, 0.0)),
                commands.shot(0, (x, y, z + EYE_M), (1.0, 0.0, 0.0)),
            )
            assert fired.outcome == verdict_pb2.OUTCOME_ACCEPTED
            assert again.reason == verdict_pb2.REASON_FIRE_RATE
            async with asyncio.timeout(10):
                async for event in match.events:
                    if event.HasField("shot"):
                        assert event.shot.slot == seat.slot
                        break
                while not match.rtt_s:
                    await match.next_snapshot()
            view = match.view
            assert 0 < match.world.tick - view.ticks < 10
    await server.combat.end_session(session.session_id)


async def test_a_game_server_plays_many_seats_on_one_stream(server: Mesh) -> None:
    session = await server.combat.create_session("crowd", max_players=8)
    slots = [(await server.combat.join(session.session_id, f"guest-{n}")).slot for n in range(8)]
    async with server.play(session.session_id, snapshot_rate_hz=10) as match:
        assert match.slot is None
        async with asyncio.timeout(10):
            while len(match.world.players) < 8:
                await match.next_snapshot()
        where = {slot: match.world.players[slot].position for slot in slots}
        verdicts = await match.judge(*(moving(slot, where[slot]) for slot in slots))
        assert [verdict.slot for verdict in verdicts] == slots
        assert {verdict.outcome for verdict in verdicts} == {verdict_pb2.OUTCOME_ACCEPTED}
        (hurt,) = await match.judge(commands.damage(slots[1], 30, slot=slots[0], bypass=True))
        if hurt.outcome == verdict_pb2.OUTCOME_ACCEPTED:
            assert hurt.hits[0].dealt_milli == 30_000
        else:
            assert hurt.reason == verdict_pb2.REASON_PROTECTED  # just spawned
    # A game server that starts again goes on behind the numbers of the one before.
    async with server.play(session.session_id) as match:
        (verdict,) = await match.judge(moving(slots[0], where[slots[0]]))
        assert not verdict.repeated
        assert verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED
    await server.combat.end_session(session.session_id)


async def test_the_end_of_a_session_reaches_every_stream(mesh: Supervisor, server: Mesh) -> None:
    session = await server.combat.create_session("short")
    async with player(mesh, "ben") as ben:
        await ben.combat.join(session.session_id)
        async with ben.play(session.session_id) as match:
            ended = await server.combat.end_session(session.session_id)
            assert ended.status == SessionStatus.SESSION_STATUS_ENDED
            async with asyncio.timeout(10):
                await match.over.wait()
            with pytest.raises(SessionEnded):
                await match.send(moving(0, (0.0, 0.0, 0.0)))
            async with asyncio.timeout(10):
                kinds = [event.WhichOneof("kind") async for event in match.events]
            assert "session_end" in kinds
            assert match.result is not None
            assert match.result.reason == event_pb2.END_REASON_REQUESTED
        with pytest.raises(FailedPrecondition):
            async with ben.play(session.session_id):
                pass


async def test_another_stream_of_the_same_player_takes_over(mesh: Supervisor, server: Mesh) -> None:
    session = await server.combat.create_session("twice")
    async with player(mesh, "cat") as first, player(mesh, "cat") as second:
        await first.combat.join(session.session_id)
        async with first.play(session.session_id) as old, second.play(session.session_id) as new:
            with pytest.raises(Kicked) as caught:
                async with asyncio.timeout(10):
                    async for _ in old.events:
                        pass
            assert caught.value.reason == "REPLACED"
            await new.next_snapshot()
    await server.combat.end_session(session.session_id)


async def test_refusals_are_typed_and_say_why(mesh: Supervisor, server: Mesh) -> None:
    with pytest.raises(InvalidArgument) as invalid:
        await server.combat.create_session("x" * 300)
    assert [error.field for error in invalid.value.fields] == ["session.name"]
    with pytest.raises(NotFound):
        await server.combat.get_session("no-such-session")
    async with player(mesh, "dan") as dan:
        with pytest.raises(PermissionDenied):
            await dan.combat.create_session("mine")
        session = await server.combat.create_session("seats", max_players=1)
        with pytest.raises(FailedPrecondition) as absent:
            async with dan.play(session.session_id):
                pass
        assert absent.value.reason == "NOT_JOINED"
        await server.combat.join(session.session_id, "eve")
        with pytest.raises(FailedPrecondition) as full:
            await dan.combat.join(session.session_id)
        assert full.value.reason == "FULL"
    await server.combat.end_session(session.session_id)
    async with connect(mesh.target, token="not a token") as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.combat.get_session("any")


async def test_a_token_that_runs_out_under_a_stream_is_renewed(mesh: Supervisor, server: Mesh) -> None:
    session = await server.combat.create_session("long")
    lifetimes = iter([1, 600, 600])

    def short_then_long() -> str:
        return token("fay", "player", lifetime_s=next(lifetimes))

    await server.combat.join(session.session_id, "fay")
    async with connect(mesh.target, token=short_then_long) as fay, fay.play(session.session_id) as match:
        async with asyncio.timeout(15):
            while match.reconnects == 0:
                await match.next_snapshot()
        await match.next_snapshot()
    await server.combat.end_session(session.session_id)


async def test_the_same_request_id_creates_one_session(server: Mesh) -> None:
    first = await server.combat.create_session("once", request_id="client-e2e-once")
    second = await server.combat.create_session("once", request_id="client-e2e-once")
    assert first.session_id == second.session_id
    listed = [session.session_id async for session in server.combat.list_sessions(page_size=2)]
    assert listed.count(first.session_id) == 1
    await server.combat.end_session(first.session_id)


async def test_the_examples_of_the_readme_work_as_printed(mesh: Supervisor) -> None:
    text = (ROOT / "clients" / "python" / "README.md").read_text()
    duel, own_server, paid, ranked = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert re.fullmatch(r"session \S+: hits \[\d+, \d+\]\n", await printed(mesh, duel))
    missed, refused, dealt = (await printed(mesh, own_server)).splitlines()
    assert missed.endswith("It met nobody within 120 m on its line.")
    assert refused.endswith("It was refused: the weapon had been fired too short a time before.")
    assert "in the name of ann (command 3). It hit ben: 12.0 from health" in dealt
    lines = (await printed(mesh, paid)).splitlines()
    assert "first-blood: receipt valid: True" in lines
    assert any(line.startswith("wallet {") for line in lines)
    assert "Achievement Unlocked: First Blood" in lines
    assert await printed(mesh, ranked) == "duplicate: False\nduplicate: True\nzoe has 4200\n"


async def printed(mesh: Supervisor, example: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        example.replace("localhost:8080", mesh.target),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return out.decode()

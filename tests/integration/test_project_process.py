"""The projecting process: killed at any moment it counts and tells everything once."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import grpc
import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.bus import connect
from services.chassis.bus.port import DeadLetter, Message
from services.chassis.db import Database
from services.combat.catalogue import load_catalogue
from services.combat.domain.session import SessionStatus
from services.combat.statistics.events import EVENTS_TOPIC, VALIDATION_TOPIC, Story
from services.combat.statistics.store import StatisticsStore
from tests.support.arenas import DATA
from tests.support.journals import add_segments, add_session, session_row
from tests.support.process import environment, fetch
from tests.support.random_match import RandomMatch
from tests.support.tokens import game_server, player
from tests.support.waiting import eventually
from tests.support.worker import Worker, refused, settings

ROOT = Path(__file__).parents[2]
RULES = load_catalogue(DATA).ruleset("default", 1)
KILLS = 8


@asynccontextmanager
async def projecting(
    database_url: str, redis_url: str, **variables: str
) -> AsyncIterator[tuple[Process, int]]:
    """A process that projects, and its admin port; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.combat.main", "project"),
        env=environment(DATABASE_URL=database_url, REDIS_URL=redis_url, DATABASE_POOL="3", **variables),
        stderr=PIPE,
        cwd=ROOT,
    )
    assert process.stderr
    lines = process.stderr
    try:
        async with asyncio.timeout(30):
            while True:
                line = await lines.readline()
                assert line, "the process ended before it projected"
                event = json.loads(line)
                if event["event"] == "projecting":
                    break
        yield process, event["admin_port"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def played(seed: int) -> tuple[RandomMatch, list[bytes]]:
    match = RandomMatch(seed, RULES)
    match.play(300)
    match.arena.end(match.now, event_pb2.END_REASON_REQUESTED)
    return match, [segment for segment in (*match.segments, match.arena.take_journal()) if segment]


async def test_killed_at_any_moment_it_tells_everything_once(database_url: str, redis_url: str) -> None:
    draw = random.Random(4)
    raw = await asyncpg.connect(database_url)
    stories = {}
    for seed in range(3):
        match, segments = played(seed)
        session = session_row(f"s{seed}", game_mode=match.options["mode"], status=SessionStatus.ENDED)
        await add_session(raw, session)
        await add_segments(raw, session.session_id, segments)
        stories[session.session_id] = Story(session, RULES)
        stories[session.session_id].feed(b"".join(segments))

    async def counted() -> int:
        return int(await raw.fetchval("SELECT coalesce(sum(sequence), 0) FROM gameplay.combat_projections"))

    async def done() -> bool:
        return bool(await raw.fetchval("SELECT bool_and(projected) FROM gameplay.combat_sessions"))

    async def progressed(before: int) -> bool:
        return await counted() > before or await done()

    moved = 0
    for _ in range(KILLS):
        before = await counted()
        # A segment a step: the journal takes longer than a life.
        async with projecting(database_url, redis_url, PROJECTION_SEGMENTS="1", PROJECTION_SESSIONS="2") as (
            process,
            _port,
        ):
            await eventually(partial(progressed, before))
            await asyncio.sleep(draw.uniform(0, 0.03))
            process.kill()
            await process.wait()
        moved += await counted() > before
        if await done():
            break
    assert moved >= 3
    async with projecting(database_url, redis_url):
        await eventually(done)
    for session_id, story in stories.items():
        rows = await raw.fetch("SELECT envelope FROM gameplay.outbox WHERE subject = $1", session_id)
        found = [Envelope.FromString(row["envelope"]) for row in rows]
        told = [each.envelope for each in story.take_events()]
        assert sorted(each.id for each in found) == sorted(each.id for each in told)
        assert {each.id: each for each in found} == {each.id: each for each in told}
        database = await Database.connect(database_url, size=1, wait_s=5, command_s=5)
        async with database.connection() as connection:
            counts = await StatisticsStore().session(connection, session_id)
        await database.close()
        assert counts == (story.sequence, sorted(story.players(), key=lambda each: each.player_id))
    await raw.close()


async def test_one_works_and_another_stands_by(database_url: str, redis_url: str) -> None:
    raw = await asyncpg.connect(database_url)
    async with (
        projecting(database_url, redis_url) as (first, port),
        projecting(database_url, redis_url) as (second, _),
    ):
        status, body = await fetch(f"http://127.0.0.1:{port}/ready")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        match, segments = played(1)
        await add_session(raw, session_row("one", game_mode=match.options["mode"]))

        async def caught_up() -> bool:
            row = await raw.fetchrow(
                "SELECT journal_sequence, sequence FROM gameplay.combat_sessions"
                " LEFT JOIN gameplay.combat_projections ON session_id = id"
            )
            assert row is not None
            return bool(row["journal_sequence"] == row["sequence"])

        half = len(segments) // 2
        await add_segments(raw, "one", segments[:half])
        await eventually(caught_up)
        first.kill()
        await first.wait()
        await add_segments(raw, "one", segments[half:])
        await eventually(caught_up)
        second.terminate()
        assert await second.wait() == 0
    events = await raw.fetchval("SELECT count(*) FROM gameplay.outbox")
    story = Story(session_row("one", game_mode=match.options["mode"]), RULES)
    story.feed(b"".join(segments))
    assert events == len(story.take_events())
    await raw.close()


async def test_what_it_tells_arrives_on_the_bus(database_url: str, redis_url: str) -> None:
    raw = await asyncpg.connect(database_url)
    match, segments = played(1)
    # The bus is the one of all tests.
    session = session_row("told", game_mode=match.options["mode"])
    await add_session(raw, session)
    await add_segments(raw, "told", segments)
    story = Story(session, RULES)
    story.feed(b"".join(segments))
    told = story.take_events()
    bus = connect(settings(redis_url=redis_url))
    heard: dict[str, list[Envelope]] = {EVENTS_TOPIC: [], VALIDATION_TOPIC: []}

    async def hear(topic: str, message: Message) -> None:
        if message.subject == "told":
            heard[topic].append(Envelope.FromString(message.body))

    async def dead(letter: DeadLetter) -> None:
        raise AssertionError(letter)

    for topic in heard:
        await bus.subscribe(topic, "damage-validator", partial(hear, topic), dead)

    async def all_heard() -> bool:
        return sum(map(len, heard.values())) >= len(told)

    async with projecting(database_url, redis_url):
        await eventually(all_heard)
    for topic, envelopes in heard.items():
        assert envelopes == [each.envelope for each in told if each.topic == topic]
    await bus.close()
    await raw.close()


async def test_its_metrics(database_url: str, redis_url: str) -> None:
    raw = await asyncpg.connect(database_url)
    match, segments = played(1)
    await add_session(raw, session_row("one", game_mode=match.options["mode"]))
    await add_session(raw, session_row("odd", ruleset_version=99))
    await add_segments(raw, "one", segments)
    await add_segments(raw, "odd", segments)
    async with projecting(database_url, redis_url) as (_, port):

        async def metrics() -> dict[str, float]:
            _, body = await fetch(f"http://127.0.0.1:{port}/metrics")
            lines = (line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
            return {name: float(value) for name, value in lines}

        async def settled() -> bool:
            return (await metrics())["combat_projection_parked"] == 1

        await eventually(settled)
        found = await metrics()
    assert found["combat_projected_records_total"] == match.arena.sequence
    assert found["combat_projection_lag_records"] == match.arena.sequence  # the parked one
    assert found["combat_projection_lag_seconds"] == pytest.approx(match.now / 1e6, abs=0.1)
    assert found['combat_events_total{type="combat.session_ended"}'] == 1
    assert found['combat_events_total{type="combat.kill"}'] > 0
    await raw.close()


async def test_rebuild(database_url: str, redis_url: str) -> None:
    raw = await asyncpg.connect(database_url)
    for name in ("one", "two"):
        match, segments = played(1)
        await add_session(raw, session_row(name, game_mode=match.options["mode"], status=SessionStatus.ENDED))
        await add_segments(raw, name, segments)

    async def done() -> bool:
        return bool(await raw.fetchval("SELECT bool_and(projected) FROM gameplay.combat_sessions"))

    async with projecting(database_url, redis_url):
        await eventually(done)
    every = "SELECT * FROM gameplay.combat_player_stats ORDER BY session_id, player_id"
    before = await raw.fetch(every)
    told = await raw.fetchval("SELECT count(*) FROM gameplay.outbox")
    await raw.execute("UPDATE gameplay.combat_player_stats SET shots = 0")
    spoilt = await raw.fetch(every)
    assert await rebuilt(database_url, "--session", "one") == 0
    half = len(before) // 2
    assert await raw.fetch(every) == before[:half] + spoilt[half:]
    assert await rebuilt(database_url) == 0
    assert await raw.fetch(every) == before != spoilt
    assert await raw.fetchval("SELECT count(*) FROM gameplay.outbox") == told
    assert await rebuilt(database_url, "--session", "none") == 1
    await raw.close()


async def rebuilt(database_url: str, *arguments: str) -> int | None:
    """Exit code of the subcommand."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.combat.main", "rebuild", *arguments),
        env=environment(DATABASE_URL=database_url),
        stderr=PIPE,
        cwd=ROOT,
    )
    await process.communicate()
    return process.returncode


async def test_statistics_of_a_match_that_was_played(
    combat: Worker, database_url: str, redis_url: str
) -> None:
    session = await combat.create()
    seats = [await combat.join(session.session_id, name) for name in ("ann", "ben")]
    await combat.begin(session.session_id)
    asked = service_pb2.GetSessionStatsRequest(session_id=session.session_id)
    damage = service_pb2.ApplyDamageRequest(session_id=session.session_id, player_id="ann")
    damage.direct.target = seats[1]
    damage.direct.amount_milli = 1_000_000
    damage.direct.source = play_pb2.DAMAGE_SOURCE_SCRIPT
    damage.direct.bypass = True
    verdict = (await combat.stub.ApplyDamage(damage, metadata=game_server())).verdict
    async with projecting(database_url, redis_url):

        async def there() -> bool:
            answer = await combat.stub.GetSessionStats(asked, metadata=player("eve"))
            return bool(answer.journal_sequence >= verdict.journal_sequence)

        await eventually(there)
        answer = await combat.stub.GetSessionStats(asked, metadata=player("eve"))
        assert [(p.player_id, p.kills, p.deaths) for p in answer.players] == [("ann", 1, 0), ("ben", 0, 1)]
        of_ben = service_pb2.GetPlayerStatsRequest(player_id="ben")
        mine = await combat.stub.GetPlayerStats(of_ben, metadata=player("ann"))
        assert (mine.sessions, mine.stats.deaths) == (1, 1)
    asked.session_id = "none"
    with_code = combat.stub.GetSessionStats(asked, metadata=player("eve"))
    assert await refused(with_code, grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"

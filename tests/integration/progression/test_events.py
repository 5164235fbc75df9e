"""Events in and out of progression: a real bus, a real database, and every event once in effect."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import asyncpg
import pytest
from arenamesh.events.v1 import combat_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message as Data
from redis.asyncio import Redis

from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from services.chassis.errors import DomainError, FailedPrecondition
from services.chassis.metrics import BUS_HANDLED
from services.chassis.outbox import Outbox
from services.chassis.relay import Relay, RelayLimits
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character, fold
from services.progression.domain.events import Event, from_json
from services.progression.heard import TOPICS
from services.progression.ledger import GROUP, TOPIC, Command, Recorded
from services.progression.schema import SCHEMA
from services.progression.told import tell
from tests.support.buses import LIMITS, Recorder, make
from tests.support.hear import DEFINITIONS, hearing, keeping
from tests.support.mesh import environment
from tests.support.postgres import Postgres
from tests.support.progression import progression
from tests.support.waiting import eventually

COMBAT, LIVEOPS = TOPICS
GAIN = DEFINITIONS.active.gain
_numbers = count(1)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[str]:
    """The run's Redis, empty: topics have the names that they have."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    yield redis_url


@pytest.fixture
async def bus(redis: str) -> AsyncIterator[Bus]:
    made = make("redis", redis)
    yield made
    await made.close()


def said(type_: str, data: Data, subject: str = "m") -> Message:
    envelope = Envelope(id=f"e{next(_numbers)}", source="arenamesh/test", type=type_, subject=subject)
    envelope.data.Pack(data)
    return Message(envelope.id, subject, envelope.SerializeToString())


def kill(killer: str, assist: str = "", match: str = "m") -> Message:
    data = combat_pb2.CombatKill(session_id=match, killer_id=killer, victim_id="ben", assist_id=assist)
    return said("combat.kill", data, match)


def ended(players: Sequence[str], match: str = "m", reason: str = "time_limit") -> Message:
    """The first has won."""
    results = [
        combat_pb2.CombatPlayerResult(player_id=player, place=place, won=place == 1)
        for place, player in enumerate(players, 1)
    ]
    data = combat_pb2.CombatSessionEnded(
        session_id=match, session_type="duel", end_reason=reason, results=results
    )
    return said("combat.session_ended", data, match)


def boss(player: str) -> Message:
    return said("liveops.boss_kill", liveops_pb2.LiveopsBossKill(player_id=player), player)


class Stored:
    """What a database says."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def rows(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(self._url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def recorded(self) -> list[Recorded]:
        rows = await self.rows(
            "SELECT stream_id, version, type, payload::text, metadata->>'actor' AS actor, created_at "
            "FROM progression.event_store ORDER BY stream_id, version"
        )
        return [
            Recorded(
                row["stream_id"],
                row["version"],
                from_json(row["type"], json.loads(row["payload"])),
                row["created_at"],
                row["actor"],
            )
            for row in rows
        ]

    async def characters(self) -> dict[str, Character]:
        streams: dict[str, list[tuple[Event, datetime]]] = {}
        for each in await self.recorded():
            streams.setdefault(each.character_id, []).append((each.event, each.at))
        folded = {name: fold(name, events) for name, events in streams.items()}
        return {name: character for name, character in folded.items() if character is not None}

    async def experience(self) -> Counter[str]:
        characters = (await self.characters()).items()
        return Counter({name: one.base_experience + one.paragon_experience for name, one in characters})

    async def has_seen(self, messages: Sequence[Message]) -> bool:
        rows = await self.rows("SELECT event_id FROM progression.inbox WHERE consumer_group = 'progression'")
        return {message.id for message in messages} <= {row["event_id"] for row in rows}

    async def letters(self) -> dict[str, str]:
        rows = await self.rows("SELECT event_id, error FROM progression.dead_letters")
        return {row["event_id"]: row["error"] for row in rows}

    async def has_letters(self, number: int) -> bool:
        return len(await self.letters()) >= number


@pytest.fixture
def stored(database_url: str) -> Stored:
    return Stored(database_url)


# -- in -----------------------------------------------------------------------------------------------


async def test_every_event_has_its_effect_once_however_it_comes(
    database_url: str, redis: str, stored: Stored
) -> None:
    """Two processes, each event two or three times, in any order, also both at once."""
    players = [f"p{number}" for number in range(6)]
    draw, owed = random.Random(4), Counter[str]()
    kills, bosses = [], []
    for number in range(120):
        killer, assist = draw.sample(players, 2)
        kills.append(kill(killer, assist if number % 3 else "", f"m{number % 5}"))
        owed[killer] += GAIN("combat.kill", "killer").experience
        owed[assist] += GAIN("combat.kill", "assist").experience if number % 3 else 0
    for number in range(30):
        bosses.append(boss(players[number % 6]))
        owed[players[number % 6]] += GAIN("liveops.boss_kill", "killer").experience
    over = ended(players)
    for place, player in enumerate(players, 1):
        won = ("winner",) if place == 1 else ()
        owed[player] += GAIN("combat.session_ended", "player", *won, f"place_{place}").experience

    one, two = make("redis", redis), make("redis", redis)
    try:
        async with hearing(database_url, one), hearing(database_url, two):
            for topic, messages in ((COMBAT, [*kills, over]), (LIVEOPS, bosses)):
                again = messages + draw.sample(messages, len(messages)) + messages[::-1][:40]
                for begin in range(0, len(again), 50):
                    await one.publish(topic, again[begin : begin + 50])
            everything = [*kills, over, *bosses]
            await eventually(partial(stored.has_seen, everything))
            last = [kill("p0", match=f"m{number}") for number in range(5)] + [boss(name) for name in players]
            await one.publish(COMBAT, last[:5])
            await one.publish(LIVEOPS, last[5:])
            await eventually(partial(stored.has_seen, last))  # so all repetitions are over
    finally:
        await asyncio.gather(one.close(), two.close())
    owed["p0"] += 5 * GAIN("combat.kill", "killer").experience
    for player in players:
        owed[player] += GAIN("liveops.boss_kill", "killer").experience
    assert await stored.experience() == owed
    actors = Counter((each.actor, each.character_id) for each in await stored.recorded() if each.version > 1)
    assert max(actors.values()) == 1
    assert not await stored.letters()


async def test_a_consumer_that_dies_after_the_effect_and_before_it_can_say_so(
    database_url: str, redis: str, bus: Bus, stored: Stored
) -> None:
    lethal = kill("ann")
    others = [kill("ann", match=f"m{number}") for number in range(5)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.hear", database_url, redis, lethal.id), env=environment()
    )
    try:
        await bus.publish(COMBAT, [lethal, *others])
        assert await asyncio.wait_for(process.wait(), 20) == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert await stored.has_seen([lethal])
    after = kill("ann")
    async with hearing(database_url, bus):
        await bus.publish(COMBAT, [after])
        await eventually(partial(stored.has_seen, [lethal, *others, after]))
    assert await stored.experience() == {"ann": 7 * GAIN("combat.kill", "killer").experience}


async def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nobody(
    database_url: str, bus: Bus, stored: Stored
) -> None:
    damaged = said("combat.kill", combat_pb2.CombatSessionEnded())
    nobody = kill("")
    unknown = said("combat.weather", combat_pb2.CombatKill())
    aborted = ended(["ann", "ben"], reason="aborted")
    good = kill("ann")
    async with hearing(database_url, bus):
        await bus.publish(COMBAT, [damaged, nobody, unknown, aborted, good])
        await eventually(partial(stored.has_seen, [good]))
        await eventually(partial(stored.has_letters, 2))
    letters = await stored.letters()
    assert set(letters) == {damaged.id, nobody.id}
    assert "must be a arenamesh.events.v1.CombatKill" in letters[damaged.id]
    assert "player_id" in letters[nobody.id]
    assert await stored.experience() == {"ann": GAIN("combat.kill", "killer").experience}


async def test_events_wait_for_a_database_that_is_away(
    postgres: Postgres, database_url: str, bus: Bus, stored: Stored
) -> None:
    """For longer than there are attempts, and nothing is a dead letter."""
    failed = BUS_HANDLED.labels(COMBAT, GROUP, "failed")._value
    event, before = kill("ann"), failed.get()

    async def tried() -> bool:
        return bool(failed.get() >= before + 2 * LIMITS.max_attempts)

    async with hearing(database_url, bus):
        postgres.stop()
        try:
            await bus.publish(COMBAT, [event])
            await eventually(tried)
        finally:
            postgres.start()
        await eventually(partial(stored.has_seen, [event]))
    assert await stored.experience() == {"ann": GAIN("combat.kill", "killer").experience}
    assert not await stored.letters()


# -- out ----------------------------------------------------------------------------------------------


def awarding(name: str, player: str, experience: int, event: str = "") -> Command:
    def decide(characters: Mapping[str, Character | None], _at: datetime) -> list[tuple[str, Event]]:
        given = Award(name, player, "studio", experience, (("pvp", 1 + experience // 3),))
        return [(name, each) for each in award(DEFINITIONS.active, characters[name], given)]

    return Command((name,), decide, "service:studio", lambda _characters, _recorded: b"", event=event)


async def test_what_was_committed_is_told_once_and_nothing_else(
    database_url: str, bus: Bus, stored: Stored
) -> None:
    seen, draw = Recorder(), random.Random(9)
    names = [f"c{number}" for number in range(8)]
    commands = [
        awarding(
            name := draw.choice(names),
            draw.choice([name, name, name, "a thief"]),
            draw.choice([1, 50, 400, 5_000, 200_000]),
            draw.choice(["", f"x{number // 2}"]),
        )
        for number in range(150)
    ]
    async with keeping(database_url) as ledger, keeping(database_url) as other:
        answers = await asyncio.gather(
            *(draw.choice([ledger, other]).run(command) for command in commands), return_exceptions=True
        )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, FailedPrecondition) for answer in refused)
    assert refused
    expected: list[Envelope] = []
    characters = await stored.characters()
    for each in await stored.recorded():
        expected += tell(each, characters[each.character_id])
    assert {envelope.type for envelope in expected} == {
        "progression.experience_awarded",
        "progression.level_up",
        "progression.mastery_level_up",
    }

    database = await Database.connect(database_url, size=2, wait_s=5, command_s=5)
    limits = RelayLimits(batch=50, poll_s=0.01, backoff_s=0.05, keep=timedelta(hours=1))
    relay = asyncio.create_task(Relay(database, Outbox(SCHEMA), bus, limits).run())
    try:
        await bus.subscribe(TOPIC, "others", seen.handle, seen.bury)
        await seen.until([Message(each.id, each.subject, b"") for each in expected])
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await database.close()
    assert len(seen.seen) == len(expected)
    heard = {message.id: Envelope.FromString(message.body) for message in seen.seen}
    assert heard == {each.id: each for each in expected}
    for name in names:  # and in order
        of_name = [each.id for each in expected if each.subject == name]
        assert [message.id for message in seen.seen if message.subject == name] == of_name


async def test_what_follows_from_an_event_is_told_under_its_trace(
    database_url: str, bus: Bus, stored: Stored
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    caused = Envelope.FromString(kill("ann").body)
    caused.traceparent = trace
    event = Message(caused.id, caused.subject, caused.SerializeToString())
    async with hearing(database_url, bus):
        await bus.publish(COMBAT, [event])
        await eventually(partial(stored.has_seen, [event]))
    (row,) = await stored.rows("SELECT envelope FROM progression.outbox")
    told = Envelope.FromString(row["envelope"])
    assert (told.type, told.traceparent) == ("progression.experience_awarded", trace)


async def test_what_is_refused_is_not_told(database_url: str, stored: Stored) -> None:
    async with keeping(database_url) as ledger:
        await ledger.run(awarding("ann", "ann", 1))
        with pytest.raises(DomainError):
            await ledger.run(awarding("ann", "a thief", 1))
    rows = await stored.rows("SELECT event_id FROM progression.outbox")
    assert [row["event_id"] for row in rows] == ["ann:2:experience_awarded"]


# -- the service --------------------------------------------------------------------------------------


async def test_the_service_hears_and_tells_and_forgets_what_it_heard_long_ago(
    database_url: str, redis: str, bus: Bus, stored: Stored
) -> None:
    await stored.rows(
        "INSERT INTO progression.inbox (consumer_group, event_id, seen_at) VALUES "
        "('progression', 'old', now() - interval '3 days'), ('progression', 'new', now() - interval '1 day')"
    )
    seen = Recorder()
    await bus.subscribe(TOPIC, "others", seen.handle, seen.bury)
    event = kill("ann")
    settings = {"bus_kind": "redis", "bus_lease_s": 0.3, "inbox_keep_days": 2, "purge_s": 0.05}

    async def forgotten() -> bool:
        rows = await stored.rows("SELECT event_id FROM progression.inbox")
        return {row["event_id"] for row in rows} == {"new", event.id}

    async with progression(database_url=database_url, redis_url=redis, **settings) as running:
        await bus.publish(COMBAT, [event])
        await seen.until([Message("ann:2:experience_awarded", "ann", b"")])
        levels = await running.paragon("ann")
        assert int(levels.base.experience) == GAIN("combat.kill", "killer").experience
        await eventually(forgotten)

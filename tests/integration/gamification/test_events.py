"""Events into gamification and out of it: real buses, a real database, and every event once in effect."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from arenamesh.events.v1 import combat_pb2, gamification_pb2, progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message as Data
from google.protobuf.struct_pb2 import Struct
from redis.asyncio import Redis

from services.chassis import clock
from services.chassis.bus.port import Message
from services.chassis.db import Database
from services.chassis.errors import InvalidArgument
from services.chassis.outbox import Outbox
from services.chassis.relay import Relay, RelayLimits
from services.combat.statistics.events import VALIDATION_TOPIC
from services.gamification.domain.grants import grant_id
from services.gamification.heard import TOPICS, Heard
from services.gamification.schema import SCHEMA
from services.gamification.sources import Sources
from services.gamification.told import TOPIC
from tests.support.buses import Recorder, make
from tests.support.committers import check, define
from tests.support.hear_gamification import hearing, install, listening
from tests.support.mesh import environment
from tests.support.waiting import eventually

COMBAT, _, PROGRESSION, LIVEOPS = TOPICS
_numbers = count(1)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[str]:
    """The run's Redis, empty: topics have the names that they have."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    yield redis_url


@pytest.fixture
async def installed(database: Database) -> Database:
    """With what comes with the service."""
    await install(database)
    return database


async def rows(database: Database, query: str, *arguments: object) -> list[Any]:
    async with database.connection() as connection:
        return list(await connection.fetch(query, *arguments))


async def has_seen(database: Database, messages: Sequence[Message]) -> bool:
    seen = await rows(
        database, "SELECT event_id FROM gamification.inbox WHERE consumer_group = 'gamification'"
    )
    return {message.id for message in messages} <= {row["event_id"] for row in seen}


def said(type_: str, data: Data, subject: str = "m", at: datetime | None = None, trace: str = "") -> Message:
    envelope = Envelope(
        id=f"e{next(_numbers)}", source="arenamesh/test", type=type_, subject=subject, traceparent=trace
    )
    envelope.time.FromDatetime(at or clock.now())
    envelope.data.Pack(data)
    return Message(envelope.id, subject, envelope.SerializeToString())


def kill(
    killer: str, victim: str = "zed", match: str = "m", at: datetime | None = None, **more: Any
) -> Message:
    fields: dict[str, Any] = {"weapon": "rifle", "region": "torso", "distance_mm": 9000} | more
    data = combat_pb2.CombatKill(session_id=match, killer_id=killer, victim_id=victim, **fields)
    return said("combat.kill", data, match, at)


# -- in -----------------------------------------------------------------------------------------------


@dataclass
class Story:
    """What happened, and what it should have led to."""

    kills: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    victims: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    messages: list[Message] = field(default_factory=list)

    @classmethod
    def told(cls, players: Sequence[str], draw: random.Random, number: int) -> Story:
        story, now = cls(), clock.now()
        for _ in range(number):
            killer, victim = draw.sample(players, 2)
            at = now - timedelta(milliseconds=draw.randrange(300_000))
            story.kills[killer].append(at)
            story.victims[killer].add(victim)
            story.messages.append(kill(killer, victim, f"m{draw.randrange(7)}", at))
        return story

    def completed(self) -> set[tuple[str, str]]:
        found = {(name, "first-blood") for name in self.kills}
        found |= {(name, "trophy-wall") for name, victims in self.victims.items() if len(victims) >= 8}
        return found | {(name, "triple-kill") for name, times in self.kills.items() if _triple(times)}


def _triple(times: list[datetime]) -> bool:
    """Three in sixty seconds that begin with a whole one."""
    seconds = sorted(int(at.timestamp()) for at in times)
    return any(third - first < 60 for first, third in zip(seconds, seconds[2:], strict=False))


@pytest.mark.parametrize("kind", ["inmem", "redis"])
async def test_every_event_has_its_effect_once_however_it_comes(
    installed: Database, database_url: str, redis: str, kind: str
) -> None:
    """Two processes, each event two or three times, in any order, also both at once."""
    draw = random.Random(5)
    players = [f"p{number}" for number in range(10)]
    story = Story.told(players, draw, 130)
    one = make(kind, redis)
    two = one if kind == "inmem" else make(kind, redis)
    again = story.messages + draw.sample(story.messages, len(story.messages)) + story.messages[::-1][:40]
    draw.shuffle(again)
    try:
        async with hearing(database_url, one), hearing(database_url, two):
            for begin in range(0, len(again), 60):
                await one.publish(COMBAT, again[begin : begin + 60])
            await eventually(partial(has_seen, installed, story.messages))
            last = [kill("last", match=f"m{number}") for number in range(7)]
            await one.publish(COMBAT, last)
            await eventually(partial(has_seen, installed, last))  # so repetitions are over, too
    finally:
        await asyncio.gather(one.close(), two.close())
    counted = await rows(
        installed,
        "SELECT user_id, sum::bigint AS kills FROM gamification.accumulators "
        "WHERE scope = '' AND metric = 'kills' AND window_key = 'ever' AND user_id <> 'last'",
    )
    assert {row["user_id"]: row["kills"] for row in counted} == {
        name: len(times) for name, times in story.kills.items()
    }
    completed = await rows(
        installed,
        "SELECT user_id, achievement_id, completions FROM gamification.achievement_progress "
        "WHERE achievement_id = ANY($1) AND completed_at IS NOT NULL AND user_id <> 'last'",
        ["first-blood", "trophy-wall", "triple-kill"],
    )
    assert {(row["user_id"], row["achievement_id"]) for row in completed} == story.completed()
    assert {row["completions"] for row in completed} == {1}
    granted = await rows(
        installed,
        "SELECT user_id, source_id FROM gamification.grants "
        "WHERE source = 'achievement' AND source_id = ANY($1) AND user_id <> 'last'",
        ["first-blood", "trophy-wall", "triple-kill"],
    )
    assert Counter(map(tuple, granted)) == Counter(story.completed())
    assert not await rows(installed, "SELECT 1 FROM gamification.dead_letters")
    await check(installed)


async def test_a_consumer_that_dies_after_the_effect_and_before_it_can_say_so(
    installed: Database, database_url: str, redis: str
) -> None:
    lethal = kill("ann")
    others = [kill("ann", match=f"m{number}") for number in range(5)]
    bus = make("redis", redis)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.hear_gamification", database_url, redis, lethal.id),
        env=environment(),
    )
    try:
        await bus.publish(COMBAT, [lethal, *others])
        assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        assert await has_seen(installed, [lethal])
        after = kill("ann")
        async with hearing(database_url, bus):
            await bus.publish(COMBAT, [after])
            await eventually(partial(has_seen, installed, [lethal, *others, after]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await bus.close()
    (row,) = await rows(
        installed,
        "SELECT sum::bigint AS kills FROM gamification.accumulators "
        "WHERE scope = '' AND metric = 'kills' AND window_key = 'ever'",
    )
    assert row["kills"] == 7
    await check(installed)


async def test_what_no_honest_client_does_counts_like_everything_else(
    database: Database, database_url: str
) -> None:
    await _counting(database, "leaps", "player_id", "combat.violation")
    bus = make("inmem", "")
    leap = said("combat.violation", combat_pb2.CombatViolation(player_id="ann", kind="teleport"))
    async with hearing(database_url, bus):
        await bus.publish(VALIDATION_TOPIC, [leap])
        await eventually(partial(has_seen, database, [leap]))
    await bus.close()
    (row,) = await rows(database, "SELECT user_id, metric, sum::bigint AS sum FROM gamification.accumulators")
    assert tuple(row) == ("ann", "leaps", 1)


async def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nobody(
    installed: Database, database_url: str
) -> None:
    bus = make("inmem", "")
    damaged = said("combat.kill", combat_pb2.CombatSessionEnded())
    nobody = kill("no body")
    future = kill("ann", at=clock.now() + timedelta(minutes=5))
    unknown = said("combat.weather", combat_pb2.CombatKill())
    good = kill("ann")
    async with hearing(database_url, bus):
        await bus.publish(COMBAT, [damaged, nobody, future, unknown, good])
        await eventually(partial(has_seen, installed, [good]))
    await bus.close()
    letters = {
        row["event_id"]: row["error"]
        for row in await rows(installed, "SELECT event_id, error FROM gamification.dead_letters")
    }
    assert set(letters) == {damaged.id, nobody.id, future.id}
    assert "arenamesh.events.v1.CombatKill" in letters[damaged.id]
    assert "killer_id" in letters[nobody.id]
    assert "a minute ahead" in letters[future.id]
    assert not await has_seen(installed, [unknown])


async def test_what_was_in_quarantine_by_the_limits_is_told_and_counts_nowhere(
    installed: Database, database_url: str
) -> None:
    at = clock.now()
    data = combat_pb2.CombatPlayerSummary(player_id="ann", hits=3001, headshots=1)
    async with listening(database_url) as heard:
        await heard.handle(said("combat.player_summary", data, at=at))
    (held,) = await rows(installed, "SELECT metric, value, reached::bigint FROM gamification.quarantine")
    assert tuple(held) == ("hits", 3001, 3001)
    told = [
        Envelope.FromString(row["envelope"])
        for row in await rows(installed, "SELECT envelope FROM gamification.outbox")
    ]
    (flag,) = [each for each in told if each.type == "gamification.impossible_gain"]
    gain = gamification_pb2.ImpossibleGain.FromString(flag.data.value)
    assert (gain.user_id, gain.metric, gain.action, gain.most) == ("ann", "hits", "quarantined", 3000)
    assert not await rows(
        installed, "SELECT 1 FROM gamification.accumulators WHERE metric = 'hits' AND scope <> 'limit'"
    )


# -- mastery ------------------------------------------------------------------------------------------


def mastery(player: str, character: str, *reward_ids: str) -> Message:
    data = progression_pb2.ProgressionMasteryLevelUp(
        player_id=player, character_id=character, type="raid", from_level=1, to_level=2, reward_ids=reward_ids
    )
    return said("progression.mastery_level_up", data, character)


async def test_rewards_of_mastery_are_granted_once_for_each_character(
    installed: Database, database_url: str
) -> None:
    first, twice = (
        mastery("ann", "c1", "mastery.raid.2", "studio.cape"),
        mastery("ann", "c1", "mastery.raid.2"),
    )
    other = mastery("ann", "c2", "mastery.raid.2", "mastery.raid.5")
    async with listening(database_url) as heard:
        for message in (first, first, twice, other):
            await heard.handle(message)
        with pytest.raises(InvalidArgument, match="player_id"):
            await heard.handle(mastery("", "c1", "mastery.raid.2"))
    found = await rows(
        installed, "SELECT id, source_id, reward_id, cause FROM gamification.grants WHERE source = 'mastery'"
    )
    assert {(row["source_id"], row["reward_id"], row["cause"]) for row in found} == {
        ("c1", "mastery.raid.2", first.id),
        ("c2", "mastery.raid.2", other.id),
        ("c2", "mastery.raid.5", other.id),
    }
    assert {row["id"] for row in found} == {
        grant_id("ann", "mastery", row["source_id"], row["reward_id"], 1) for row in found
    }
    await check(installed)


# -- definitions --------------------------------------------------------------------------------------


async def test_a_metric_counts_from_when_it_was_made_also_where_nobody_knows_of_it_yet(
    database: Database, database_url: str
) -> None:
    """Another process made it, also between the reading of an event and its transaction."""
    async with listening(database_url) as heard:
        await heard.handle(kill("ann", "ben"))
        await _counting(database, "kills", "killer_id")
        await heard.handle(kill("ann", "ben"))
        stale = await heard._sources()
        await _counting(database, "deaths", "victim_id")
        looks = iter([stale])

        async def sources() -> Sources:
            return next(looks, None) or await Heard._sources(heard)

        heard._sources = sources  # type: ignore[method-assign]
        await heard.handle(kill("ann", "ben"))
    counted = await rows(
        database,
        "SELECT user_id, metric, sum::bigint AS sum FROM gamification.accumulators WHERE window_key = 'ever'",
    )
    assert set(map(tuple, counted)) == {("ann", "kills", 2), ("ben", "deaths", 1)}


async def _counting(database: Database, metric: str, user: str, event: str = "combat.kill") -> None:
    await define(
        database,
        "metric",
        id=metric,
        aggregation="AGGREGATION_COUNT",
        sources=[{"event": event, "user": user}],
    )
    await define(
        database,
        "achievement",
        id=f"many-{metric}",
        title="Many",
        type="ACHIEVEMENT_TYPE_MILESTONE",
        requirements=[{"metric": metric, "operator": "OPERATOR_GTE", "threshold": 100}],
        is_enabled=True,
    )


async def test_a_studios_own_events_count_too(database: Database, database_url: str) -> None:
    await define(
        database,
        "metric",
        id="relics",
        aggregation="AGGREGATION_DISTINCT",
        sources=[{"event": "studio.dig", "user": "id", "each": "team", "value": "relic"}],
    )
    await define(
        database,
        "achievement",
        id="archaeologist",
        title="Archaeologist",
        type="ACHIEVEMENT_TYPE_COLLECTION",
        requirements=[{"metric": "relics", "operator": "OPERATOR_GTE", "threshold": 2}],
        is_enabled=True,
    )
    bus = make("inmem", "")
    digs = [
        said("studio.dig", ParseDict({"relic": relic, "team": [{"id": "ann"}, {"id": who}]}, Struct()))
        for relic, who in [("skull", "ben"), ("skull", "cat"), ("crown", "ben")]
    ]
    async with hearing(database_url, bus):
        await bus.publish(LIVEOPS, digs)
        await eventually(partial(has_seen, database, digs))
    await bus.close()
    found = await rows(
        database, "SELECT user_id, progress FROM gamification.achievement_progress ORDER BY user_id"
    )
    assert list(map(tuple, found)) == [("ann", 100), ("ben", 100), ("cat", 50)]


# -- out ----------------------------------------------------------------------------------------------


async def test_what_a_kill_leads_to_is_told_once_in_order_and_under_its_trace(
    installed: Database, database_url: str
) -> None:
    """From the event that came in to those that go out: by ids."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    data = combat_pb2.CombatKill(killer_id="ann", victim_id="ben", weapon="rifle")
    cause = said("combat.kill", data, trace=trace)
    bus, seen = make("inmem", ""), Recorder()
    relaying = await Database.connect(database_url, size=2, wait_s=5, command_s=5)
    limits = RelayLimits(batch=50, poll_s=0.01, backoff_s=0.05, keep=timedelta(hours=1))
    relay = asyncio.create_task(Relay(relaying, Outbox(SCHEMA), bus, limits).run())
    owed = grant_id("ann", "achievement", "first-blood", "purse.small", 1)
    completed = "ann:achievement:first-blood:1:completed"
    try:
        await bus.subscribe(TOPIC, "others", seen.handle, seen.bury)
        async with hearing(database_url, bus):
            await bus.publish(COMBAT, [cause, cause])
            await seen.until([Message(completed, "ann", b""), Message(f"{owed}:granted", "ann", b"")])
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await relaying.close()
        await bus.close()
    of_ann = [message for message in seen.seen if message.subject == "ann"]
    told = {message.id: Envelope.FromString(message.body) for message in of_ann}
    assert len(told) == len(of_ann)
    assert {each.traceparent for each in told.values()} == {trace}
    unlocked = gamification_pb2.AchievementCompleted.FromString(told[completed].data.value)
    assert (list(unlocked.grant_ids), unlocked.cause) == ([owed], cause.id)
    at = Envelope.FromString(cause.body).time.ToDatetime(UTC)
    assert unlocked.completed_at.ToDatetime(UTC) == at
    granted = gamification_pb2.RewardChanged.FromString(told[f"{owed}:granted"].data.value)
    assert (granted.user_id, granted.source_id, granted.cause) == ("ann", "first-blood", cause.id)
    (notified,) = await rows(
        installed,
        "SELECT title, cause, data ->> 'achievement_id' AS id FROM gamification.notifications "
        "WHERE type = 'ACHIEVEMENT_COMPLETED'",
    )
    assert tuple(notified) == ("Achievement Unlocked: First Blood", cause.id, "first-blood")
    (history,) = await rows(
        installed,
        "SELECT history::text AS text FROM gamification.achievement_progress "
        "WHERE achievement_id = 'first-blood'",
    )
    assert cause.id in history["text"]
    transfers = await rows(installed, "SELECT id FROM gamification.transfers WHERE grant_id = $1", owed)
    assert [row["id"] for row in transfers] == list(granted.transfer_ids)

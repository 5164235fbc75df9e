"""The relay: everything that was committed reaches the bus, in the order of each subject, whatever dies."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.chassis import clock
from services.chassis.bus.inmem import InMemoryBus
from services.chassis.bus.port import Message
from services.chassis.errors import Unavailable
from services.chassis.metrics import OUTBOX_OLDEST_SECONDS, OUTBOX_WAITING
from services.chassis.outbox import START, Outbox
from services.chassis.relay import RelayLimits
from services.combat.schema import SCHEMA
from tests.support.buses import LIMITS
from tests.support.events import envelope
from tests.support.relay import relaying
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TOPIC = "test"
OUTBOX = Outbox(SCHEMA)


class ScriptedBus(InMemoryBus):
    """A bus that is away when told to be, and remembers what it took in which order."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.taken: list[str] = []
        self.away = False

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if self.away:
            raise Unavailable("Away.", reason="BUS_UNAVAILABLE")
        self.taken += [message.id for message in messages]
        await super().publish(topic, messages)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def put(connection: asyncpg.Connection, *ids: str) -> None:
    await OUTBOX.put(connection, TOPIC, [envelope(each) for each in ids])


async def write(url: str, seed: int, subjects: int, events: int) -> dict[str, list[str]]:
    """Transactions on counters, one row a subject: each takes a number at a random moment, changes one or two
    subjects, waits a little, and commits or does not. What was committed, by subject, in the order of the
    counters."""
    draw = random.Random(seed)
    connection = await asyncpg.connect(url)
    done: dict[str, list[str]] = defaultdict(list)
    for _ in range(events):
        chosen = sorted(draw.sample(range(subjects), draw.choice((1, 1, 2))))
        transaction = connection.transaction()
        await transaction.start()
        if draw.random() < 0.5:
            await connection.fetchval("SELECT pg_current_xact_id()")
            await asyncio.sleep(draw.uniform(0, 0.01))
        said = []
        for subject in chosen:
            number = await connection.fetchval(
                "UPDATE counters SET n = n + 1 WHERE subject = $1 RETURNING n", subject
            )
            said.append((f"s{subject}", f"s{subject}/{number}/{seed}"))
        await OUTBOX.put(connection, TOPIC, [envelope(event_id, name) for name, event_id in said])
        await asyncio.sleep(draw.uniform(0, 0.01))
        if draw.random() < 0.2:
            await transaction.rollback()
            continue
        await transaction.commit()
        for name, event_id in said:
            done[name].append(event_id)
    await connection.close()
    return done


async def counters(connection: asyncpg.Connection, subjects: int) -> None:
    await connection.execute("CREATE TABLE counters (subject INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
    await connection.execute("INSERT INTO counters SELECT s, 0 FROM generate_series(0, $1) s", subjects - 1)


def number(event_id: str) -> int:
    return int(event_id.split("/")[1])


def firsts(taken: Sequence[str]) -> list[str]:
    """Each in the order in which it came first."""
    return list(dict.fromkeys(taken))


def assert_complete(taken: Sequence[str], written: Sequence[dict[str, list[str]]]) -> None:
    """Exactly what was committed, each subject in the order of its changes."""
    expected = {event_id for by_subject in written for ids in by_subject.values() for event_id in ids}
    arrived = firsts(taken)
    assert set(arrived) == expected
    by_subject = defaultdict(list)
    for event_id in arrived:
        by_subject[event_id.split("/")[0]].append(number(event_id))
    for subject, numbers in by_subject.items():
        assert numbers == sorted(numbers), subject


async def all_told(connection: asyncpg.Connection) -> bool:
    return (await OUTBOX.waiting(connection, await OUTBOX.checkpoint(connection)))[0] == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_many_writers_with_delays_and_rollbacks(
    database_url: str, connection: asyncpg.Connection, seed: int
) -> None:
    await counters(connection, 6)
    bus = ScriptedBus()
    async with relaying(database_url, bus):
        written = await asyncio.gather(
            *(write(database_url, 100 * seed + writer, subjects=6, events=60) for writer in range(8))
        )
        await eventually(lambda: all_told(connection))
    assert len(bus.taken) > 200
    assert_complete(bus.taken, written)
    assert len(bus.taken) == len(set(bus.taken))  # nothing died: nothing came twice


async def test_events_wait_while_the_bus_is_away(database_url: str, connection: asyncpg.Connection) -> None:
    bus = ScriptedBus()
    bus.away = True
    async with relaying(database_url, bus):
        await put(connection, "a", "b")

        async def noticed() -> bool:
            return float(OUTBOX_WAITING.labels(SCHEMA)._value.get()) == 2

        await eventually(noticed)
        assert OUTBOX_OLDEST_SECONDS.labels(SCHEMA)._value.get() > 0
        bus.away = False
        await eventually(lambda: all_told(connection))
    assert bus.taken == ["a", "b"]


async def test_one_relay_at_a_time_and_the_next_takes_over(
    database_url: str, connection: asyncpg.Connection
) -> None:
    one, two = ScriptedBus(), ScriptedBus()
    async with relaying(database_url, two):
        async with relaying(database_url, one):
            await put(connection, *"abc")
            await eventually(lambda: all_told(connection))
            assert sorted(one.taken + two.taken) == ["a", "b", "c"]
            assert not (one.taken and two.taken)
        await put(connection, *"def")
        await eventually(lambda: all_told(connection))
    assert [each for each in two.taken if each in "def"] == ["d", "e", "f"]


async def test_a_relay_whose_connections_are_cut_goes_on(
    database_url: str, connection: asyncpg.Connection
) -> None:
    bus = ScriptedBus()
    async with relaying(database_url, bus):
        await put(connection, "a")
        await eventually(lambda: all_told(connection))
        cut = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        assert cut >= 2  # the lock's, and the pool's
        await put(connection, "b")
        await eventually(lambda: all_told(connection))
    assert bus.taken == ["a", "b"]


async def test_what_the_bus_forgot_is_sent_again(database_url: str, connection: asyncpg.Connection) -> None:
    before, after = ScriptedBus(), ScriptedBus()
    async with relaying(database_url, before):
        await put(connection, *"abc")
        await eventually(lambda: all_told(connection))
    async with relaying(database_url, after):
        await put(connection, "d")
        await eventually(lambda: all_told(connection))

        async def arrived() -> bool:
            return after.taken == ["a", "b", "c", "d"]

        await eventually(arrived)


async def test_what_was_told_goes_when_its_time_is_over(
    database_url: str, connection: asyncpg.Connection
) -> None:
    limits = RelayLimits(batch=20, poll_s=0.01, backoff_s=0.05, keep=timedelta(0))
    await put(connection, *"abc")
    bus = ScriptedBus()
    async with relaying(database_url, bus, limits):
        await eventually(lambda: all_told(connection))
    async with relaying(database_url, bus, limits):  # it forgets when it begins, then once a minute

        async def empty() -> bool:
            return await OUTBOX.read(connection, START, 10) == []

        await eventually(empty)
    assert bus.taken == ["a", "b", "c"]


async def test_pauses_grow_while_the_bus_is_away_and_are_not_of_one_length(
    database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def jittered(pause_s: float) -> float:
        pauses.append(pause_s)
        drawn = [real(pause_s) for _ in range(20)]
        assert len(set(drawn)) > 1
        assert all(pause_s / 2 <= each < pause_s for each in drawn)
        return 0

    real = clock.jittered
    monkeypatch.setattr(clock, "jittered", jittered)
    bus = ScriptedBus()
    bus.away = True
    await put(connection, "one")

    async def often() -> bool:
        return len(pauses) >= 6

    async with relaying(
        database_url, bus, RelayLimits(batch=1, poll_s=1, backoff_s=10, keep=timedelta(hours=1))
    ):
        await eventually(often)
    assert pauses[:6] == [1, 2, 4, 8, 10, 10]

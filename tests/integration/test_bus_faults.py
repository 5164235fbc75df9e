"""Brokers, relays and consumers die in the middle: duplicates on the wire, one effect each, nothing lost."""

from __future__ import annotations

import asyncio
import random
import signal
from asyncio.subprocess import Process
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from services.chassis.bus.port import Bus
from services.chassis.dead_letters import DeadLetters
from services.chassis.errors import Unavailable
from services.combat.schema import SCHEMA
from tests.support.brokers import DURABLE, KINDS, Broker, Brokers
from tests.support.buses import Recorder, make, message, some
from tests.support.effects import (
    GROUP,
    OUTBOX,
    all_in,
    assert_once_and_in_order,
    consuming,
    effects,
    process,
    told,
    write,
)
from tests.support.waiting import eventually

_topics = count(1)


@dataclass(frozen=True, slots=True)
class Served:
    """A topic of a test's own on the broker of a kind."""

    kind: str
    broker: Broker
    topic: str

    def bus(self) -> Bus:
        return make(self.kind, self.broker.url)

    @property
    def words(self) -> tuple[str, str]:
        return self.kind, self.broker.url


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest, brokers: Brokers) -> Iterator[Served]:
    broker = brokers.killable(request.param)
    yield Served(request.param, broker, f"faults{next(_topics)}")
    broker.mend()


@pytest.mark.parametrize("served", DURABLE, indirect=True)
async def test_relays_are_killed_again_and_again(
    database_url: str, connection: asyncpg.Connection, served: Served
) -> None:
    draw = random.Random(1)
    async with consuming(database_url, *served.words, served.topic):
        writing = asyncio.create_task(write(connection, served.topic, 0, 600))
        other = await asyncpg.connect(database_url)
        for _ in range(4):
            async with process("relay", database_url, *served.words) as relay:
                before = await OUTBOX.checkpoint(other)

                async def moved(before: object = before) -> bool:
                    return await OUTBOX.checkpoint(other) != before

                if not (writing.done() and await told(other)):
                    await eventually(moved, 30)
                await asyncio.sleep(draw.uniform(0, 0.05))
                relay.send_signal(signal.SIGKILL)
        written = await writing
        async with process("relay", database_url, *served.words):
            await all_in(other, len(written))
        await other.close()
    assert_once_and_in_order(await effects(connection), written)


@pytest.mark.parametrize("served", DURABLE, indirect=True)
async def test_consumers_are_killed_in_the_middle(
    database_url: str, connection: asyncpg.Connection, served: Served
) -> None:
    bus, topic = served.bus(), served.topic
    words = (database_url, *served.words, topic, GROUP)
    messages = some(900, 17)
    async with process("consume", *words) as first, process("consume", *words):
        for begin in range(0, 600, 50):
            await bus.publish(topic, messages[begin : begin + 50])
        await all_in(connection, 100)
        first.kill()
        await first.wait()
        async with process("consume", *words):
            await bus.publish(topic, messages[600:])
            await all_in(connection, 900)
    await bus.close()
    assert_once_and_in_order(await effects(connection), [each.id for each in messages])


async def test_a_consumer_that_hangs_is_replaced_and_goes_on(
    database_url: str, connection: asyncpg.Connection, served: Served
) -> None:
    bus, topic = served.bus(), served.topic
    words = (database_url, *served.words, topic, GROUP)
    messages = [message("hanging", 0), *some(600, 17)]
    async with process("consume", *words, "hanging") as first:
        await bus.publish(topic, messages[:1])

        async def hangs() -> bool:
            return bool(psutil.Process(first.pid).status() == psutil.STATUS_STOPPED)

        await eventually(hangs, 30)
        async with process("consume", *words):
            await bus.publish(topic, messages[1:300])
            await all_in(connection, 300)
            first.send_signal(signal.SIGCONT)
            await bus.publish(topic, messages[300:])
            await all_in(connection, 601)
    await bus.close()
    assert_once_and_in_order(await effects(connection), [each.id for each in messages])


async def test_an_event_that_kills_its_consumers_is_a_dead_letter_and_takes_no_other_along(
    database_url: str, connection: asyncpg.Connection, served: Served
) -> None:
    bus = served.bus()
    words = (database_url, *served.words, served.topic, GROUP)
    others = some(60, 7)
    await bus.publish(served.topic, [*others[:30], message("lethal", 0), *others[30:]])
    deaths = 0
    while not await DeadLetters(SCHEMA).list(connection):
        async with process("consume", *words) as consumer:

            async def over(consumer: Process = consumer) -> bool:
                letters = await DeadLetters(SCHEMA).list(connection)
                return consumer.returncode is not None or len(letters) >= 1

            await eventually(over, 60)
            deaths += consumer.returncode is not None
            assert deaths <= 5
    async with process("consume", *words):
        await all_in(connection, 60)
    await bus.close()
    (kept,) = await DeadLetters(SCHEMA).list(connection)
    assert kept.letter.message == message("lethal", 0)
    assert "died" in kept.letter.error
    assert sorted(await effects(connection)) == sorted(each.id for each in others)


@pytest.mark.parametrize("served", DURABLE, indirect=True)
async def test_the_broker_is_killed_and_comes_back(
    database_url: str, connection: asyncpg.Connection, served: Served
) -> None:
    broker, topic = served.broker, served.topic
    async with (
        process("relay", database_url, *served.words),
        consuming(database_url, *served.words, topic),
    ):
        written = await write(connection, topic, 0, 200)
        await all_in(connection, 50)
        await asyncio.to_thread(broker.kill)
        written += await write(connection, topic, 200, 300)
        await asyncio.to_thread(broker.start)
        written += await write(connection, topic, 300, 400)
        await all_in(connection, 400)
    assert_once_and_in_order(await effects(connection), written)


async def test_a_broker_that_hangs_is_told_of_and_used_again(served: Served) -> None:
    bus, seen = served.bus(), Recorder()
    await bus.subscribe(served.topic, GROUP, seen.handle, seen.bury)
    await bus.publish(served.topic, some(10, 3))
    await seen.until(some(10, 3))
    served.broker.pause()
    with pytest.raises(Unavailable) as caught:
        await bus.publish(served.topic, some(1, 1, 100))
    assert caught.value.reason == "BUS_UNAVAILABLE"
    with pytest.raises(Unavailable):
        await bus.ping()
    served.broker.resume()
    await published(bus, served.topic, 10)
    await seen.until(some(20, 3))
    await bus.close()


@pytest.mark.parametrize("served", DURABLE, indirect=True)
async def test_a_subscription_may_come_before_its_broker(served: Served) -> None:
    served.broker.kill()
    bus, seen = served.bus(), Recorder()
    await bus.subscribe(served.topic, GROUP, seen.handle, seen.bury)
    with pytest.raises(Unavailable):
        await bus.publish(served.topic, some(1, 1))
    await asyncio.to_thread(served.broker.start)
    await published(bus, served.topic, 0)
    await seen.until(some(10, 3))
    await bus.close()


async def published(bus: Bus, topic: str, start: int) -> None:
    """Ten events, as soon as the client has found the broker again."""

    async def taken() -> bool:
        try:
            await bus.publish(topic, some(10, 3, start))
        except Unavailable:
            return False
        return True

    await eventually(taken, 15)

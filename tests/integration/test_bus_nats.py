"""JetStream's stream is lost, or its server is not there: nothing is lost, one effect each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import nats
import pytest
from nats.js import JetStreamContext

from services.chassis.bus.port import Message, partition_of
from services.chassis.errors import Unavailable
from tests.support.brokers import Broker, Brokers
from tests.support.buses import Recorder, make, message, some
from tests.support.effects import GROUP, all_in, consuming, effects, process, told, write
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("bus nats")
STREAM = "arenamesh"


@pytest.fixture
def broker(brokers: Brokers) -> Broker:
    return brokers.of("nats")


@pytest.fixture
async def operator(broker: Broker) -> AsyncIterator[JetStreamContext]:
    async with await nats.connect(broker.url) as client:
        yield client.jetstream()


async def test_the_stream_is_lost_under_way(
    database_url: str, connection: asyncpg.Connection, broker: Broker, operator: JetStreamContext
) -> None:
    topic = "lost"
    async with process("relay", database_url, "nats", broker.url):
        # Nobody has read yet, so what is deleted would be lost; and nobody writes, which the server does not
        # survive.
        written = []
        for begin in range(0, 300, 100):
            written += await write(connection, topic, begin, begin + 100)
            await eventually(lambda: told(connection), 30)
            await operator.delete_stream(STREAM)
        async with consuming(database_url, "nats", broker.url, topic):
            written += await write(connection, topic, 300, 400)
            await all_in(connection, 400)
    assert sorted(await effects(connection)) == sorted(written)


async def test_a_group_that_is_gone_for_good_is_removed_by_hand(
    broker: Broker, operator: JetStreamContext
) -> None:
    """As the README says: until then its topic is full."""
    topic, bus, seen = "abandoned", make("nats", broker.url, stream_length=10, in_flight=4), Recorder()
    member = await bus.subscribe(topic, GROUP, seen.handle, seen.bury)
    await bus.publish(topic, [message("s", 0)])
    await seen.until([message("s", 0)])
    await member.close()
    with pytest.raises(Unavailable) as caught:
        for number in range(1, 20):
            await bus.publish(topic, [message("s", number)])
    assert caught.value.reason == "BUS_FULL"
    await operator.purge_stream(STREAM, subject=f"arenamesh.pending.{topic}.*.{GROUP}")
    await bus.publish(topic, [message("s", 20)])
    await bus.close()


async def test_what_a_group_remembers_is_small_whatever_waits(
    broker: Broker, operator: JetStreamContext
) -> None:
    """A subject that is stuck for long: what others have done since leaves nothing behind."""
    topic, bus, seen, gate = "stuck", make("nats", broker.url), Recorder(), asyncio.Event()
    beside = next(f"b{n}" for n in range(1000) if partition_of(f"b{n}") == partition_of("stuck"))

    async def handle(event: Message) -> None:
        if event == message("stuck", 0):
            await gate.wait()
        await seen.handle(event)

    await bus.subscribe(topic, GROUP, handle, seen.bury)
    await bus.publish(topic, [message("stuck", 0)])
    others = [message(beside, number) for number in range(200)]
    await bus.publish(topic, others)
    await seen.until(others)
    cell = f"arenamesh.pending.{topic}.{partition_of('stuck')}.{GROUP}"

    async def small() -> bool:
        found = await operator.get_last_msg(STREAM, cell)
        return b'"open":{"' in (found.data or b"") and len(found.data or b"") < 200

    await eventually(small)
    gate.set()
    await seen.until([message("stuck", 0)])
    await bus.close()


async def test_a_bus_that_was_never_there_can_be_closed(broker: Broker) -> None:
    broker.kill()
    bus, seen = make("nats", broker.url), Recorder()
    await bus.subscribe("nobody", GROUP, seen.handle, seen.bury)
    with pytest.raises(Unavailable):
        await bus.ping()
    async with asyncio.timeout(10):
        await bus.close()
    await asyncio.to_thread(broker.start)
    later = make("nats", broker.url)
    await later.publish("nobody", some(1, 1))
    await later.close()

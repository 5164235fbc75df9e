"""Queues of RabbitMQ are deleted, or its server dies at a bad moment: nothing is lost, nothing fills up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity

from services.chassis.bus import rabbitmq_link
from services.chassis.bus.port import PARTITIONS, partition_of
from services.chassis.bus.rabbitmq_cells import held
from services.chassis.bus.rabbitmq_link import Link
from services.chassis.bus.rabbitmq_roll import Roll
from services.chassis.bus.rabbitmq_topics import Group
from services.chassis.errors import Unavailable
from tests.support.brokers import Broker, Brokers
from tests.support.buses import LEASE_S, Recorder, make, message, some

pytestmark = pytest.mark.xdist_group("bus rabbitmq")
GROUP = "g"


@pytest.fixture
def broker(brokers: Brokers) -> Broker:
    return brokers.of("rabbitmq")


@pytest.fixture
async def operator(broker: Broker) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(broker.url) as connection:
        yield await connection.channel()


@pytest.fixture
async def link(broker: Broker) -> AsyncIterator[Link]:
    made = Link(broker.url, 1.0, LEASE_S)
    yield made
    await made.close()


async def test_who_has_not_joined_leaves_without_a_word(link: Link) -> None:
    await Roll(link, "early.0", "m", LEASE_S).leave()


async def test_a_group_that_is_gone_for_good_is_removed_by_hand(
    broker: Broker, operator: AbstractChannel
) -> None:
    """As the README says: until then its topic is full. One queue is enough, the bus deletes the others."""
    topic, bus, seen = "abandoned", make("rabbitmq", broker.url, stream_length=10, in_flight=16), Recorder()
    member = await bus.subscribe(topic, GROUP, seen.handle, seen.bury)
    await bus.publish(topic, [message("s", 0)])
    await seen.until([message("s", 0)])
    await member.close()
    with pytest.raises(Unavailable) as caught:
        for number in range(1, 20):
            await bus.publish(topic, [message("s", number)])
    assert caught.value.reason == "BUS_FULL"
    full, other = partition_of("s"), (partition_of("s") + 1) % PARTITIONS
    await operator.queue_delete(Group(topic, GROUP).queue(full))
    await bus.publish(topic, [message("s", 20)])
    with pytest.raises(ChannelNotFoundEntity):
        await operator.declare_queue(Group(topic, GROUP).queue(other), passive=True)
    await bus.close()


async def test_a_group_whose_queue_is_deleted_under_way_begins_anew(
    broker: Broker, operator: AbstractChannel
) -> None:
    topic, bus, seen = "deleted", make("rabbitmq", broker.url), Recorder()
    await bus.subscribe(topic, GROUP, seen.handle, seen.bury)
    await bus.publish(topic, some(20, 7))
    await seen.until(some(20, 7))
    await operator.queue_delete(Group(topic, GROUP).queue(partition_of("s0")))
    await bus.publish(topic, some(20, 7, 20))
    await seen.until(some(40, 7))
    seen.assert_in_order()
    await bus.close()


async def test_a_change_of_a_cell_that_was_interrupted_holds(link: Link) -> None:
    """The new message was taken, and the old one is still there; or the first one was made twice."""
    async with held(link, "cell") as cell:
        await cell.set({"n": 1})
    for stale in (b"[0, {}]", b'[1, {"n": 1}]', b'[5, {"n": 5}]', b"[0, {}]"):
        await link.publish("", "cell", stale)
    async with held(link, "cell") as cell:
        assert cell.document == {"n": 5}
        await cell.set({"n": 6})
    async with held(link, "cell") as cell:
        assert cell.document == {"n": 6}


async def test_a_cell_is_in_one_hand(link: Link) -> None:
    async def count() -> None:
        async with held(link, "counted") as cell:
            await cell.set({"n": cell.document.get("n", 0) + 1})

    await asyncio.gather(*(count() for _ in range(8)))
    async with held(link, "counted") as cell:
        assert cell.document == {"n": 8}


async def test_what_was_published_on_a_new_topic_outlives_its_server(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at once, RabbitMQ loses queues that it has just made, and whatever they took."""
    broker = brokers.killable("rabbitmq")
    topic, bus, seen = "fresh", make("rabbitmq", broker.url), Recorder()
    monkeypatch.setattr(rabbitmq_link, "NOTED_S", 1.0)
    await bus.publish(topic, some(5, 5))
    broker.kill()
    await bus.close()
    await asyncio.to_thread(broker.start)
    later = make("rabbitmq", broker.url)
    await later.subscribe(topic, GROUP, seen.handle, seen.bury)
    await seen.until(some(5, 5), 30)
    await later.close()

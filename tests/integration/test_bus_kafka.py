"""Kafka's topic is lost, or a lease is shorter than the broker grants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from services.chassis.bus.kafka_client import options, topic_name
from services.chassis.bus.port import Message, partition_of
from services.chassis.errors import Unavailable
from tests.support.brokers import Broker, Brokers
from tests.support.buses import LEASE_S, LIMITS, Recorder, make, message, some
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("bus kafka")


@pytest.fixture
def broker(brokers: Brokers) -> Broker:
    return brokers.of("kafka")


@pytest.fixture
async def operator(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**options(broker.url))
    await admin.start()
    yield admin
    await admin.close()


async def test_a_topic_that_is_deleted_is_made_again_and_read_from_its_beginning(
    broker: Broker, operator: AIOKafkaAdminClient
) -> None:
    """Its offsets begin anew: what was handled under the same ones before stands for nothing."""
    topic, bus, seen = "deleted", make("kafka", broker.url), Recorder()
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    before, after = some(30, 7), some(30, 7, start=30)
    await bus.publish(topic, before)
    await seen.until(before)
    await operator.delete_topics([topic_name(topic)])

    async def heard() -> bool:
        """What is taken before the topic is gone, goes with it."""
        with suppress(Unavailable):
            await bus.publish(topic, after)
        return {each.id for each in after} <= seen.ids

    await eventually(heard, 15)
    await bus.close()


async def test_what_is_no_event_is_passed_over(broker: Broker) -> None:
    """Somebody else may write into a topic of the bus."""
    topic, bus, seen = "foreign", make("kafka", broker.url), Recorder()
    await bus.publish(topic, [message("s", 0)])
    async with AIOKafkaProducer(**options(broker.url)) as producer:
        for key, value in ((None, b"no key"), (b"no value", None), (b"no id", b"")):
            await producer.send_and_wait(topic_name(topic), value, key, partition=partition_of("s"))
    await bus.publish(topic, [message("s", 1)])
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    await seen.until([message("s", 1)])
    assert [each.id for each in seen.seen] == ["s/0", "s/1"]
    await bus.close()


async def test_a_lease_shorter_than_a_session_may_be(broker: Broker) -> None:
    seen = Recorder()
    bus = make("kafka", broker.url, lease_s=0.95 * LEASE_S)
    await bus.subscribe("short", "g", seen.handle, seen.bury)
    await bus.publish("short", [message("s", 0)])
    await seen.until([message("s", 0)])
    await bus.close()


async def test_a_group_that_is_divided_anew_again_and_again_blames_no_event(broker: Broker) -> None:
    """More often than an event may be tried: what was given back was no attempt."""
    topic, bus, seen = "divided", make("kafka", broker.url), Recorder()
    gate, tried = asyncio.Event(), asyncio.Event()

    async def handle(event: Message) -> None:
        tried.set()
        if not gate.is_set():
            raise Unavailable("Later.", reason="DATABASE_UNAVAILABLE")
        await seen.handle(event)

    messages = some(40, 3)
    await bus.publish(topic, messages)
    for _ in range(LIMITS.max_attempts + 1):
        tried.clear()
        member = await bus.subscribe(topic, "g", handle, seen.bury)
        async with asyncio.timeout(10):
            await tried.wait()
        await member.close()
    gate.set()
    await bus.subscribe(topic, "g", handle, seen.bury)
    await seen.until(messages)
    seen.assert_in_order()
    assert not seen.letters
    await bus.close()

"""What every driver of the bus must do. One suite; the kinds are its parameter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import count

import pytest

from services.chassis.bus.port import Bus, DeadLetter, Message
from services.chassis.errors import Unavailable
from services.chassis.metrics import BUS_LAG
from tests.support import servicebus
from tests.support.brokers import KINDS, Brokers
from tests.support.buses import Recorder, make, message, some
from tests.support.waiting import eventually

Make = Callable[..., Bus]
_topics = count(1)


@pytest.fixture
def topic() -> str:
    """Its own for each test: the servers are shared."""
    return f"topic{next(_topics)}"


@pytest.fixture(params=["inmem", "servicebus", *KINDS])
async def bus_of(
    request: pytest.FixtureRequest, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Make]:
    """Makes buses of one kind, all closed at the end."""
    if request.param == "servicebus":
        servicebus.pretend(monkeypatch)
    url = "" if request.param in ("inmem", "servicebus") else brokers.of(request.param).url
    made: list[Bus] = []

    def one(**limits: float) -> Bus:
        made.append(make(request.param, url, **limits))
        return made[-1]

    yield one
    await asyncio.gather(*(bus.close() for bus in made))


async def test_a_subject_keeps_its_order_and_nothing_is_lost(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()
    messages = some(400, 23)
    await bus.publish(topic, messages[:100])
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    for begin in range(100, 400, 50):
        await bus.publish(topic, messages[begin : begin + 50])
    await seen.until(messages)
    # What a member has in hand that stands still for a lease comes again.
    assert {each.id: each for each in seen.seen} == {each.id: each for each in messages}
    seen.assert_in_order()


async def test_one_subject_one_hand(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    together = 0

    async def handle(message: Message) -> None:
        nonlocal together
        running[message.subject] += 1
        most[message.subject] = max(most[message.subject], running[message.subject])
        together = max(together, running.total())
        await asyncio.sleep(0.001)
        running[message.subject] -= 1
        await seen.handle(message)

    await bus.subscribe(topic, "g", handle, seen.bury)
    messages = some(100, 5)
    await bus.publish(topic, messages)
    await seen.until(messages)
    assert set(most.values()) == {1}
    assert together > 1


async def test_every_group_gets_everything_and_its_members_share(bus_of: Make, topic: str) -> None:
    bus = bus_of()
    everything, one, two = Recorder(), Recorder(), Recorder()
    await bus.subscribe(topic, "alone", everything.handle, everything.bury)
    await bus.subscribe(topic, "shared", one.handle, one.bury)
    await bus.subscribe(topic, "shared", two.handle, two.bury)
    published: list[Message] = []
    async with asyncio.timeout(30):
        while len(one.ids) < 50 or len(two.ids) < 50:
            batch = some(50, 40, len(published))
            published += batch
            await bus.publish(topic, batch)
            await everything.until(batch)
    await everything.until(published)
    async with asyncio.timeout(30):
        while len(one.ids | two.ids) < len(published):  # noqa: ASYNC110  # two recorders
            await asyncio.sleep(0.005)
    assert len(everything.seen) == len(published)
    assert not one.ids & two.ids


async def test_order_while_members_come_and_go(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()

    async def handle(message: Message) -> None:
        await asyncio.sleep(0.002)
        await seen.handle(message)

    members = [await bus.subscribe(topic, "g", handle, seen.bury)]
    messages = some(600, 31)
    for number, begin in enumerate(range(0, 600, 50)):
        await bus.publish(topic, messages[begin : begin + 50])
        await seen.until(messages[max(0, begin - 50) : begin])
        if number % 3 == 2:
            await members.pop(0).close()
        members.append(await bus.subscribe(topic, "g", handle, seen.bury))
    await seen.until(messages)
    seen.assert_in_order()
    assert len(seen.seen) == len(messages)  # nobody died: nothing came twice


async def test_what_is_published_again_comes_again(bus_of: Make, topic: str) -> None:
    """As a dead letter is that is replayed: no bus may take it for a duplicate."""
    bus, seen = bus_of(), Recorder()
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    again, after = message("s", 0), message("s", 1)
    await bus.publish(topic, [again])
    await seen.until([again])
    await bus.publish(topic, [again, after])
    await seen.until([after])
    assert [each.id for each in seen.seen] == ["s/0", "s/0", "s/1"]


async def test_what_failed_comes_again_and_only_its_subject_waits(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()
    attempts: Counter[str] = Counter()

    async def handle(message: Message) -> None:
        attempts[message.id] += 1
        if message.id == "bad/0" and attempts[message.id] < 3:
            raise LookupError
        await seen.handle(message)

    await bus.subscribe(topic, "g", handle, seen.bury)
    messages = [message("bad", 0), message("bad", 1), message("good", 0), message("good", 1)]
    await bus.publish(topic, messages)
    await seen.until(messages)
    seen.assert_in_order()
    assert attempts == {"bad/0": 3, "bad/1": 1, "good/0": 1, "good/1": 1}
    assert not seen.letters


async def test_poison_becomes_a_dead_letter_and_blocks_nobody(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()

    async def handle(message: Message) -> None:
        if message.id == "bad/0":
            raise LookupError("of all things")
        await seen.handle(message)

    await bus.subscribe(topic, "g", handle, seen.bury)
    others = [message("good", number) for number in range(20)]
    after = message("bad", 1)
    await bus.publish(topic, [message("bad", 0), after, *others])
    await seen.until([*others, after])
    assert seen.letters == [DeadLetter("g", topic, message("bad", 0), "LookupError: of all things", 3)]


async def test_not_now_is_no_attempt(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()
    attempts = 0

    async def handle(message: Message) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 10:
            raise Unavailable("Later.", reason="DATABASE_UNAVAILABLE")
        await seen.handle(message)

    await bus.subscribe(topic, "g", handle, seen.bury)
    await bus.publish(topic, [message("s", 0)])
    await seen.until([message("s", 0)])
    assert (attempts, seen.letters) == (10, [])


async def test_a_dead_letter_that_cannot_be_kept_is_kept_later(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()
    refused = 0

    async def handle(_message: Message) -> None:
        raise LookupError

    async def bury(letter: DeadLetter) -> None:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise Unavailable("Later.", reason="DATABASE_UNAVAILABLE")
        await seen.bury(letter)

    await bus.subscribe(topic, "g", handle, bury)
    await bus.publish(topic, [message("s", 0)])
    await seen.until_letters(1)
    assert [(letter.message.id, letter.attempts) for letter in seen.letters] == [("s/0", 3)]


async def test_what_a_member_leaves_unfinished_goes_to_the_others(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(close_s=0.05), Recorder()
    started = asyncio.Event()

    async def hang(_message: Message) -> None:
        started.set()
        await asyncio.Event().wait()

    first = await bus.subscribe(topic, "g", hang, seen.bury)
    messages = [message("s", number) for number in range(3)]
    await bus.publish(topic, messages)
    async with asyncio.timeout(10):
        await started.wait()
    await first.close()
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    await seen.until(messages)
    seen.assert_in_order()


async def test_closing_lets_a_running_handler_finish(bus_of: Make, topic: str) -> None:
    bus, seen, after = bus_of(), Recorder(), Recorder()
    started, go = asyncio.Event(), asyncio.Event()

    async def handle(message: Message) -> None:
        started.set()
        await go.wait()
        await seen.handle(message)

    member = await bus.subscribe(topic, "g", handle, seen.bury)
    messages = [message("s", 0), message("s", 1)]
    await bus.publish(topic, messages)
    async with asyncio.timeout(10):
        await started.wait()
    closing = asyncio.create_task(member.close())
    await asyncio.sleep(0)  # it has begun
    go.set()
    await closing
    assert [each.id for each in seen.seen] == ["s/0"]
    await bus.subscribe(topic, "g", after.handle, after.bury)
    await after.until(messages[1:])
    assert [each.id for each in after.seen] == ["s/1"]


async def test_a_new_group_begins_with_the_oldest(bus_of: Make, topic: str) -> None:
    bus, early, late = bus_of(), Recorder(), Recorder()
    await bus.subscribe(topic, "early", early.handle, early.bury)
    messages = some(30, 7)
    await bus.publish(topic, messages)
    await early.until(messages)
    await bus.subscribe(topic, "late", late.handle, late.bury)
    await late.until(messages)
    late.assert_in_order()


async def test_a_full_bus_refuses_until_the_slowest_group_has_caught_up(bus_of: Make, topic: str) -> None:
    bus, fast, slow = bus_of(stream_length=10, in_flight=4), Recorder(), Recorder()
    go = asyncio.Event()

    async def wait(message: Message) -> None:
        await go.wait()
        await slow.handle(message)

    await bus.subscribe(topic, "fast", fast.handle, fast.bury)
    await bus.subscribe(topic, "slow", wait, slow.bury)
    first = message("s", 0)
    await bus.publish(topic, [first])
    await fast.until([first])
    published = [first]
    with pytest.raises(Unavailable) as caught:
        for number in range(1, 100):
            await bus.publish(topic, [message("s", number)])
            published.append(message("s", number))
    assert caught.value.reason == "BUS_FULL"
    assert 10 <= len(published) < 20
    go.set()
    await slow.until(published)
    refused = message("s", len(published))
    async with asyncio.timeout(10):
        while True:
            try:
                await bus.publish(topic, [refused])
                break
            except Unavailable:  # not acknowledged yet
                await asyncio.sleep(0.005)
    await slow.until([refused])
    await fast.until([*published, refused])
    slow.assert_in_order()


async def test_without_groups_the_oldest_go(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(stream_length=10), Recorder()
    messages = [message("s", number) for number in range(100)]
    for each in messages:
        await bus.publish(topic, [each])
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    await seen.until(messages[-5:])
    seen.assert_in_order()
    assert len(seen.seen) <= 11


async def test_no_more_is_in_hand_than_the_limit(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(in_flight=8), Recorder()
    running = most = 0
    go = asyncio.Event()

    async def handle(message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 8:
            go.set()
        await go.wait()
        running -= 1
        await seen.handle(message)

    messages = some(200, 200)
    await bus.publish(topic, messages)
    await bus.subscribe(topic, "g", handle, seen.bury)
    await seen.until(messages)
    assert 8 <= most < 8 + 16  # a read may bring one more of each partition


async def test_any_subject_and_body(bus_of: Make, topic: str) -> None:
    bus, seen = bus_of(), Recorder()
    messages = [
        Message("\u00e9v\u00e9nement 1 ", " Zo\u00eb\r\n\u2028*.>{}/\U0001f3ae", bytes(range(256))),
        Message("2", "s" * 200, b""),
        Message("3", "s", b"\n\r\n" * 20_000),
    ]
    await bus.publish(topic, messages)
    await bus.subscribe(topic, "g", seen.handle, seen.bury)
    await seen.until(messages)
    assert sorted(seen.seen, key=lambda each: each.id) == sorted(messages, key=lambda each: each.id)


async def test_marks(bus_of: Make, topic: str) -> None:
    bus = bus_of()
    assert await bus.marked(topic) is None
    assert not await bus.mark(topic, "1-2", "0-0")
    assert await bus.mark(topic, "1-2", None)
    assert not await bus.mark(topic, "9-9", None)
    assert await bus.mark(topic, "3-4", "1-2")
    assert await bus.marked(topic) == "3-4"
    await bus.ping()


async def test_it_is_known_how_far_a_group_is_behind(bus_of: Make, topic: str) -> None:
    bus, seen, gate = bus_of(), Recorder(), asyncio.Event()
    messages = some(100, 7)

    async def handle(message: Message) -> None:
        await gate.wait()
        await seen.handle(message)

    def lag() -> float:
        return float(BUS_LAG.labels(topic, "g")._value.get())

    async def is_(events: int) -> bool:
        return lag() == events

    await bus.publish(topic, messages)
    members = [await bus.subscribe(topic, "g", handle, seen.bury) for _ in range(2)]
    # More than is in memory, and what is; of both members together, each once.
    await eventually(partial(is_, 100))
    gate.set()
    await seen.until(messages)
    await eventually(partial(is_, 0))
    gate.clear()
    await bus.publish(topic, some(3, 1, start=100))
    await eventually(partial(is_, 3))
    gate.set()
    await asyncio.gather(*(member.close() for member in members))
    assert lag() == 0

"""Members are cut off from Service Bus: what they had goes to others, in order, and poison is found."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from services.chassis.bus.port import Message
from tests.support.buses import Recorder, make, message
from tests.support.servicebus import Namespace, pretend
from tests.support.waiting import eventually


async def is_settled(namespace: Namespace) -> bool:
    """The group is no new one any more, and has nothing left."""
    return any(queue.user_metadata and not queue.messages for queue in namespace.queues.values())


@pytest.mark.parametrize("settled", [False, True])
async def test_what_one_had_who_is_cut_off_goes_to_another(
    monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    """In what was published before the group came, and in its own queue."""
    namespace, seen, before, started = pretend(monkeypatch), Recorder(), Recorder(), asyncio.Event()
    first = make("servicebus", "", close_s=0.01)

    async def hang(event: Message) -> None:
        if event.subject == "before":
            return await before.handle(event)
        started.set()
        await asyncio.Event().wait()
        return None

    await first.subscribe("t", "g", hang, seen.bury)
    if settled:
        await first.publish("t", [message("before", 0)])
        await before.until([message("before", 0)])
        await eventually(partial(is_settled, namespace))
    messages = [message("s", number) for number in range(3)]
    await first.publish("t", messages)
    async with asyncio.timeout(10):
        await started.wait()
    await namespace.cut()
    second = make("servicebus", "")
    await second.subscribe("t", "g", seen.handle, seen.bury)
    await seen.until(messages)
    seen.assert_in_order()
    assert len(seen.seen) == len(messages)
    await asyncio.gather(first.close(), second.close())


async def test_who_never_comes_back_from_an_event_makes_it_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Member after member falls silent with it, and with another that it had read."""
    namespace, seen = pretend(monkeypatch), Recorder()
    begun: list[str] = []

    async def hang(event: Message) -> None:
        if event.subject == "lethal":
            begun.append(event.id)
            await asyncio.Event().wait()
        await seen.handle(event)

    members = [make("servicebus", "", close_s=0.01)]
    await members[0].subscribe("t", "g", hang, seen.bury)
    await members[0].publish("t", [message("before", 0)])
    await seen.until([message("before", 0)])
    await eventually(partial(is_settled, namespace))
    await members[0].publish("t", [message("lethal", 0), message("lethal", 1), message("other", 0)])
    while not seen.letters:
        before = len(begun)

        async def further(before: int = before) -> bool:
            return len(begun) > before or bool(seen.letters)

        await eventually(further)
        await namespace.cut()
        members.append(make("servicebus", "", close_s=0.01))
        await members[-1].subscribe("t", "g", hang, seen.bury)
        assert len(members) <= 8
    await seen.until([message("other", 0)])
    await asyncio.gather(*(member.close() for member in members))
    assert [letter.message for letter in seen.letters] == [message("lethal", 0)]
    assert "died" in seen.letters[0].error

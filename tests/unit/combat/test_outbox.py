"""What waits for one reader: order, joining, bounds, endings. Writes are held open by the test."""

import asyncio
from dataclasses import replace

import grpc
import pytest

from services.chassis import clock
from services.chassis.errors import ResourceExhausted, Unavailable
from services.combat.live.outbox import Limits, Outbox

LIMITS = Limits(pending_bytes=100, pending_messages=5, slow_s=0, write_timeout_s=5, close_timeout_s=30)


class Wire:
    """A transport that takes a message when told to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def write(self, message: bytes) -> None:
        await self.open.wait()
        if self.broken:
            raise grpc.aio.UsageError("gone")
        self.sent.append(message)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def outbox(wire: Wire, limits: Limits = LIMITS, *, join: bool = True, newest: bytes | None = None) -> Outbox:
    return Outbox(
        wire.write, limits, slow_notice=b"SLOW", newest=None if newest is None else lambda: newest, join=join
    )


async def settle() -> None:
    """Lets every ready task run to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_reader_flushes_itself(wire: Wire) -> None:
    box = outbox(wire)
    box.put(b"a")
    await box.flush()
    assert wire.sent == [b"a"]
    assert not box.busy


async def test_what_comes_during_a_write_leaves_in_one_message(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire)
    box.put(b"a")
    box.kick()
    await settle()
    for part in (b"b", b"c", b"d"):
        box.put(part)
        box.kick()
    wire.open.set()
    await settle()
    assert wire.sent == [b"a", b"bcd"]


async def test_messages_that_do_not_merge_stay_apart(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire, join=False)
    for part in (b"a", b"b", b"c"):
        box.put(part)
    box.kick()
    wire.open.set()
    await settle()
    assert wire.sent == [b"a", b"b", b"c"]


async def test_only_the_newest_state_is_sent(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire, newest=b"N")
    box.due()
    box.kick()
    await settle()
    box.put(b"a")
    for _ in range(50):
        box.due()
        box.kick()
    wire.open.set()
    await settle()
    assert wire.sent == [b"N", b"aN"]


@pytest.mark.parametrize("parts", [[b"x" * 60, b"y" * 41], [b"x"] * 6])
async def test_over_a_bound_the_stream_ends_with_a_notice(wire: Wire, parts: list[bytes]) -> None:
    wire.open.clear()
    box = outbox(wire)
    box.put(b"first")
    box.kick()
    await settle()
    for part in parts:
        box.put(part)
    assert not box.over.done()
    wire.open.set()
    error = await box.over
    assert getattr(error, "reason", "") == "SLOW_READER"
    assert wire.sent == [b"first", b"SLOW"]


async def test_at_the_bound_it_does_not(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire)
    box.put(b"first")
    box.kick()
    await settle()
    box.put(b"x" * 100)
    wire.open.set()
    await settle()
    assert wire.sent == [b"first", b"x" * 100]
    assert not box.over.done()


async def test_a_write_that_takes_too_long(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire)
    box.put(b"a")
    box.kick()
    await settle()
    now = clock.monotonic_s()
    box.check(now + 4)
    wire.open.set()
    await settle()
    assert not box.over.done()
    wire.open.clear()
    box.put(b"b")
    box.kick()
    await settle()
    box.check(clock.monotonic_s() + 6)
    wire.open.set()
    assert getattr(await box.over, "reason", "") == "SLOW_READER"


async def test_an_idle_stream_is_not_slow(wire: Wire) -> None:
    box = outbox(wire)
    box.put(b"a")
    await box.flush()
    box.check(clock.monotonic_s() + 3600)
    await settle()
    assert not box.over.done()


async def test_a_write_that_has_not_begun_takes_no_time(wire: Wire) -> None:
    box = outbox(wire)
    box.put(b"a")
    await box.flush()
    box.put(b"b")
    box.kick()
    box.check(clock.monotonic_s() + 100)
    await settle()
    assert wire.sent == [b"a", b"b"]
    assert not box.over.done()


async def test_an_end_waits_for_what_was_put_before(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire)
    box.put(b"a")
    box.kick()
    await settle()
    box.put(b"b")
    error = Unavailable("x", reason="DRAINING")
    box.end(error, b"!")
    box.put(b"too late")
    await settle()
    assert not box.over.done()
    wire.open.set()
    assert await box.over is error
    assert wire.sent == [b"a", b"b!"]


async def test_the_first_end_counts(wire: Wire) -> None:
    box = outbox(wire)
    box.end(None, b"!")
    box.end(Unavailable("x", reason="LATER"), b"?")
    assert await box.over is None
    assert wire.sent == [b"!"]


async def test_a_reader_that_never_comes_back_is_given_up(wire: Wire) -> None:
    wire.open.clear()
    limits = replace(LIMITS, close_timeout_s=0.01)
    box = outbox(wire, limits)
    box.put(b"a")
    box.kick()
    await settle()
    box.end(Unavailable("x", reason="DRAINING"), b"!")
    assert getattr(await box.over, "reason", "") == "DRAINING"
    box.close()
    wire.open.set()
    await settle()
    assert wire.sent == [b"a"]


async def test_a_stream_that_is_gone(wire: Wire) -> None:
    wire.broken = True
    box = outbox(wire)
    box.put(b"a")
    await box.flush()
    assert box.closed
    assert await box.over is None
    box.put(b"b")
    box.kick()
    await settle()
    assert wire.sent == []


async def test_nothing_is_written_after_close(wire: Wire) -> None:
    box = outbox(wire, newest=b"N")
    box.put(b"a")
    box.due()
    box.close()
    box.kick()
    await settle()
    assert wire.sent == []
    assert await box.over is None


async def test_a_fault_of_ours_ends_it_at_once(wire: Wire) -> None:
    box = outbox(wire)
    fault = ValueError("bug")
    box.fail(fault)
    assert await box.over is fault


PATIENT = replace(LIMITS, slow_s=0.5)


async def test_a_burst_is_not_the_readers_fault(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire, PATIENT)
    box.put(b"a")
    box.kick()
    await settle()
    box.put(b"b" * 1000)
    box.check(clock.monotonic_s())
    assert not box.over.done()
    wire.open.set()
    await settle()
    assert wire.sent == [b"a", b"b" * 1000]
    # What comes later is judged on its own.
    wire.open.clear()
    box.put(b"c")
    box.kick()
    await settle()
    box.put(b"d" * 101)
    box.check(clock.monotonic_s() + 0.4)
    assert box.reading


@pytest.mark.parametrize("join", [True, False])
async def test_a_burst_before_a_write_begins_is_forgotten_when_it_is_sent(wire: Wire, join: bool) -> None:
    box = outbox(wire, PATIENT, join=join)
    for _ in range(4):
        box.put(b"x" * 60)
        box.kick()
    await settle()
    assert b"".join(wire.sent) == b"x" * 240
    wire.open.clear()
    box.put(b"y")
    box.kick()
    await settle()
    box.check(clock.monotonic_s() + 0.6)
    assert box.reading


@pytest.mark.parametrize("join", [True, False])
async def test_a_burst_that_stays_is(wire: Wire, join: bool) -> None:
    wire.open.clear()
    box = outbox(wire, PATIENT, join=join)
    box.put(b"a")
    box.kick()
    await settle()
    box.put(b"b" * 101)
    box.check(clock.monotonic_s() + 0.4)
    assert box.reading
    box.check(clock.monotonic_s() + 0.6)
    wire.open.set()
    error = await box.over
    assert isinstance(error, ResourceExhausted)
    assert wire.sent == [b"a", b"SLOW"]


async def test_a_burst_has_a_bound(wire: Wire) -> None:
    wire.open.clear()
    box = outbox(wire, PATIENT)
    box.put(b"a")
    box.kick()
    await settle()
    box.put(b"b" * 1601)
    assert not box.reading
    wire.open.set()
    assert isinstance(await box.over, ResourceExhausted)

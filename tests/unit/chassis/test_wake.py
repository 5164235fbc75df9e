"""Who may watch, and what wakes whom."""

from __future__ import annotations

from contextlib import ExitStack
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis

from services.chassis import clock
from services.chassis.auth import Principal, Role
from services.chassis.errors import ResourceExhausted, Unauthenticated, Unavailable
from services.chassis.wake import Hub


def hub(*, limit: int = 4, each: int | None = None) -> tuple[Hub, Gauge]:
    streams = Gauge("streams", "Open.", registry=CollectorRegistry())

    async def versions(_ids: list[str]) -> dict[str, int]:
        raise AssertionError("nobody polls")

    made = Hub(
        cast(Redis, None),
        channel="{test}:changes",
        versions=versions,
        limit=limit,
        poll_s=1,
        streams=streams,
        each=each,
    )
    return made, streams


def caller(*, seconds: int = 60) -> Principal:
    return Principal("ann", Role.PLAYER, clock.unix_s() + seconds)


def test_a_stream_is_woken_by_what_it_has_not_told() -> None:
    watched, _ = hub()
    with (
        watched.watching("ann") as behind,
        watched.watching("ann") as ahead,
        watched.watching("bob") as other,
    ):
        behind.version, ahead.version = 6, 7
        watched.told({"ann": 7, "nobody": 3})
        assert [each.woken.is_set() for each in (behind, ahead, other)] == [True, False, False]


def test_streams_are_counted_and_limited() -> None:
    watched, streams = hub(limit=3, each=2)
    with ExitStack() as open_:
        for id_ in ("ann", "ann"):
            open_.enter_context(watched.watching(id_))
        with pytest.raises(ResourceExhausted) as caught, watched.watching("ann"):
            pass
        assert (caught.value.reason, caught.value.metadata) == ("TOO_MANY_STREAMS", {"limit": "2"})
        open_.enter_context(watched.watching("bob"))
        with pytest.raises(ResourceExhausted) as caught, watched.watching("eve"):
            pass
        assert (caught.value.reason, caught.value.elsewhere) == ("TOO_MANY_WATCHERS", True)
        assert streams._value.get() == 3
    assert streams._value.get() == 0
    with watched.watching("ann"):
        pass


async def test_a_stream_ends_with_the_process_or_its_token() -> None:
    watched, _ = hub()
    with watched.watching("ann") as watcher:
        watched.check(caller())
        with pytest.raises(Unauthenticated) as expired:
            watched.check(caller(seconds=0))
        assert expired.value.reason == "TOKEN_EXPIRED"
        await watcher.wait(caller(seconds=0))  # its time is over: nobody has to wake it
        watched.drain()
        await watcher.wait(caller())
        with pytest.raises(Unavailable) as stopping:
            watched.check(caller())
        assert (stopping.value.reason, stopping.value.elsewhere) == ("DRAINING", True)
    with pytest.raises(Unavailable), watched.watching("ann"):
        pass

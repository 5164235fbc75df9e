"""Subscribe: what a player is told, as it becomes durable, none left out and none twice.

A stream reads the table from where it is, so it holds no queue; what wakes it is in the chassis (`wake.py`).
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg
import structlog
from arenamesh.gamification.v1 import notification_pb2, notification_service_pb2
from google.protobuf.json_format import ParseDict
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import sql
from services.chassis.auth import Principal
from services.chassis.db import Database
from services.chassis.errors import DataLoss, DomainError, OutOfRange
from services.chassis.lookup import Lookup
from services.chassis.method import Context
from services.chassis.metrics import (
    GAMIFICATION_NOTIFICATIONS_SENT,
    GAMIFICATION_STREAM_ENDS,
    GAMIFICATION_STREAMS,
)
from services.chassis.wake import Hub, Watcher, write
from services.chassis.write_through import WriteThrough
from services.gamification.committer import Listener
from services.gamification.schema import SQL

CHANNEL = "{gamification}:notifications"
"""Where processes tell each other how far notifications of users are."""
_log = structlog.get_logger()


class State(NamedTuple):
    """`newest`: the last sequence that there was, 0 before the first. `oldest`: the first that is kept; one
    more than `newest` when none is."""

    newest: int
    oldest: int


class Position(NamedTuple):
    """Where a stream is: `sequence` was the last one that it told."""

    user_id: str
    sequence: int


class Kept(NamedTuple):
    """Notifications that follow each other, and the newest sequence that there is."""

    events: list[notification_pb2.GameEvent]
    newest: int


class FeedStore:
    """Notifications in PostgreSQL. `page`: how many of a user are read at once; `batch`: for how many streams
    together."""

    def __init__(self, database: Database, *, page: int, batch: int) -> None:
        self.page = page
        self._database = database
        self._sql = sql.load(SQL / "notifications.sql")
        self._after = Lookup(self._read_after, batch=batch)

    async def state(self, user_id: str) -> State:
        """Of a user; also of one of whom nothing is known."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._sql["state"], user_id)
        assert row is not None
        newest = row["newest"]
        return State(newest, row["oldest"] if row["oldest"] is not None else newest + 1)

    async def after(self, position: Position) -> Kept:
        """The oldest first, without a gap.

        Raises:
            OutOfRange: SEQUENCE_GONE, those that follow are no longer kept.
            DataLoss: NOTIFICATIONS_MISSING.
        """
        rows = await self._after.get(position) or []
        for number, row in enumerate(rows, position.sequence + 1):
            if row["sequence"] != number:
                if number == position.sequence + 1:
                    raise _gone(State(row["newest"], row["sequence"]))
                raise DataLoss(
                    f"notification {number} of the user is missing",
                    reason="NOTIFICATIONS_MISSING",
                    metadata={"user_id": position.user_id, "sequence": str(number)},
                )
        newest = rows[-1]["newest"] if rows else position.sequence
        return Kept([_event(row) for row in rows], newest)

    async def _read_after(self, positions: list[Position]) -> dict[Position, list[asyncpg.Record]]:
        users, sequences = zip(*positions, strict=True)
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["after"], users, sequences, self.page)
        found: dict[Position, list[asyncpg.Record]] = {}
        for row in rows:
            found.setdefault(Position(row["user_id"], row["after"]), []).append(row)
        return found

    async def newest(self, user_ids: list[str]) -> dict[str, int]:
        """How far each of them is."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["newest"], user_ids)
        return {row["user_id"]: row["notified"] for row in rows}


def feed_hub(redis: Redis, store: FeedStore, *, limit: int, each: int, poll_s: float) -> Hub:
    """Who is subscribed in this process. `limit`: streams at once; `each`: of one user."""
    return Hub(
        redis,
        channel=CHANNEL,
        versions=store.newest,
        limit=limit,
        poll_s=poll_s,
        streams=GAMIFICATION_STREAMS,
        each=each,
    )


def telling(hub: Hub, redis: Redis) -> Listener:
    """Wakes streams of whom a commit notified: here at once, and through Redis those of other processes."""

    async def publish(newest: Mapping[str, int]) -> None:
        try:
            await redis.publish(CHANNEL, json.dumps(newest))
        except (RedisError, OSError, TimeoutError) as error:
            # They look for it themselves.
            _log.info("notifications were not announced", error=repr(error))

    announcements = WriteThrough(publish)

    def told(notified: Mapping[str, int], _versions: Mapping[str, int]) -> None:
        if notified:
            hub.told(notified)
            announcements.told(notified)

    return told


class Feed:
    """Opens streams. `write_s`: how long a write may take."""

    def __init__(self, hub: Hub, store: FeedStore, *, write_s: float) -> None:
        self._hub = hub
        self._store = store
        self._write_s = write_s

    async def serve(self, user_id: str, after: int | None, context: Context, caller: Principal) -> None:
        """Runs one stream until it is ended, or nobody reads it any more. `after`: see SubscribeRequest.

        Raises:
            OutOfRange: SEQUENCE_AHEAD, SEQUENCE_GONE.
            ResourceExhausted: TOO_MANY_WATCHERS, TOO_MANY_STREAMS, SLOW_READER.
            Unavailable: DRAINING.
            Unauthenticated: TOKEN_EXPIRED.
        """
        try:
            with self._hub.watching(user_id) as watcher:
                await self._run(after, context, caller, watcher)
        except DomainError as error:
            GAMIFICATION_STREAM_ENDS.labels(error.reason).inc()
            raise

    async def _run(self, after: int | None, context: Context, caller: Principal, watcher: Watcher) -> None:
        state = await self._store.state(watcher.id)
        watcher.version = _start(after, state)
        await self._write(context, notification_service_pb2.SubscribeResponse(newest=state.newest))
        # What was committed before it is watched woke nobody.
        watcher.woken.set()
        while True:
            await watcher.wait(caller)
            while True:
                kept = await self._store.after(Position(watcher.id, watcher.version))
                for event in kept.events:
                    answer = notification_service_pb2.SubscribeResponse(event=event, newest=kept.newest)
                    await self._write(context, answer)
                    GAMIFICATION_NOTIFICATIONS_SENT.inc()
                    watcher.version = event.sequence
                    self._hub.check(caller)
                if len(kept.events) < self._store.page:
                    break
            self._hub.check(caller)

    async def _write(self, context: Context, answer: notification_service_pb2.SubscribeResponse) -> None:
        await write(context, answer, self._write_s)


def _start(after: int | None, state: State) -> int:
    """The sequence after which a stream begins."""
    if after is None:
        return state.newest
    if after > state.newest:
        raise OutOfRange(
            f"after_sequence: the newest is {state.newest}.",
            reason="SEQUENCE_AHEAD",
            metadata={"newest": str(state.newest)},
        )
    if after == 0:
        return state.oldest - 1
    if after < state.oldest - 1:
        raise _gone(state)
    return after


def _gone(state: State) -> OutOfRange:
    return OutOfRange(
        f"after_sequence: the oldest that is kept is {state.oldest}.",
        reason="SEQUENCE_GONE",
        metadata={"oldest": str(state.oldest), "newest": str(state.newest)},
    )


def _event(row: asyncpg.Record) -> notification_pb2.GameEvent:
    event = notification_pb2.GameEvent(
        sequence=row["sequence"],
        type=row["type"],
        user_id=row["user_id"],
        title=row["title"],
        cause=row["cause"],
    )
    ParseDict(json.loads(row["data"]), event.data)
    event.timestamp.FromDatetime(row["created_at"])
    return event

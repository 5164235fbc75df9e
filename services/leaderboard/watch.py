"""WatchLeaderboard: the best now, and again each time that they change.

A stream holds what it told last and reads what there is; what wakes it is in the chassis (`wake.py`), and is
only a hint. Changes that come faster than `every_s` are told together.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import structlog
from arenamesh.liveops.v1 import leaderboard_service_pb2
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.chassis.errors import DomainError
from services.chassis.lookup import Lookup
from services.chassis.method import Context
from services.chassis.metrics import LEADERBOARD_STREAM_ENDS, LEADERBOARD_STREAMS, LEADERBOARD_TOPS_SENT
from services.chassis.wake import Hub, Watcher, write
from services.chassis.write_through import WriteThrough
from services.leaderboard.boards import Boards
from services.leaderboard.committer import Listener
from services.leaderboard.domain.board import Board
from services.leaderboard.domain.places import Place, Slot
from services.leaderboard.periods import Periods
from services.leaderboard.places import meant
from services.leaderboard.rankings import Rankings, owner
from services.leaderboard.translate import entries, period

CHANNEL = "{leaderboard}:changes"
"""Where processes tell each other which windows of which boards changed."""
_CHANGED = 1
_MOST = 100
_TOGETHER = 64
_log = structlog.get_logger()


def watch_hub(redis: Redis, *, limit: int, poll_s: float) -> Hub:
    """Who watches in this process: by board and window, whatever the period, since the present one changes
    under a stream. Nobody counts changes: a stream that is woken looks."""

    async def versions(ids: Iterable[str]) -> Mapping[str, int]:
        return dict.fromkeys(ids, _CHANGED)

    return Hub(
        redis, channel=CHANNEL, versions=versions, limit=limit, poll_s=poll_s, streams=LEADERBOARD_STREAMS
    )


def telling(hub: Hub, redis: Redis) -> Listener:
    """Wakes streams of what a commit changed: here at once, and through Redis those of other processes."""

    async def publish(changed: Mapping[str, int]) -> None:
        try:
            await redis.publish(CHANNEL, json.dumps(changed))
        except (RedisError, OSError, TimeoutError) as error:
            # They look for it themselves.
            _log.info("changes were not announced", error=repr(error))

    announcements = WriteThrough(publish)

    def told(places: Mapping[Place, int]) -> None:
        changed = {_id(place.board, place.window): _CHANGED for place in places}
        hub.told(changed)
        announcements.told(changed)

    return told


class _Asked(NamedTuple):
    board: Board
    slot: Slot
    limit: int
    owner: str


class Watch:
    """Opens streams. `every_s`: the shortest time between two answers of one. `write_s`: how long a write may
    take."""

    def __init__(
        self,
        hub: Hub,
        boards: Boards,
        rankings: Rankings,
        periods: Periods,
        *,
        every_s: float,
        write_s: float,
    ) -> None:
        self._hub = hub
        self._boards = boards
        self._rankings = rankings
        self._periods = periods
        self._every_s = every_s
        self._write_s = write_s
        # Who watches the same is answered by one look.
        self._looks: Lookup[_Asked, leaderboard_service_pb2.WatchLeaderboardResponse] = Lookup(
            self._look, batch=_TOGETHER
        )

    async def serve(self, request: leaderboard_service_pb2.WatchLeaderboardRequest, context: Context) -> None:
        """Runs one stream until it is ended, or nobody reads it any more.

        Raises:
            NotFound, InvalidArgument: see `meant`.
            ResourceExhausted: TOO_MANY_WATCHERS, SLOW_READER.
            Unavailable: DRAINING, DATABASE_UNAVAILABLE.
        """
        try:
            board, slot = await self._meant(request)
            with self._hub.watching(_id(board.id, slot.place.window)) as watcher:
                await self._run(request, context, watcher)
        except DomainError as error:
            LEADERBOARD_STREAM_ENDS.labels(error.reason).inc()
            raise

    async def _run(
        self,
        request: leaderboard_service_pb2.WatchLeaderboardRequest,
        context: Context,
        watcher: Watcher,
    ) -> None:
        told = None
        while True:
            watcher.woken.clear()  # what changes from here on may not be in what is read now
            board, slot = await self._meant(request)
            limit = min(request.limit or board.default_limit, _MOST)
            answer = await self._looks.get(_Asked(board, slot, limit, owner(board)))
            if answer is not None and _shown(answer) != told:
                await write(context, answer, self._write_s)
                LEADERBOARD_TOPS_SENT.inc()
                told = _shown(answer)
            await asyncio.sleep(self._every_s)
            self._hub.check(None)
            await watcher.wait(None)
            self._hub.check(None)

    async def _meant(self, request: leaderboard_service_pb2.WatchLeaderboardRequest) -> tuple[Board, Slot]:
        return await self._boards.found(lambda catalogue: meant(catalogue, request, clock.now()))

    async def _look(
        self, asked: list["_Asked"]
    ) -> dict["_Asked", leaderboard_service_pb2.WatchLeaderboardResponse]:
        found = {}
        for each in asked:
            best, players = await self._rankings.top(each.board, each.slot, each.limit, owner=each.owner)
            found[each] = leaderboard_service_pb2.WatchLeaderboardResponse(
                period=period(each.slot, await self._periods.state(each.slot)),
                entries=entries(best),
                players=players,
            )
        return found


def _shown(answer: leaderboard_service_pb2.WatchLeaderboardResponse) -> tuple[object, ...]:
    """What is told again when it changes: not how many others there are."""
    return answer.period, list(answer.entries)


def _id(board: str, window: str) -> str:
    return f"{board}:{window}"

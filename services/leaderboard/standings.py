"""The order of entries in Redis, for reads. It may be away, forget, come back with old data: then they are
read from PostgreSQL, and the order is built anew.

A place counts only with its marker: whoever builds it sets one before it reads PostgreSQL, from then on every
commit is written there too, and when all is read the place is ready. The revision of each entry sees to it
that an older one never replaces a newer one. The marker names the Redis process, so that what another one
kept on disk does not count; and whoever could not write what it had committed takes the markers away before
it trusts Redis again.
"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.chassis.metrics import LEADERBOARD_STANDINGS_TRUSTED
from services.leaderboard import scripts
from services.leaderboard.domain.board import Board, Catalogue, TiePolicy
from services.leaderboard.domain.order import Order, micros, moment
from services.leaderboard.domain.places import Place, slot_of
from services.leaderboard.domain.ranking import Found, Own, Ranked, Row, single
from services.leaderboard.domain.scoring import Entry

_FAULTS = (RedisError, OSError, TimeoutError)
_NUMBERS = struct.Struct(">qq")
_SILENT_MS = 10_000
"""Who builds a place and says nothing for so long is believed to be dead."""
_AT_ONCE = 500
"""Entries that Redis takes in one step: nobody else is answered meanwhile."""
_SUFFIXES = (scripts.MARKER, scripts.KEYS, scripts.ENTRIES, scripts.RESULTS, scripts.COUNTS)
_log = structlog.get_logger()


class Away(Exception):
    """Redis does not answer."""


class Unbuilt(Exception):
    """Redis does not have the place."""


class Standings:
    """Every method belongs to the event loop. `retry_s`: how long Redis is left alone after a fault, and how
    often it is looked whether it is still the same. `keep_s`: how long it keeps places that are final."""

    def __init__(self, redis: Redis, *, retry_s: float, keep_s: float) -> None:
        self._redis = redis
        self._retry_s = retry_s
        self._keep_ms = int(keep_s * 1000)
        self._retry_at_s = 0.0
        self._process = ""
        """The Redis that is trusted; empty: to be asked."""
        self._asking = asyncio.Lock()
        self._write = redis.register_script(scripts.WRITE)
        self._begin = redis.register_script(scripts.BEGIN)
        self._go_on = redis.register_script(scripts.GO_ON)
        self._top = redis.register_script(scripts.TOP)
        self._around = redis.register_script(scripts.AROUND)
        self._players = redis.register_script(scripts.PLAYERS)
        self.dirty: set[Place] = set()
        """Places whose markers have to go: something was committed and is not there."""
        self.wanted: dict[Place, None] = {}
        """Places that somebody missed; `woken` is set when one is added."""
        self.woken = asyncio.Event()

    # -- reading ----------------------------------------------------------------------------------

    async def top(self, board: Board, place: Place, after: bytes, limit: int, owner: str = "") -> Found:
        """At most `limit` entries after a key. `owner`: is shown its own entry even when it is quarantined.

        Raises:
            Away: Redis does not answer.
            Unbuilt: it does not have the place.
        """
        return _found(await self._read(self._top, board, place, after, limit, owner))

    async def around(
        self, board: Board, place: Place, player: str, limit: int, owner: str = ""
    ) -> Found | None:
        """`limit` entries with the player's in the middle, as far as that goes, and one more on either side.
        None: it has none; or a quarantined one, and is not the owner. Raises Away, Unbuilt."""
        answer = await self._read(self._around, board, place, player, limit, owner)
        return None if answer == 0 else _found(answer)

    async def players(
        self, board: Board, place: Place, players: Sequence[str], owner: str = ""
    ) -> tuple[list[Ranked], Own | None]:
        """Those that are ranked, in order, each as without the owner's own, which is the second. Raises Away,
        Unbuilt."""
        own, rank, there, *answer = await self._read(self._players, board, place, owner, *players)
        order = Order.of(board)
        found = [
            single(order, _row(entry), rank) for entry, rank in zip(answer[::2], answer[1::2], strict=True)
        ]
        return sorted(found, key=lambda each: each.key), _own(own, rank, there)

    async def _read(
        self, script: Callable[..., Awaitable[Any]], board: Board, place: Place, *more: Any
    ) -> Any:
        process = await self._trusted()
        if not process:
            raise Away
        order = Order.of(board)
        arguments = (process, board.tie_policy.value, order.tuple_length, order.head_length, *more)
        try:
            answer = await script(keys=_keys(place), args=arguments)
        except _FAULTS as error:
            self._lost(error)
            raise Away from error
        if answer is None:
            raise Unbuilt
        return answer

    def want(self, place: Place) -> None:
        """It should be built."""
        self.wanted[place] = None
        self.woken.set()

    # -- writing ----------------------------------------------------------------------------------

    async def write(self, entries: Sequence[Entry], catalogue: Catalogue) -> None:
        """What was committed. When this returns nobody reads what was before it; only when this process did
        not reach Redis, others that do may, until it does."""
        by_place: defaultdict[Place, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_place[entry.place].append(entry)
        try:
            process = await self._trusted()
            if not process:
                self.dirty |= by_place.keys()
                return
            for place in await self._put(process, catalogue, by_place):
                self.want(place)
        except _FAULTS as error:
            self.dirty |= by_place.keys()
            self._lost(error)
        except asyncio.CancelledError:
            self.dirty |= by_place.keys()
            self._process = ""
            raise

    async def _put(
        self, process: str, catalogue: Catalogue, entries: Mapping[Place, Sequence[Entry]]
    ) -> set[Place]:
        """Places that are not built, nor being built: there they were not put."""
        steps = [
            (place, found[begin : begin + _AT_ONCE])
            for place, found in entries.items()
            for begin in range(0, len(found), _AT_ONCE)
        ]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for place, found in steps:
                board = catalogue.boards[place.board]
                order = Order.of(board)
                pairs = [text for entry in found for text in (entry.player, _encoded(order, entry))]
                dense = int(board.tie_policy is TiePolicy.SHARED_DENSE)
                arguments = [process, dense, order.tuple_length, self._goes(catalogue, place), *pairs]
                await self._write(keys=_keys(place), args=arguments, client=pipeline)
            answers = await pipeline.execute()
        return {place for (place, _), there in zip(steps, answers, strict=True) if not there}

    def _goes(self, catalogue: Catalogue, place: Place) -> str:
        """When Redis forgets it; empty: never."""
        slot = slot_of(place, catalogue)
        if slot is None or slot.ends_at is None:
            return ""
        return str(micros(slot.ends_at + slot.grace) // 1000 + self._keep_ms)

    # -- building ---------------------------------------------------------------------------------

    async def begin(self, place: Place) -> str:
        """A token to build the place with: what is committed from now on is written there. Empty: another is
        building it. Raises Away."""
        token = clock.new_id()
        return token if await self._said(self._begin, place, token, _SILENT_MS) else ""

    async def fill(self, catalogue: Catalogue, place: Place, token: str, entries: Sequence[Entry]) -> bool:
        """Entries as they were read after `begin`. False: another has begun anew. Raises Away."""
        process = await self._trusted()
        try:
            return (
                bool(process)
                and await self._said(self._go_on, place, token, _SILENT_MS)
                and not await self._put(process, catalogue, {place: entries})
            )
        except _FAULTS as error:
            self._lost(error)
            raise Away from error

    async def finish(self, catalogue: Catalogue, place: Place, token: str) -> bool:
        """All entries were filled in: it is ready. False: another has begun anew. Raises Away."""
        return await self._said(self._go_on, place, token, "", self._goes(catalogue, place))

    async def _said(self, script: Callable[..., Awaitable[Any]], place: Place, *more: Any) -> bool:
        process = await self._trusted()
        if not process:
            raise Away
        try:
            return bool(await script(keys=_keys(place), args=[process, *more]))
        except _FAULTS as error:
            self._lost(error)
            raise Away from error

    async def drop(self, place: Place) -> None:
        """It does not count any more, from when this process reaches Redis."""
        self.dirty.add(place)
        await self._trusted()

    # -- trust ------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """For ever: looks whether Redis is there, and is the same."""
        while True:
            await asyncio.sleep(self._retry_s)
            await self.look()

    async def look(self) -> None:
        """Whether Redis is there, and the same: a connection that is made anew does not tell."""
        if await self._trusted():
            async with self._asking:
                await self._ask()

    async def _trusted(self) -> str:
        """The Redis process; empty while it is away."""
        if clock.monotonic_s() < self._retry_at_s:
            return ""
        if not self._process or self.dirty:
            async with self._asking:
                if (not self._process or self.dirty) and clock.monotonic_s() >= self._retry_at_s:
                    await self._ask()  # nobody was faster
        return self._process

    async def _ask(self) -> None:
        try:
            process = (await self._redis.info("server"))["run_id"]
            dirty = list(self.dirty)
            for place in dirty:
                await self._redis.delete(_keys(place)[0])
        except _FAULTS as error:
            self._lost(error)
            return
        self.dirty.difference_update(dirty)
        self._process = process
        LEADERBOARD_STANDINGS_TRUSTED.set(1)

    def _lost(self, error: Exception) -> None:
        self._process = ""
        self._retry_at_s = clock.monotonic_s() + self._retry_s
        LEADERBOARD_STANDINGS_TRUSTED.set(0)
        _log.warning("reads come from postgresql", error=repr(error))


def name(place: Place) -> str:
    """Of its keys. The season is the hash tag, so that a Redis Cluster keeps them together."""
    return f"lb:{{{place.season or '-'}}}:{place.window}:{place.board}:{place.period}"


def _keys(place: Place) -> list[str]:
    base = name(place)
    return [base + suffix for suffix in _SUFFIXES]


def _encoded(order: Order, entry: Entry) -> bytes:
    """As the scripts say."""
    numbers = _NUMBERS.pack(micros(entry.achieved_at), entry.submissions)
    header = b"%012d%d" % (entry.revision, not entry.quarantined)
    return header + numbers + order.head(entry.result, entry.achieved_at)


def _row(entry: bytes) -> Row:
    """Of an entry with its player."""
    at, submissions = _NUMBERS.unpack_from(entry, scripts.REVISION_DIGITS + 1)
    shown = entry[scripts.REVISION_DIGITS : scripts.REVISION_DIGITS + 1] == b"1"
    return Row(entry[scripts.HEADER :], moment(at), submissions, not shown)


def _found(answer: Sequence[Any]) -> Found:
    players, position, rank, entries, own, place, there = answer
    return Found(players, position, rank, [_row(entry) for entry in entries], _own(own, place, there))


def _own(entry: bytes | None, rank: int, there: int) -> Own | None:
    return None if entry is None else Own(_row(entry), rank, bool(there))

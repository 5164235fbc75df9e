"""Versioned things in Redis, for reads. It may be away, forget, come back with old data: then they are read
from where they are kept.

Every entry carries the cache's generation, and only entries of the present one count. Whoever could not write
what it had committed declares a new generation before it trusts Redis again: so whatever became old meanwhile
is out, and nobody has to remember what that was. A write names the generation that it was meant for, so that
one that Redis carries out late, after the declaration, changes nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.chassis.metrics import CacheMetrics

T = TypeVar("T")

_FAULTS = (RedisError, OSError, TimeoutError)
_TURNS = 3
_log = structlog.get_logger()

# An entry is the generation (26 characters), the version (19 digits), the state; without a state it only says
# that older ones do not count. Keys: the generation, the entries. Arguments: the generation that is meant,
# the lifetime, a message and its channel (empty: none), then version and state of each. Answers the present
# generation; when it is another one, nothing is written. An entry of a newer version stays, as does one of
# the same version that has its state.
_WRITE = """
local generation = redis.call('GET', KEYS[1]) or ''
if generation ~= ARGV[1] then return generation end
for number = 2, #KEYS do
  local version, state = ARGV[2 * number + 1], ARGV[2 * number + 2]
  local held = redis.call('GET', KEYS[number])
  local known = held and string.sub(held, 1, 26) == generation and string.sub(held, 27, 45) or ''
  if known < version or (known == version and #held == 45) then
    redis.call('SET', KEYS[number], generation .. version .. state, 'PX', ARGV[2])
  end
end
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[3]) end
return generation
"""
_GENERATION_LENGTH = 26
_STATE = 45
"""Where an entry's state begins."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a thing is kept. `decode` is given its id, its version and what `encode` made, which is never
    empty. Versions of one thing only grow."""

    version: Callable[[T], int]
    encode: Callable[[T], str]
    decode: Callable[[str, int, bytes], T]


class Found(NamedTuple, Generic[T]):
    """`values`: by id. `generation`: for `fill`; empty: Redis is away."""

    values: dict[str, T]
    generation: str


class VersionedCache(Generic[T]):
    """Never raises for Redis. `prefix`: of all its keys, with a hash tag, such as `{progression}`: a script
    and a read reach several keys, which a Redis Cluster keeps together then. Two caches have two. `kind`:
    what an entry is, in its key. `seconds`: how long an entry lives. `retry_s`: how long Redis is left alone
    after a fault."""

    def __init__(
        self,
        redis: Redis,
        form: Form[T],
        *,
        prefix: str,
        kind: str,
        seconds: float,
        retry_s: float,
        metrics: CacheMetrics,
    ) -> None:
        self._redis = redis
        self._form = form
        self._prefix = f"{prefix}:{kind}:"
        self._generation_key = f"{prefix}:generation"
        self.changes = f"{prefix}:changes"
        """Channel: after each commit the versions by id, as JSON."""
        self._write = redis.register_script(_WRITE)
        self._lifetime_ms = int(seconds * 1000)
        self._retry_s = retry_s
        self._metrics = metrics
        # Empty: to be declared. An earlier process may have died between a commit and writing it here.
        self._generation = ""
        self._retry_at_s = 0.0
        self._declaring = asyncio.Lock()

    # -- reading ----------------------------------------------------------------------------------

    async def get(self, ids: Sequence[str]) -> Found[T]:
        """Those that are there."""
        found = await self._get(ids)
        if not found.generation:
            self._metrics.reads.labels("away").inc(len(ids))
        else:
            self._metrics.reads.labels("hit").inc(len(found.values))
            self._metrics.reads.labels("miss").inc(len(ids) - len(found.values))
        return found

    async def through(
        self, ids: Sequence[str], load: Callable[[list[str]], Awaitable[dict[str, T]]]
    ) -> dict[str, T]:
        """Those that are there, and what `load` has of the others, which are there from then on."""
        held, generation = await self.get(ids)
        missing = [id_ for id_ in ids if id_ not in held]
        if not missing:
            return held
        loaded = await load(missing)
        if loaded:
            await self.fill(loaded, generation)
        return held | loaded

    async def _get(self, ids: Sequence[str]) -> Found[T]:
        away: Found[T] = Found({}, "")
        generation = await self._declared()
        if not generation:
            return away
        try:
            raw, *entries = await self._mget(self._generation_key, *map(self._key, ids))
        except _FAULTS as error:
            self._lost(error)
            return away
        present = (raw or b"").decode()
        if not self._follow(generation, present):
            return away
        held = {
            id_: self._decode(id_, entry)
            for id_, entry in zip(ids, entries, strict=True)
            if entry is not None and entry.startswith(present.encode()) and len(entry) > _STATE
        }
        return Found(held, present)

    async def _mget(self, *keys: str) -> list[bytes | None]:
        found: list[Any] = await self._redis.mget(*keys)
        return found

    def _key(self, id_: str) -> str:
        return self._prefix + id_

    def _decode(self, id_: str, entry: bytes) -> T:
        return self._form.decode(id_, int(entry[_GENERATION_LENGTH:_STATE]), entry[_STATE:])

    # -- writing ----------------------------------------------------------------------------------

    async def fill(self, values: Mapping[str, T], generation: str) -> None:
        """What was read elsewhere after a `get` did not find it. Says nothing to an entry that is newer, or
        when the generation is another by now."""
        if not generation:
            return
        try:
            await self._send(self._states(values), generation, tell=False)
        except _FAULTS as error:
            self._lost(error)

    async def put(self, values: Mapping[str, T]) -> None:
        """What was committed. When this returns nobody reads an older state; only when this process did not
        reach Redis, others that do may, until it does (see `recover`) or the entry's end."""
        await self._commit(self._states(values))

    async def outdate(self, versions: Mapping[str, int]) -> None:
        """As `put`, by whoever does not have the states: they are read again."""
        await self._commit({id_: (version, "") for id_, version in versions.items()})

    async def renew(self) -> None:
        """Everything that is there no longer counts; while Redis is away, until its end."""
        self._generation = ""
        await self._declared()

    async def recover(self) -> None:
        """For ever: declares a generation as soon as Redis is back, whether or not anybody asks here. Others
        may be asked."""
        while True:
            await asyncio.sleep(self._retry_s)
            await self._declared()

    def _states(self, values: Mapping[str, T]) -> dict[str, tuple[int, str]]:
        form = self._form
        return {id_: (form.version(value), form.encode(value)) for id_, value in values.items()}

    async def _commit(self, states: Mapping[str, tuple[int, str]]) -> None:
        try:
            for _ in range(_TURNS):
                generation = await self._declared()
                if not generation:
                    break
                present = await self._send(states, generation, tell=True)
                if present == generation:
                    return
                self._follow(generation, present)
        except _FAULTS as error:
            self._lost(error)
        except asyncio.CancelledError:
            self._generation = ""
            raise
        self._generation = ""

    async def _send(self, states: Mapping[str, tuple[int, str]], generation: str, *, tell: bool) -> str:
        """Writes them, and says so to everybody who listens; answers the generation that Redis has."""
        entries: list[str] = []
        for version, state in states.values():
            entries += (f"{version:019}", state)
        versions = json.dumps({id_: version for id_, (version, _) in states.items()})
        present: bytes = await self._write(
            keys=[self._generation_key, *map(self._key, states)],
            args=[generation, self._lifetime_ms, versions, self.changes if tell else "", *entries],
        )
        return present.decode()

    # -- generations ------------------------------------------------------------------------------

    async def _declared(self) -> str:
        """The generation that counts, a new one if need be; empty while Redis is away."""
        if clock.monotonic_s() < self._retry_at_s:
            return ""
        if not self._generation:
            async with self._declaring:
                await self._declare()
        return self._generation

    async def _declare(self) -> None:
        if self._generation or clock.monotonic_s() < self._retry_at_s:
            return  # somebody was faster
        declared = clock.new_id()
        try:
            await self._redis.set(self._generation_key, declared)
        except _FAULTS as error:
            self._lost(error)
        else:
            self._generation = declared
            self._metrics.trusted.set(1)

    def _follow(self, generation: str, present: str) -> bool:
        """Another process may have declared a generation. False: Redis forgot it, or what is there is no
        longer trusted, and a new one has to be declared."""
        if self._generation != generation:
            return bool(self._generation) and self._generation == present
        self._generation = present
        return bool(present)

    def _lost(self, error: Exception) -> None:
        self._retry_at_s = clock.monotonic_s() + self._retry_s
        self._metrics.trusted.set(0)
        _log.warning("reads come from postgresql", error=repr(error))

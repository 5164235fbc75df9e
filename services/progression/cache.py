"""Characters in Redis, for reads. It may be away, forget, come back with old data: then PostgreSQL is read.

Every entry carries the cache's generation, and only entries of the present one count. Whoever could not write
what it had committed declares a new generation before it trusts Redis again: so whatever became old meanwhile
is out, and nobody has to remember what that was. A write names the generation that it was meant for, so that
one that Redis carries out late, after the declaration, changes nothing.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.chassis.metrics import PROGRESSION_CACHE_READS, PROGRESSION_CACHE_TRUSTED
from services.progression.domain.character import Character

# One hash tag: a script and a read reach both keys in a Redis Cluster too.
_PREFIX = "{progression}"
_GENERATION = f"{_PREFIX}:generation"
CHANGES = f"{_PREFIX}:changes"
"""Channel: after each commit the versions by character, as JSON."""

_FAULTS = (RedisError, OSError, TimeoutError)
_TURNS = 3
_log = structlog.get_logger()

# An entry is the generation (26 characters), the version (19 digits), the state. Keys: the generation, the
# entries. Arguments: the generation that is meant, the lifetime, a message and its channel (empty: none),
# then version and state of each. Answers the present generation; when it is another one, nothing is written.
# An entry of a newer version stays.
_WRITE = """
local generation = redis.call('GET', KEYS[1]) or ''
if generation ~= ARGV[1] then return generation end
for number = 2, #KEYS do
  local version, state = ARGV[2 * number + 1], ARGV[2 * number + 2]
  local held = redis.call('GET', KEYS[number])
  if not held or string.sub(held, 1, 26) ~= generation or string.sub(held, 27, 45) < version then
    redis.call('SET', KEYS[number], generation .. version .. state, 'PX', ARGV[2])
  end
end
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[3]) end
return generation
"""


class Found(NamedTuple):
    """`generation`: for `fill`; empty: Redis is away."""

    characters: dict[str, Character]
    generation: str


AWAY = Found({}, "")


class Cache:
    """Never raises for Redis. `seconds`: how long an entry lives. `retry_s`: how long Redis is left alone
    after a fault."""

    def __init__(self, redis: Redis, *, seconds: float, retry_s: float) -> None:
        self._redis = redis
        self._write = redis.register_script(_WRITE)
        self._lifetime_ms = int(seconds * 1000)
        self._retry_s = retry_s
        # Empty: to be declared. An earlier process may have died between a commit and writing it here.
        self._generation = ""
        self._retry_at_s = 0.0
        self._declaring = asyncio.Lock()

    async def get(self, character_ids: Sequence[str]) -> Found:
        """Those that are there."""
        found = await self._get(character_ids)
        if not found.generation:
            PROGRESSION_CACHE_READS.labels("away").inc(len(character_ids))
        else:
            PROGRESSION_CACHE_READS.labels("hit").inc(len(found.characters))
            PROGRESSION_CACHE_READS.labels("miss").inc(len(character_ids) - len(found.characters))
        return found

    async def _get(self, character_ids: Sequence[str]) -> Found:
        generation = await self._declared()
        if not generation:
            return AWAY
        try:
            raw, *entries = await self._mget(_GENERATION, *map(_key, character_ids))
        except _FAULTS as error:
            self._lost(error)
            return AWAY
        present = (raw or b"").decode()
        if not self._follow(generation, present):
            return AWAY
        held = {
            character_id: _decode(character_id, entry)
            for character_id, entry in zip(character_ids, entries, strict=True)
            if entry is not None and entry.startswith(present.encode())
        }
        return Found(held, present)

    async def _mget(self, *keys: str) -> list[bytes | None]:
        found: list[Any] = await self._redis.mget(*keys)
        return found

    async def fill(self, characters: Sequence[Character], generation: str) -> None:
        """What PostgreSQL had after a `get` did not find it. Says nothing to an entry that is newer, or when
        the generation is another by now."""
        if not generation:
            return
        try:
            await self._send(characters, generation, tell=False)
        except _FAULTS as error:
            self._lost(error)

    async def put(self, characters: Sequence[Character]) -> None:
        """What was committed, each character once. When this returns nobody reads an older state; only when
        this process did not reach Redis, others that do may, until it does (see `recover`) or the entry's
        end."""
        try:
            for _ in range(_TURNS):
                generation = await self._declared()
                if not generation:
                    break
                present = await self._send(characters, generation, tell=True)
                if present == generation:
                    return
                self._follow(generation, present)
        except _FAULTS as error:
            self._lost(error)
        except asyncio.CancelledError:
            self._generation = ""
            raise
        self._generation = ""

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

    async def _send(self, characters: Sequence[Character], generation: str, *, tell: bool) -> str:
        """Writes them, and says so to everybody who listens; answers the generation that Redis has."""
        entries: list[str] = []
        for character in characters:
            entries += (f"{character.version:019}", _encode(character))
        versions = {character.character_id: character.version for character in characters}
        present: bytes = await self._write(
            keys=[_GENERATION, *map(_key, versions)],
            args=[generation, self._lifetime_ms, json.dumps(versions), CHANGES if tell else "", *entries],
        )
        return present.decode()

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
            await self._redis.set(_GENERATION, declared)
        except _FAULTS as error:
            self._lost(error)
        else:
            self._generation = declared
            PROGRESSION_CACHE_TRUSTED.set(1)

    def _follow(self, generation: str, present: str) -> bool:
        """Another process may have declared a generation. False: Redis forgot it, or what is there is no
        longer trusted, and a new one has to be declared."""
        if self._generation != generation:
            return bool(self._generation) and self._generation == present
        self._generation = present
        return bool(present)

    def _lost(self, error: Exception) -> None:
        self._retry_at_s = clock.monotonic_s() + self._retry_s
        PROGRESSION_CACHE_TRUSTED.set(0)
        _log.warning("reads come from postgresql", error=repr(error))


def _key(character_id: str) -> str:
    return f"{_PREFIX}:character:{character_id}"


def _encode(character: Character) -> str:
    return json.dumps(
        [
            character.player_id,
            character.definition,
            character.base_experience,
            character.paragon_experience,
            character.points,
            character.respecs,
            character.resets,
            character.mastery,
            {reward_id: at.isoformat() for reward_id, at in character.rewards.items()},
        ],
        separators=(",", ":"),
    )


def _decode(character_id: str, entry: bytes) -> Character:
    state: list[Any] = json.loads(entry[45:])
    *plain, rewards = state
    unlocked = {reward_id: datetime.fromisoformat(at) for reward_id, at in rewards.items()}
    player_id, definition, base, paragon, points, respecs, resets, mastery = plain
    return Character(
        character_id=character_id,
        player_id=player_id,
        definition=definition,
        version=int(entry[26:45]),
        base_experience=base,
        paragon_experience=paragon,
        points=points,
        respecs=respecs,
        resets=resets,
        mastery=mastery,
        rewards=unlocked,
    )

"""The Redis commands of the bus; what differs between 6.2 and 7, and what is easily lost, made harmless."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from services.chassis.bus import cancellation
from services.chassis.bus.log import Entry, GroupLost
from services.chassis.bus.port import PARTITIONS, Message
from services.chassis.errors import Unavailable

# Every member of a group reads under this name: what one had not finished, the next finds as its own.
_HOLDER = "holder"
_LAG_LIMIT = 1000

# Says that the member lives, takes partitions of its share that no living member holds, and answers which it
# holds and which of those are its share. Members and holders are kept by the clock of Redis alone.
_BEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local members, alive, rank = redis.call('ZRANGE', KEYS[1], 0, -1), {}, 0
table.sort(members)
for number, member in ipairs(members) do
  alive[member] = true
  if member == ARGV[1] then rank = number - 1 end
end
local held, share = {}, {}
for partition = 0, ARGV[3] - 1 do
  local holder, mine = redis.call('HGET', KEYS[2], partition), partition % #members == rank
  if mine and not (holder and alive[holder]) then
    redis.call('HSET', KEYS[2], partition, ARGV[1])
    holder = ARGV[1]
  end
  if holder == ARGV[1] then
    held[#held + 1] = partition
    if mine then share[#share + 1] = partition end
  end
end
return {held, share}
"""
_RELEASE = """
for _, partition in ipairs(ARGV) do
  if partition ~= ARGV[1] and redis.call('HGET', KEYS[2], partition) == ARGV[1] then
    redis.call('HDEL', KEYS[2], partition)
  end
end
"""


def stream_key(topic: str, partition: int) -> str:
    """The keys of a topic share a hash tag, hence a slot of a Redis Cluster."""
    return f"arenamesh:{{{topic}}}:{partition}"


# Appends entries, each four arguments: the number of its key, id, subject, body. Answers the new lengths. One
# command for all, and in it nothing that goes without saying: a client spends more on an argument than Redis
# on an entry.
_ADD = """
for at = 1, #ARGV, 4 do
  local key, id, subject, body = unpack(ARGV, at, at + 3)
  redis.call('XADD', KEYS[tonumber(key)], '*', 'id', id, 'subject', subject, 'body', body)
end
local lengths = {}
for number, key in ipairs(KEYS) do lengths[number] = redis.call('XLEN', key) end
return lengths
"""
# Reads new entries of those partitions that the member still holds, and says where their streams end. Who was
# held up for longer than its lease reads nothing that belongs to the next holder.
_READ = """
local found = {}
for number = 2, #KEYS do
  local partition, entries = ARGV[number + 3], {}
  if redis.call('HGET', KEYS[1], partition) == ARGV[1] then
    local answer = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4],
                              'STREAMS', KEYS[number], '>')
    if answer then entries = answer[1][2] end
    local last = redis.call('XREVRANGE', KEYS[number], '+', '-', 'COUNT', 1)[1]
    found[#found + 1] = {partition, last and last[1] or '0-0', entries}
  end
end
return found
"""
# Entries that were not read, and those that are pending. Redis 6.2 does not count the former, so they are
# counted here, up to a limit: a long script would hold up everybody.
_LAG = """
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return 0 end
for _, fields in ipairs(groups) do
  local group = {}
  for number = 1, #fields, 2 do group[fields[number]] = fields[number + 1] end
  if group.name == ARGV[1] then
    local last = '(' .. group['last-delivered-id']
    return group.pending + #redis.call('XRANGE', KEYS[1], last, '+', 'COUNT', ARGV[2])
  end
end
return 0
"""
_REPLACE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class GroupExists(Exception):
    """Another member was faster."""


class Streams:
    """See `log.Log`. A connection pool."""

    def __init__(self, url: str, timeout_s: float) -> None:
        # A retry inside the client would send again what may have been done, and hide that from us.
        self._redis = Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._add = self._redis.register_script(_ADD)
        self._beat = self._redis.register_script(_BEAT)
        self._release = self._redis.register_script(_RELEASE)
        self._read = self._redis.register_script(_READ)
        self._lag = self._redis.register_script(_LAG)
        self._replace = self._redis.register_script(_REPLACE)

    async def close(self) -> None:
        await self._redis.aclose()

    def key(self, topic: str, partition: int) -> str:
        return stream_key(topic, partition)

    def shared(self, topic: str, group: str) -> str:
        return f"arenamesh:{{{topic}}}:{group}"

    async def ping(self) -> None:
        await self._call(self._redis.ping())

    async def replace(self, key: str, old: str | None, new: str) -> bool:
        """Sets a value unless it is not `old` (None: there is none)."""
        with _answering():
            return bool(await self._replace(keys=[key], args=[old or "", new]))

    async def get(self, key: str) -> str | None:
        value = await self._call(self._redis.get(key))
        return None if value is None else value.decode()

    # -- publishing -----------------------------------------------------------------------------------

    async def add(self, entries: Sequence[tuple[str, Message]]) -> dict[str, int]:
        """Appends all or, refused, none: one left out would come after its successors. The new lengths."""
        numbers = {key: number for number, key in enumerate(sorted({key for key, _ in entries}), start=1)}
        arguments: list[Any] = []
        for key, message in entries:
            arguments += (numbers[key], message.id, message.subject, message.body)
        with _answering():
            lengths = await self._add(keys=list(numbers), args=arguments)
        return dict(zip(numbers, lengths, strict=True))

    async def trim(self, key: str, length: int) -> int:
        """Drops what every group has handled; without a group, all but the newest `length // 2`. The new
        length.

        Never what some group still needs: MAXLEN would drop even entries that are pending.
        """
        groups = await self._call(self._redis.xinfo_groups(key))
        if not groups:
            await self._call(self._redis.xtrim(key, maxlen=length // 2, approximate=False))
            return int(await self._call(self._redis.xlen(key)))
        needed: list[tuple[int, int]] = []
        for group in groups:
            pending = await self._call(self._redis.xpending(key, group["name"]))
            needed.append(
                _number(pending["min"]) if pending["pending"] else _after(group["last-delivered-id"])
            )
        milliseconds, sequence = min(needed)
        await self._call(self._redis.xtrim(key, minid=f"{milliseconds}-{sequence}", approximate=False))
        return int(await self._call(self._redis.xlen(key)))

    # -- reading --------------------------------------------------------------------------------------

    async def create_group(self, key: str, group: str, member: str) -> None:
        """From the oldest entry on; `$` would lose what was published before the first member came."""
        with suppress(GroupExists):
            await self._call(self._redis.xgroup_create(key, group, "0", mkstream=True))

    async def read(
        self, shared: str, member: str, group: str, keys: Mapping[int, str], count: int
    ) -> dict[int, tuple[bytes, list[Entry]]]:
        """New entries, up to `count` of each partition that the member holds, and the last id there is. Does
        not wait. Raises GroupLost."""
        arguments: list[Any] = [member, group, _HOLDER, count, *keys]
        with _answering():
            answer = await self._read(keys=[_holders(shared), *keys.values()], args=arguments)
        return {
            int(partition): (last, [Entry(id_, _message(_paired(fields))) for id_, fields in entries])
            for partition, last, entries in answer
        }

    async def wait(self, looked: Mapping[str, bytes], block_s: float) -> None:
        """Until one of the streams has something after that id, or for `block_s`. Takes nothing."""
        streams: Any = dict(looked)
        await self._call(self._redis.xread(streams, count=1, block=max(1, int(block_s * 1000))))

    async def pending(self, key: str, group: str, after: bytes, count: int) -> list[tuple[bytes, int]]:
        """Entries that were read and are not acknowledged, after an id: (id, how often handed out)."""
        start = b"(" + after if after else b"-"
        rows = await self._call(self._redis.xpending_range(key, group, start, "+", count))
        return [(row["message_id"], row["times_delivered"]) for row in rows]

    async def claim(self, key: str, group: str, entry_id: bytes) -> Entry:
        """Hands out a pending entry once more, and counts that. For one that was trimmed Redis 6.2 answers
        with a nil, 7 with nothing."""
        answer = await self._call(self._redis.xclaim(key, group, _HOLDER, 0, [entry_id]))
        found = [fields for claimed in answer if claimed and claimed[0] for fields in (claimed[1],)]
        return Entry(entry_id, _message(found[0]) if found else None)

    async def acknowledge(self, key: str, group: str, entry_ids: Sequence[bytes]) -> None:
        await self._call(self._redis.xack(key, group, *entry_ids))

    async def lag(self, keys: Sequence[str], group: str) -> int:
        """Entries that the group has not acknowledged; at most `_LAG_LIMIT` unread ones of a stream count."""
        with _answering():
            return sum([int(await self._lag(keys=[key], args=[group, _LAG_LIMIT])) for key in keys])

    # -- sharing --------------------------------------------------------------------------------------

    async def beat(self, shared: str, member: str, lease_s: float) -> tuple[set[int], set[int]]:
        """The partitions that the member holds, and those of them that are its share."""
        with _answering():
            held, share = await self._beat(
                keys=[_members(shared), _holders(shared)], args=[member, int(lease_s * 1000), PARTITIONS]
            )
        return set(held), set(share)

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def release(self, shared: str, member: str, partitions: Sequence[int]) -> None:
        with _answering():
            await self._release(keys=[_members(shared), _holders(shared)], args=[member, *partitions])

    async def leave(self, shared: str, member: str) -> None:
        """The others take the member's partitions at their next beat."""
        await self._call(self._redis.zrem(_members(shared), member))

    async def _call(self, command: Any) -> Any:
        """redis-py types each command for its synchronous and its asynchronous client at once."""
        with _answering():
            return await command


@contextmanager
def _answering() -> Iterator[None]:
    """What Redis refuses for its own reasons (memory, disk, a replica's role) is as good as no answer."""
    try:
        with cancellation.kept():
            yield
    except (RedisError, OSError, TimeoutError) as error:
        if isinstance(error, ResponseError) and "NOGROUP" in str(error):
            raise GroupLost from error
        if isinstance(error, ResponseError) and "BUSYGROUP" in str(error):
            raise GroupExists from error
        raise Unavailable("The bus does not answer.", reason="BUS_UNAVAILABLE", retry_after_s=1.0) from error


def _members(shared: str) -> str:
    return f"{shared}:members"


def _holders(shared: str) -> str:
    return f"{shared}:holders"


def _paired(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _message(fields: Mapping[bytes, bytes]) -> Message | None:
    if not fields:
        return None
    return Message(fields[b"id"].decode(), fields[b"subject"].decode(), fields[b"body"])


def _number(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)


def _after(entry_id: bytes) -> tuple[int, int]:
    milliseconds, sequence = _number(entry_id)
    return milliseconds, sequence + 1

"""Rates of producers and players, kept in Redis for all processes together; in each by itself while Redis is
away, so that one that is lost neither stops events nor lets a flood through. With N processes that is N times
the rate then.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.ingest.domain import gcra
from services.ingest.domain.gcra import ALLOWED, Charge, Verdict

_FAULTS = (RedisError, OSError, TimeoutError)
_log = structlog.get_logger()
_PREFIX = "{ingest}:rate:"
"""With a hash tag: a script reaches the keys of a producer and of many players."""

# As `gcra.take`, for one group of charges after another. Keys: the TATs, each once. Arguments: now in
# microseconds (empty: the server's own); the groups as JSON, each a list of charges, each of those the number
# of its key, the interval, the burst and the cost. All in one argument, since a client spends more on each
# than Redis on reading this. Answers of each group that is denied, which few are: its number, the position
# of the denied charge, both from 1, and the wait (-1: for ever). All numbers are below 2^53, so Lua's
# doubles are exact; `%.0f` writes them whole, where `tostring` would round. A key outlives its TAT by a
# second, in case the server's clock is set back.
TAKE = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local tats, changed = {}, {}
for number, held in ipairs(redis.call('MGET', unpack(KEYS))) do
  tats[number] = held and tonumber(held) or now
end
local answers = {}
for group, charges in ipairs(cjson.decode(ARGV[2])) do
  local denied, wait, moved = 0, 0, {}
  for position, charge in ipairs(charges) do
    local key, interval, burst, cost = unpack(charge)
    if cost > burst then
      denied, wait = position, -1
      break
    end
    local tat = math.max(tats[key], now) + interval * cost
    local missing = tat - interval * burst - now
    if missing > wait then denied, wait = position, missing end
    moved[key] = tat
  end
  if denied == 0 then
    for key, tat in pairs(moved) do tats[key], changed[key] = tat, true end
  else
    answers[#answers + 1] = group
    answers[#answers + 1] = denied
    answers[#answers + 1] = string.format('%.0f', wait)
  end
end
for key in pairs(changed) do
  local left = math.ceil((tats[key] - now) / 1000) + 1000
  redis.call('SET', KEYS[key], string.format('%.0f', tats[key]), 'PX', string.format('%.0f', left))
end
return answers
"""


class SharedRates:
    """In Redis. Raises what Redis raises. Keys of one call: at most some thousands."""

    def __init__(self, redis: Redis) -> None:
        self._take = redis.register_script(TAKE)

    async def take(self, groups: Sequence[Sequence[Charge]], now_us: int | None = None) -> list[Verdict]:
        """One verdict for each group, in order. `now_us`: None: by the clock of Redis, which is the same for
        all processes."""
        keys, given = arguments(groups, now_us)
        answer = await self._take(keys, given) if keys else ()
        return verdicts(answer, len(groups))


class LocalRates:
    """In this process. `most`: keys that are kept. Over it: those that were asked for longest ago are
    forgotten, as if they had rested."""

    def __init__(self, most: int) -> None:
        self._tats: OrderedDict[str, int] = OrderedDict()
        self._most = most

    def take(self, groups: Sequence[Sequence[Charge]], now_us: int) -> list[Verdict]:
        """One verdict for each group, in order."""
        verdicts = [gcra.take(self._tats, charges, now_us) for charges in groups]
        for charges in groups:
            for charge in charges:
                if charge.key in self._tats:
                    self._tats.move_to_end(charge.key)
        while len(self._tats) > self._most:
            self._tats.popitem(last=False)
        return verdicts


class Rates:
    """Never raises for Redis. `retry_s`: how long Redis is left alone after a fault."""

    def __init__(self, shared: SharedRates, local: LocalRates, *, retry_s: float) -> None:
        self._shared = shared
        self._local = local
        self._retry_s = retry_s
        self._retry_at_s = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether Redis is asked."""
        return clock.monotonic_s() >= self._retry_at_s

    async def take(self, groups: Sequence[Sequence[Charge]]) -> list[Verdict]:
        """One verdict for each group of charges, in order: all of a group are taken, or none."""
        if self.is_shared:
            try:
                return await self._shared.take(groups)
            except _FAULTS as error:
                self._retry_at_s = clock.monotonic_s() + self._retry_s
                _log.warning("rates_local", error=repr(error), retry_s=self._retry_s)
        return self._local.take(groups, clock.monotonic_us())


def arguments(groups: Sequence[Sequence[Charge]], now_us: int | None) -> tuple[list[str], list[str | int]]:
    """Keys and arguments of the script."""
    numbers: dict[str, int] = {}
    given = [
        [
            (
                numbers.setdefault(charge.key, len(numbers) + 1),
                charge.rate.interval_us,
                charge.rate.burst,
                charge.cost,
            )
            for charge in charges
        ]
        for charges in groups
    ]
    return [_PREFIX + key for key in numbers], ["" if now_us is None else now_us, json.dumps(given)]


def verdicts(answer: Sequence[Any], groups: int) -> list[Verdict]:
    """What the script says of each of so many groups."""
    found = [ALLOWED] * groups
    for at in range(0, len(answer), 3):
        group, denied, wait = answer[at : at + 3]
        found[group - 1] = Verdict(denied - 1, None if wait == b"-1" else int(wait))
    return found

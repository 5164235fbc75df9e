"""Too many too fast: the generic cell rate algorithm, and how often within a time somebody was over it.

An event that comes too early is a strike, and counts for nothing else; a value is how many events it is. What
is heard late counts as at the latest time that is known: time never goes back.
"""

from services.fairness.domain.detector import Flood
from services.fairness.domain.finding import Finding, Input
from services.fairness.domain.rules.state import INITIAL, MICRO, State, found, micros, number, span

_MILLI_MICROS = 1_000 * MICRO
"""Of one event at a rate of 1/1000 a second."""


def observe(rule: Flood, state: State, given: Input) -> tuple[State, Finding | None]:
    """Memory: `last`: latest time; `free`: from when everything would be let in again (the algorithm's TAT);
    `struck`: time of the first strike; `strikes`."""
    if given.reading.value <= 0:
        return state, None
    now = max(number(state, "last"), micros(given.at))
    free = max(number(state, "free"), now)
    struck, strikes = number(state, "struck"), number(state, "strikes")
    if now - struck >= span(rule.per):
        struck, strikes = 0, 0
    interval = _MILLI_MICROS // rule.rate_milli
    after = free + interval * given.reading.value
    if now >= after - interval * rule.burst:
        free = after
    else:
        struck, strikes = struck or now, strikes + 1
    if strikes >= rule.strikes:
        return INITIAL, found(strikes * MICRO, rule.strikes * MICRO)
    return {"last": now, "free": free, "struck": struck, "strikes": strikes}, None

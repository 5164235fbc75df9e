"""Succeeds too often: CUSUM of the log-likelihood ratio between the best honest player and a cheat.

What one event tells is added at once: the sum is never above that of its trials one by one in any order, so
the bound of Page and Lorden holds: at most one false alarm in e^h trials.
"""

import math
from functools import lru_cache

from services.fairness.domain.detector import Ratio
from services.fairness.domain.finding import Finding, Input
from services.fairness.domain.rules.state import INITIAL, MICRO, State, found, number

_MILLI = 1_000


@lru_cache(maxsize=256)
def evidence_micro(rule: Ratio) -> tuple[int, int]:
    """What a success adds, and what a failure takes away, in millionths of a nat; rounded for the player."""
    success = math.log(rule.cheat_milli / rule.honest_milli)
    failure = math.log((_MILLI - rule.honest_milli) / (_MILLI - rule.cheat_milli))
    return math.floor(success * MICRO), math.ceil(failure * MICRO)


def observe(rule: Ratio, state: State, given: Input) -> tuple[State, Finding | None]:
    """Memory: `sum`, in millionths of a nat; nothing when it is 0."""
    trials = max(given.reading.of, 0)
    successes = min(max(given.reading.value, 0), trials)
    success, failure = evidence_micro(rule)
    total = number(state, "sum") + successes * success - (trials - successes) * failure
    threshold = rule.threshold_milli * (MICRO // _MILLI)
    if total >= threshold:
        return INITIAL, found(total, threshold)
    return ({"sum": total} if total > 0 else INITIAL), None

"""As regular as a machine: of the last times between two events, so many are as long as their median.

Events that are no further apart than the tolerance are one that goes on, such as several drops of one enemy:
the time to the next one is counted from the last of them.
"""

from bisect import bisect_left, bisect_right

from services.fairness.domain.detector import Repetition
from services.fairness.domain.finding import Finding, Input
from services.fairness.domain.rules.state import INITIAL, MICRO, State, found, micros, number, numbers, span

_MILLI_MICROS = 1_000


def observe(rule: Repetition, state: State, given: Input) -> tuple[State, Finding | None]:
    """Memory: `last`: time of the last event; `gaps`: the last times between events, in microseconds."""
    at, tolerance = micros(given.at), span(rule.tolerance)
    gap = at - number(state, "last")
    if not state or gap > span(rule.longest):
        return {"last": at}, None
    if gap <= tolerance:
        return ({**state, "last": at} if gap > 0 else state), None
    gaps = [*numbers(state, "gaps"), gap][-rule.intervals :]
    if len(gaps) == rule.intervals:
        share, threshold = _share_micro(gaps, tolerance), rule.share_milli * _MILLI_MICROS
        if share >= threshold:
            return INITIAL, found(share, threshold)
    return {"last": at, "gaps": gaps}, None


def _share_micro(gaps: list[int], tolerance: int) -> int:
    """How many are as long as their median, in millionths of all."""
    ordered = sorted(gaps)
    middle = ordered[len(ordered) // 2]
    alike = bisect_right(ordered, middle + tolerance) - bisect_left(ordered, middle - tolerance)
    return alike * MICRO // len(ordered)

"""More than anybody can have: values that add up to more than `most` within `per`.

The time is that of the events, in whatever order they are heard: all values added lie within one `per`, so
nobody is found who stays within. What is older than the sum can hold says nothing.
"""

from services.fairness.domain.detector import Bound
from services.fairness.domain.finding import Finding, Input
from services.fairness.domain.rules.state import INITIAL, MICRO, State, found, micros, number, span


def observe(rule: Bound, state: State, given: Input) -> tuple[State, Finding | None]:
    """Memory: `from`, `to`: times of the first and the last value; `sum`."""
    at, value = micros(given.at), given.reading.value
    first, last, total = at, at, value
    if state:
        first, last = min(number(state, "from"), at), max(number(state, "to"), at)
        total = number(state, "sum") + value
        if last - first >= span(rule.per):
            if at < last:
                return state, None
            first, total = at, value
    if total > rule.most:
        return INITIAL, found(total * MICRO, rule.most * MICRO)
    return {"from": first, "to": last, "sum": total}, None

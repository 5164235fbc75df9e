"""Better than it ever was: upper CUSUM of values, standardised by median and MAD of the player's first."""

from collections.abc import Sequence

from services.fairness.domain.detector import Drift
from services.fairness.domain.finding import Finding, Input
from services.fairness.domain.rules.state import INITIAL, MICRO, State, found, number, numbers

_DEVIATION_MICRO = 1_482_602
"""Standard deviation of a normal distribution in MADs."""
_MILLI_MICROS = 1_000


def observe(rule: Drift, state: State, given: Input) -> tuple[State, Finding | None]:
    """Memory: `first` values, as long as they are too few; then `median_micro` and `deviation_micro` of them,
    and `sum`, in millionths of a deviation, when it is not 0."""
    value = given.reading.value
    if "deviation_micro" not in state:
        first = [*numbers(state, "first"), value]
        return ({"first": first} if len(first) < rule.baseline else _standard(rule, first)), None
    above = (value * MICRO - number(state, "median_micro")) * MICRO // number(state, "deviation_micro")
    total = number(state, "sum") + above - rule.allowance_milli * _MILLI_MICROS
    threshold = rule.threshold_milli * _MILLI_MICROS
    if total > threshold:
        return INITIAL, found(total, threshold)
    return ({**settled(state), "sum": total} if total > 0 else settled(state)), None


def settled(state: State) -> State:
    """What does not change any more: the standard, once there is one."""
    names = ("median_micro", "deviation_micro")
    return {name: number(state, name) for name in names} if names[0] in state else INITIAL


def _standard(rule: Drift, first: Sequence[int]) -> State:
    middle = _median_micro([value * MICRO for value in first])
    spread = _median_micro([abs(value * MICRO - middle) for value in first])
    deviation = max(spread * _DEVIATION_MICRO // MICRO, rule.least_scale * MICRO)
    return {"median_micro": middle, "deviation_micro": deviation}


def _median_micro(values: list[int]) -> int:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2

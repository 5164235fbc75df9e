"""What detectors look for. Each rule is a pure function of what it remembers and the next input, in whole
numbers throughout, so that whatever it finds is found again from the same, bit for bit."""

from services.fairness.domain.detector import Bound, Drift, Flood, Outlier, Ratio, Repetition, Rule
from services.fairness.domain.finding import Finding, Input, Peers
from services.fairness.domain.rules import bound, drift, flood, outlier, ratio, repetition
from services.fairness.domain.rules.state import INITIAL, State


def observe(
    rule: Rule, state: State, given: Input, peers: Peers | None = None
) -> tuple[State, Finding | None]:
    """What the rule remembers after the input, and what it finds; with a finding it begins anew.

    Args:
        state: `INITIAL` to begin with.
        peers: of the input's group, for an outlier; None: there are none yet.
    """
    match rule:
        case Bound():
            return bound.observe(rule, state, given)
        case Flood():
            return flood.observe(rule, state, given)
        case Ratio():
            return ratio.observe(rule, state, given)
        case Outlier():
            return outlier.observe(rule, given, peers)
        case Drift():
            return drift.observe(rule, state, given)
        case Repetition():
            return repetition.observe(rule, state, given)


def settled(rule: Rule, state: State) -> State:
    """What the rule would remember had the present run not been: mostly nothing; of a drift, the player's own
    standard."""
    return drift.settled(state) if isinstance(rule, Drift) else INITIAL


__all__ = ["INITIAL", "State", "observe", "settled"]

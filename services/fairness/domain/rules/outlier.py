"""Far above its peers: 0.6745 (x - median) / MAD, the modified z-score of Iglewicz and Hoaglin.

Median and MAD do not move when some are far away, so cheats cannot hide each other. The value is looked at as
coarsely as the peers' are kept.
"""

from services.fairness.domain.detector import Outlier
from services.fairness.domain.finding import Finding, Input, Peers
from services.fairness.domain.peers import bucket_of, least_of
from services.fairness.domain.rules.state import INITIAL, State, found

_CONSISTENT_MICRO = 674_500
"""MAD of a normal distribution in standard deviations."""
_MILLI_MICROS = 1_000


def observe(rule: Outlier, given: Input, peers: Peers | None) -> tuple[State, Finding | None]:
    """It remembers nothing. `peers` None: there are none yet."""
    if peers is None or peers.observations < rule.least_peers:
        return INITIAL, None
    above = least_of(bucket_of(given.reading.value)) - peers.median
    score = _CONSISTENT_MICRO * above // max(peers.mad, rule.least_scale)
    threshold = rule.threshold_milli * _MILLI_MICROS
    return INITIAL, found(score, threshold, peers) if score > threshold else None

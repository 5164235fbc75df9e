"""What there is, in the words of the contract."""

import pytest

from services.gamification.domain.definitions import Aggregation, Metric
from services.gamification.domain.player import Draft
from services.gamification.translate_out import achievement_progress
from tests.unit.gamification.earning import Earner, achievement, catalogue, reach

SCORE = Metric("score", "Score", Aggregation.SUM)


@pytest.mark.parametrize(("value", "told"), [(10**15, 2**63 - 1), (-(10**15), -(2**63))])
def test_a_sum_beyond_64_bits_is_told_as_the_nearest(value: int, told: int) -> None:
    rich = achievement("rich", reach("score", 10**16))
    anna = Earner(catalogue(rich, metrics=[SCORE]))
    for _ in range(9_300):  # each as much as a record may say
        anna.does("score", value)
    shown = achievement_progress(Draft(anna.player), anna.catalogue, rich, anna.now)
    assert shown.metrics["score"] == told

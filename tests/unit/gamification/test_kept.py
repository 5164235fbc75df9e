"""Accumulators that are kept: where they begin is known, whatever comes and goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gamification.domain.player import Accumulator, AccumulatorKey, Draft, Player

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SERIES = [("", "kills", "hour/4"), ("", "kills", "day/24"), ("quest:hunt:1:0", "wins", "hour/4")]
ONE = Accumulator(1, 1, 1, 1, 1, NOON, "e")


def _key(series: tuple[str, str, str], minutes: int) -> AccumulatorKey:
    scope, metric, window = series
    return AccumulatorKey(scope, metric, window, NOON + timedelta(minutes=minutes))


KEYS = st.builds(
    _key,
    st.sampled_from(SERIES),
    st.integers(0, 9),
)


def in_order(keys: set[AccumulatorKey]) -> list[list[datetime]]:
    return [sorted(key.starts_at for key in keys if key[:3] == series) for series in SERIES]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["count", "keep", "look", "forget"]), KEYS), max_size=40))
def test_begins_are_those_of_all_there_are(steps: list[tuple[str, AccumulatorKey]]) -> None:
    player = Player("ann")
    draft = Draft(player)
    for step, key in steps:
        if step == "count":
            draft.accumulators[key] = ONE
        elif step == "forget" and key in player.accumulators:
            del player.accumulators[key]
            draft = Draft(player)
        elif step == "keep":
            player.take(draft)
            draft = Draft(player)
        elif step == "look":
            draft.accumulators.starts(*key[:3])
    kept = {*player.accumulators}
    assert [list(draft.accumulators.starts(*series)) for series in SERIES] == in_order(
        kept | {*draft.accumulators.changed}
    )
    assert [list(player.accumulators.starts(series)) for series in SERIES] == in_order(kept)

"""Gains that no honest player has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.gamification.domain import limits
from services.gamification.domain.definitions import Aggregation, GainAction, GainLimit, Metric
from services.gamification.domain.events import ImpossibleGain
from services.gamification.domain.observation import Observation, Outcome
from services.gamification.domain.player import Draft, Player

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
A_MINUTE = GainLimit(MINUTE, 10, GainAction.REFUSE)
AN_HOUR = GainLimit(60 * MINUTE, 15, GainAction.QUARANTINE)


def _metric(*of: GainLimit, aggregation: Aggregation = Aggregation.SUM) -> Metric:
    return Metric("xp", "", aggregation, limits=of)


def _gain(value: int, at: datetime = NOW, event: str = "e1", member: str = "") -> Observation:
    return Observation("xp", value, member, at, event, "match")


def _hold(draft: Draft, metric: Metric, *gains: Observation) -> list[Outcome | None]:
    return [limits.hold(draft, metric, gain, NOW) for gain in gains]


def test_as_much_as_the_limit_is_let_through_and_one_more_is_not() -> None:
    draft = Draft(Player("ann"))
    metric = _metric(A_MINUTE)
    assert _hold(draft, metric, _gain(7), _gain(3), _gain(1), _gain(0)) == [None, None, Outcome.REFUSED, None]
    # A piece begins at the full minute, and ends before the next one.
    assert _hold(draft, metric, _gain(1, NOW + MINUTE - TICK)) == [Outcome.REFUSED]
    assert _hold(draft, metric, _gain(10, NOW + MINUTE), _gain(10, NOW - TICK)) == [None, None]


def test_what_is_refused_takes_no_room() -> None:
    draft = Draft(Player("ann"))
    assert _hold(draft, _metric(A_MINUTE), _gain(11), _gain(10)) == [Outcome.REFUSED, None]


def test_losses_make_no_room() -> None:
    draft = Draft(Player("ann"))
    gains = _gain(10), _gain(-10), _gain(1)
    assert _hold(draft, _metric(A_MINUTE), *gains) == [None, None, Outcome.REFUSED]


def test_all_limits_are_looked_at_before_any_counts() -> None:
    draft = Draft(Player("ann"))
    metric = _metric(A_MINUTE, AN_HOUR)
    minutes = [_gain(10), _gain(6, NOW + MINUTE), _gain(5, NOW + MINUTE)]
    # The six broke the hour, so they must not have counted for their minute: which has room for five.
    assert _hold(draft, metric, *minutes) == [None, Outcome.QUARANTINED, None]


def test_who_looks_at_it_sees_what_was_gained_and_what_the_limit_was() -> None:
    draft = Draft(Player("ann"))
    _hold(draft, _metric(AN_HOUR), _gain(15), _gain(2, event="e2"))
    [gain] = draft.quarantined
    assert (gain.user_id, gain.metric, gain.value, gain.occurred_at) == ("ann", "xp", 2, NOW)
    assert (gain.event, gain.cause) == ("e2", "match")
    assert (gain.per_us, gain.most, gain.reached) == (3_600_000_000, 15, 17)
    assert draft.happened == [ImpossibleGain(gain, quarantined=True)]


def test_refused_gains_are_told_and_not_kept() -> None:
    draft = Draft(Player("ann"))
    _hold(draft, _metric(A_MINUTE), _gain(11))
    assert not draft.quarantined
    [told] = draft.happened
    assert isinstance(told, ImpossibleGain)
    assert not told.quarantined


def test_gains_of_two_events_are_two() -> None:
    draft = Draft(Player("ann"))
    _hold(draft, _metric(AN_HOUR), _gain(16, event="e1"), _gain(16, event="e2"))
    assert len({gain.id for gain in draft.quarantined}) == 2
    other = Draft(Player("bob"))
    _hold(other, _metric(AN_HOUR), _gain(16, event="e1"))
    assert not {gain.id for gain in draft.quarantined} & {gain.id for gain in other.quarantined}


@pytest.mark.parametrize(
    ("aggregation", "gains", "outcomes"),
    [
        (Aggregation.COUNT, [_gain(10), _gain(1)], [None, Outcome.REFUSED]),
        (Aggregation.MAX, [_gain(10), _gain(10), _gain(11)], [None, None, Outcome.REFUSED]),
        (Aggregation.LAST, [_gain(11, NOW - TICK), _gain(10)], [Outcome.REFUSED, None]),
        (
            Aggregation.DISTINCT,
            [_gain(1, member=f"m{number}") for number in (*range(10), 3, 10)],
            [None] * 11 + [Outcome.REFUSED],
        ),
    ],
)
def test_what_a_gain_is_depends_on_the_metric(
    aggregation: Aggregation, gains: Sequence[Observation], outcomes: list[Outcome | None]
) -> None:
    draft = Draft(Player("ann"))
    assert _hold(draft, _metric(A_MINUTE, aggregation=aggregation), *gains) == outcomes


def test_a_piece_is_kept_until_nobody_can_add_to_it_unseen() -> None:
    """However old a piece is: else what was refused today would be let through tomorrow."""
    draft = Draft(Player("ann"))
    metric = replace(_metric(A_MINUTE), allowed_lateness=5 * MINUTE)
    old = NOW - timedelta(days=30)
    assert _hold(draft, metric, _gain(10), _gain(10, old)) == [None, None]
    pieces = {key.starts_at: each.over_at for key, each in draft.accumulators.changed.items()}
    assert pieces == {NOW: NOW + 7 * MINUTE, old: NOW + 6 * MINUTE}


def test_a_metric_without_limits_keeps_nothing() -> None:
    draft = Draft(Player("ann"))
    assert _hold(draft, _metric(), _gain(10**15)) == [None]
    assert not draft.accumulators

"""Places and percentiles."""

from __future__ import annotations

from typing import Any

import pytest

from services.combat.domain.results import Ending, Mode, Place, places
from services.combat.domain.statistics import REWIND_BIN_US, PlayerStats, Score, percentile_us
from tests.support.draw import Draw, cases, draws

FREE = Mode(teams=False, respawns=True)
ROYALE = Mode(teams=False, respawns=False)
TEAMS = Mode(teams=True, respawns=True)


def someone(player_id: str, slot: int = 0, **counts: Any) -> PlayerStats:
    return PlayerStats(player_id=player_id, slot=slot, **counts)


def ranked(found: dict[str, Place]) -> list[tuple[str, int]]:
    return sorted((name, each.place) for name, each in found.items())


def winners(found: dict[str, Place]) -> set[str]:
    return {name for name, each in found.items() if each.won}


def test_everybody_for_himself() -> None:
    players = [
        someone("ann", 0, kills=5, deaths=1),
        someone("ben", 1, kills=7, deaths=9),
        someone("eve", 2, kills=5, deaths=1),
        someone("dan", 3, kills=5, deaths=2),
    ]
    found = places(players, FREE, Ending(2, {"ann", "ben", "eve", "dan"}, {}))
    assert ranked(found) == [("ann", 2), ("ben", 1), ("dan", 4), ("eve", 2)]
    assert winners(found) == {"ben"}
    draw = places(players, FREE, Ending(0, {"ann", "ben", "eve", "dan"}, {}))
    assert ranked(draw) == ranked(found)
    assert winners(draw) == set()


def test_who_won_is_first_whatever_was_counted() -> None:
    players = [someone("ann", 0, kills=1), someone("ben", 1, kills=9)]
    found = places(players, FREE, Ending(1, {"ann", "ben"}, {}))
    assert ranked(found) == [("ann", 1), ("ben", 2)]


def test_a_seat_that_changed_hands_has_one_winner() -> None:
    players = [someone("gone", 3, kills=9), someone("here", 3, kills=1), someone("ann", 0, kills=2)]
    found = places(players, FREE, Ending(4, {"here", "ann"}, {}))
    assert winners(found) == {"here"}
    assert ranked(found) == [("ann", 3), ("gone", 2), ("here", 1)]


def test_teams_share_a_place() -> None:
    players = [
        someone("ann", 0, team=0, kills=1),
        someone("ben", 1, team=1, kills=9),
        someone("eve", 2, team=0, kills=2),
        someone("dan", 3, team=2, kills=4),
        someone("left", 3, team=1, kills=0),
    ]
    found = places(players, TEAMS, Ending(2, {"ann", "ben", "eve", "dan"}, {}))
    assert ranked(found) == [("ann", 4), ("ben", 1), ("dan", 3), ("eve", 4), ("left", 1)]
    assert winners(found) == {"ben"}


def test_who_stood_longest() -> None:
    players = [someone(name, slot) for slot, name in enumerate(("ann", "ben", "eve", "dan"))]
    found = places(players, ROYALE, Ending(1, {"ann", "ben", "dan"}, {"ben": 90, "eve": 40, "dan": 41}))
    assert ranked(found) == [("ann", 1), ("ben", 2), ("dan", 3), ("eve", 4)]
    # The time ran out on two of them.
    late = places(players, ROYALE, Ending(0, {"ann", "ben", "dan"}, {"eve": 40, "dan": 41}))
    assert ranked(late) == [("ann", 1), ("ben", 1), ("dan", 3), ("eve", 4)]


@cases(draws, fewer=10)
def test_percentiles_are_nearest_ranks(draw: Draw) -> None:
    shots = [draw.whole(0, draw.choice((3, 600))) for _ in range(draw.whole(1, 200))]
    percent = draw.whole(1, 100)
    bins = [shots.count(ms) for ms in range(max(shots) + 1)]
    rank = -(-percent * len(shots) // 100)
    assert percentile_us(bins, percent) == sorted(shots)[rank - 1] * REWIND_BIN_US


def test_a_percentile_of_nothing() -> None:
    assert percentile_us([], 50) == percentile_us([0, 0], 99) == 0


@pytest.mark.parametrize(("after_us", "milli"), [(0, 2000), (10, 1500), (5, 1750), (20, 1250), (400, 1000)])
def test_a_score_halves(after_us: int, milli: int) -> None:
    assert Score(1000, 100).violated(100 + after_us, 10) == Score(milli, 100 + after_us)

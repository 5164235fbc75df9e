"""The ring of poses: time to rows, interpolation, epochs, and the twin."""

from __future__ import annotations

import math

import pytest

from native.history import History
from native.reference import history as twin
from native.reference.history import CLAMP, PRESENT, REJECT, Pose, tick_time
from tests.support.draw import Draw, cases, draws

RATES = (10, 20, 30, 60, 64, 128)


class Pair:
    """The same history twice: compiled and in plain Python."""

    def __init__(self, ticks: int, slots: int, rate: int) -> None:
        self.native = History(ticks, slots, rate)
        self.reference = twin.History(ticks, rate)

    def begin(self, tick: int) -> None:
        self.native.begin(tick)
        self.reference.begin(tick)

    def put(self, slot: int, pose: Pose, alive: bool = True) -> None:
        self.native.put(slot, *pose, alive=alive)
        self.reference.put(slot, pose, alive)

    def sample(self, slot: int, time_us: int, on_break: int) -> Pose | None:
        native = self.native.sample(slot, time_us, on_break)
        reference = self.reference.sample(slot, self.reference.at(time_us), on_break)
        assert native == reference
        return reference


def life_of(draw: Draw, rows: int) -> list[Pose | None]:
    """One seat over some ticks; None is absent or dead. A new life is a new epoch, as is a teleport."""
    life: list[Pose | None] = []
    epoch = draw.whole(0, 255)
    for _ in range(rows):
        event = draw.choice(("walk", "walk", "walk", "away", "teleport"))
        if event == "away":
            life.append(None)
        else:
            if event == "teleport" or (life and life[-1] is None):
                epoch = (epoch + 1) % 256
            x, y, z = (draw.real(-1000.0, 1000.0) for _ in range(3))
            yaw, pitch = draw.real(-6300.0, 6300.0), draw.real(-6300.0, 6300.0)
            life.append(Pose(x, y, z, yaw, pitch, stance=epoch % 4, epoch=epoch))
    return life


@cases(draws)
def test_equals_the_twin(draw: Draw) -> None:
    rate, first, rows = draw.choice(RATES), draw.whole(0, 1_000_000), draw.randint(1, 12)
    pair = Pair(draw.randint(2, 9), 2, rate)
    seats = [life_of(draw, rows) for _ in range(2)]
    for tick in range(rows):
        pair.begin(first + tick)
        for slot, life in enumerate(seats):
            pose = life[tick]
            if pose is not None:
                pair.put(slot, pose)
    span = (tick_time(max(0, first - 2), rate), tick_time(first + rows + 2, rate))
    for _ in range(draw.randint(1, 4)):
        time_us = draw.whole(*span) if draw.chance(0.5) else tick_time(first + draw.randint(0, rows), rate)
        instant = pair.reference.at(time_us)
        size = pair.native.ticks
        assert pair.native.at(time_us) == (
            instant.tick,
            instant.tick % size,
            instant.newer % size,
            instant.fraction,
            instant.found,
        )
        for slot in range(2):
            for policy in (PRESENT, REJECT, CLAMP):
                pair.sample(slot, time_us, policy)


@cases(draws)
def test_tick_times_are_found_again(draw: Draw) -> None:
    tick, rate = draw.whole(0, 2**32 - 2), draw.choice(RATES)
    history = History(4, 1, rate)
    history.begin(tick)
    history.begin(tick + 1)
    assert history.at(tick_time(tick, rate))[::3] == (tick, 0.0)
    assert history.at(tick_time(tick + 1, rate))[::3] == (tick + 1, 0.0)
    assert history.at(tick_time(tick + 1, rate) - 1)[0] == tick
    assert history.at(tick_time(tick, rate) - 1)[4] is False


def walker(rate: int = 10) -> Pair:
    """A seat that walks 1 m a tick along x, ticks 100 to 109, in a ring of 8."""
    pair = Pair(8, 1, rate)
    for tick in range(100, 110):
        pair.begin(tick)
        pair.put(0, Pose(float(tick), 0.0, 0.0))
    return pair


def at(pair: Pair, time_us: int, on_break: int = PRESENT) -> Pose:
    pose = pair.sample(0, time_us, on_break)
    assert pose is not None
    return pose


def test_between_two_rows_a_pose_is_interpolated() -> None:
    assert at(walker(), 10_525_000).x == pytest.approx(105.25)


def test_after_the_newest_row_is_the_newest_row() -> None:
    assert at(walker(), 10_900_000).x == 109.0
    assert at(walker(), 99_000_000).x == 109.0
    assert walker().native.at(99_000_000) == (109, 109 % 8, 109 % 8, 0.0, True)


def test_before_the_oldest_row_is_not_found() -> None:
    pair = walker()
    assert pair.native.at(10_199_999) == (102, 102 % 8, 102 % 8, 0.0, False)
    assert pair.native.at(10_200_000) == (102, 102 % 8, 102 % 8, 0.0, True)


def test_the_yaw_takes_the_shorter_arc() -> None:
    pair = Pair(4, 1, 10)
    for tick, degrees in enumerate((170.0, -170.0, 530.0)):
        pair.begin(tick)
        pair.put(0, Pose(0.0, 0.0, 0.0, math.radians(degrees)))
    assert abs(at(pair, 50_000).yaw) == pytest.approx(math.pi, abs=1e-6)
    assert math.degrees(at(pair, 25_000).yaw) == pytest.approx(175.0, abs=1e-4)
    assert math.degrees(at(pair, 175_000).yaw) % 360 == pytest.approx(175.0, abs=1e-4)


def jumper() -> Pair:
    """Walks at x = 1, 2, teleports to 50, walks to 51, 52: ticks 1 to 5."""
    pair = Pair(8, 1, 10)
    for tick, (x, epoch) in enumerate([(1.0, 7), (2.0, 7), (50.0, 8), (51.0, 8), (52.0, 8)], start=1):
        pair.begin(tick)
        pair.put(0, Pose(x, 0.0, 0.0, epoch=epoch))
    return pair


def test_a_break_is_judged_by_policy() -> None:
    assert at(jumper(), 250_000, PRESENT).x == 52.0
    assert at(jumper(), 250_000, CLAMP).x == 50.0
    assert jumper().sample(0, 250_000, REJECT) is None


def test_on_either_side_of_a_break_the_seat_is_where_it_was_seen() -> None:
    for policy in (PRESENT, REJECT, CLAMP):
        assert at(jumper(), 200_000, policy).x == 2.0
        assert at(jumper(), 150_000, policy).x == 1.5
        assert at(jumper(), 350_000, policy).x == 50.5


def test_a_seat_that_died_since_is_another_life() -> None:
    pair = Pair(8, 1, 10)
    for tick, alive in enumerate([True, True, False, True, True], start=1):
        pair.begin(tick)
        pair.put(0, Pose(float(tick), 0.0, 0.0, epoch=1 if tick < 3 else 2), alive)
    assert pair.sample(0, 150_000, PRESENT) is None
    assert pair.sample(0, 250_000, PRESENT) is None
    assert pair.sample(0, 350_000, REJECT) is None  # comes to life between the two rows
    assert at(pair, 350_000, CLAMP).x == 4.0
    assert at(pair, 450_000, REJECT).x == 4.5


def test_a_gap_forgets_the_rows_before() -> None:
    pair = walker()
    pair.begin(200)
    assert pair.native.at(10_500_000)[4] is False
    assert pair.sample(0, 20_000_000, PRESENT) is None


def test_bad_arguments_are_named() -> None:
    for arguments, name in (((1, 4, 30), "ticks"), ((8, 0, 30), "slots"), ((8, 4, 0), "tick_rate")):
        with pytest.raises(ValueError, match=name):
            History(*arguments)
    history = History(8, 4, 30)
    with pytest.raises(ValueError, match="begin"):
        history.put(0, 0.0, 0.0, 0.0)
    history.begin(1)
    with pytest.raises(ValueError, match="slot"):
        history.put(16, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="yaw"):
        history.put(0, 0.0, 0.0, 0.0, math.nan)
    assert history.sample(4000, 0) is None

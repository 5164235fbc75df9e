"""Flags, from when they are raised until they are dismissed: every transition, and no other."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.chassis.errors import (
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.fairness.domain.detector import Mode
from services.fairness.domain.flag import FlagState, Verdict
from services.fairness.domain.happened import FlagChanged, ScoresChanged, StandingChanged
from services.fairness.domain.sanction import GOOD, Hidden, Standing, State
from tests.unit.fairness.judging import BEGIN, HOUR, World, detector

Step = Callable[[World], object]


def confirm(by: str) -> Step:
    return lambda world: world.act(lambda draft: draft.decide(world.flag.id, Verdict.CONFIRM, "seen"), by)


def dismiss(by: str) -> Step:
    return lambda world: world.act(lambda draft: draft.decide(world.flag.id, Verdict.DISMISS, "luck"), by)


def appeal(world: World) -> object:
    return world.act(lambda draft: draft.appeal(world.flag.id, "It was not me."), "player:p")


def again(world: World) -> object:
    return world.hear()


ANN, BOB = "operator:ann", "operator:bob"
OPEN, CONFIRMED, DISMISSED, APPEALED = FlagState
TABLE: list[tuple[list[Step], Step, FlagState | str]] = [
    # What came before, what is tried, and the state then or the reason why not.
    ([], again, OPEN),
    ([], confirm(ANN), CONFIRMED),
    ([], dismiss(ANN), DISMISSED),
    ([], appeal, APPEALED),
    ([confirm(ANN)], again, CONFIRMED),
    ([confirm(ANN)], confirm(BOB), "FLAG_DECIDED"),
    ([confirm(ANN)], dismiss(BOB), "FLAG_DECIDED"),
    ([confirm(ANN)], appeal, APPEALED),
    ([dismiss(ANN)], again, DISMISSED),
    ([dismiss(ANN)], confirm(BOB), "FLAG_DECIDED"),
    ([dismiss(ANN)], dismiss(BOB), "FLAG_DECIDED"),
    ([dismiss(ANN)], appeal, "FLAG_DECIDED"),
    # Nobody had decided.
    ([appeal], again, APPEALED),
    ([appeal], confirm(ANN), CONFIRMED),
    ([appeal], dismiss(ANN), DISMISSED),
    ([appeal], appeal, "FLAG_APPEALED"),
    # Somebody had.
    ([confirm(ANN), appeal], again, APPEALED),
    ([confirm(ANN), appeal], confirm(ANN), "DECIDED_BY_YOU"),
    ([confirm(ANN), appeal], dismiss(ANN), "DECIDED_BY_YOU"),
    ([confirm(ANN), appeal], confirm(BOB), CONFIRMED),
    ([confirm(ANN), appeal], dismiss(BOB), DISMISSED),
    # Each decision may be appealed against, and is judged by another than who made it.
    ([confirm(ANN), appeal, confirm(BOB)], appeal, APPEALED),
    ([confirm(ANN), appeal, confirm(BOB), appeal], dismiss(BOB), "DECIDED_BY_YOU"),
    ([confirm(ANN), appeal, confirm(BOB), appeal], dismiss(ANN), DISMISSED),
]


@pytest.mark.parametrize(("before", "step", "expected"), TABLE)
def test_transitions(before: list[Step], step: Step, expected: FlagState | str) -> None:
    world = World.of(detector())
    world.hear()
    for each in before:
        each(world)
    player, changes = world.player, len(world.drafts)
    if isinstance(expected, FlagState):
        step(world)
        assert world.flag.state is expected
    else:
        with pytest.raises(DomainError) as caught:
            step(world)
        assert caught.value.reason == expected
        assert isinstance(
            caught.value, PermissionDenied if expected == "DECIDED_BY_YOU" else FailedPrecondition
        )
        assert (world.player, len(world.drafts)) == (player, changes)


def test_what_is_found_again_is_the_same_flag() -> None:
    world = World.of(detector())
    world.hear()
    first = world.flag
    world.later(HOUR / 2).hear()
    assert world.flag.id == first.id
    assert (world.flag.occurrences, world.flag.opened_at, world.flag.last_at) == (2, BEGIN, BEGIN + HOUR / 2)
    assert not world.drafts[-1].log
    assert not world.drafts[-1].told


def test_after_a_dismissal_nothing_is_raised_for_a_day() -> None:
    world = World.of(detector())
    world.hear()
    dismiss(ANN)(world)
    world.later(timedelta(hours=23, minutes=59)).hear()
    assert world.flag.occurrences == 1
    world.later(timedelta(minutes=1)).hear()
    old, new = world.flags
    assert (old.state, new.state) == (DISMISSED, OPEN)
    assert new.id != old.id


def test_a_shadow_flag_is_nobodys_business() -> None:
    world = World.of(detector(mode=Mode.SHADOW))
    world.hear()
    assert world.flag.shadow
    assert world.actions == ["flag.opened"]
    assert not world.told
    assert not world.sanctions
    with pytest.raises(NotFound) as caught:
        appeal(world)
    assert caught.value.reason == "FLAG_NOT_FOUND"
    with pytest.raises(FailedPrecondition) as refused:
        world.act(lambda it: it.decide(world.flag.id, Verdict.CONFIRM, "", world.now + HOUR))
    assert refused.value.reason == "FLAG_IS_SHADOW"
    confirm(ANN)(world)
    assert not world.told
    assert world.drafts[-1].records == {("watch", 1, "confirmed"): 1}
    # When the detector is promoted, what it finds is another flag.
    world.mode(Mode.FLAG)
    world.hear()
    assert [it.shadow for it in world.flags].count(True) == 1
    assert len(world.flags) == 2


def test_flags_of_others_are_not_found() -> None:
    world = World.of(detector())
    world.hear()
    for step in (
        lambda it: it.decide("f-0", Verdict.CONFIRM, ""),
        lambda it: it.appeal("f-0", "no"),
    ):
        with pytest.raises(NotFound) as caught:
            world.act(step)
        assert caught.value.reason == "FLAG_NOT_FOUND"


def test_without_consequences_there_is_nothing_to_appeal_against() -> None:
    world = World.of(detector(mode=Mode.FLAG, quarantine=False))
    world.hear()
    with pytest.raises(FailedPrecondition) as caught:
        appeal(world)
    assert caught.value.reason == "FLAG_NOT_APPEALABLE"


def test_appeals_are_taken_for_180_days() -> None:
    world = World.of(detector())
    world.hear()
    world.later(timedelta(days=180))
    appeal(world)
    other = World.of(detector())
    other.hear()
    other.later(timedelta(days=180, microseconds=1))
    with pytest.raises(FailedPrecondition) as caught:
        appeal(other)
    assert caught.value.reason == "APPEAL_TOO_LATE"


# -- what follows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "state"),
    [(Mode.FLAG, State.GOOD), (Mode.THROTTLE, State.THROTTLED), (Mode.BLOCK, State.BLOCKED)],
)
def test_what_follows_is_of_the_mode(mode: Mode, state: State) -> None:
    world = World.of(detector(mode=mode, boards=("kills", "wins")))
    world.hear()
    hidden = ScoresChanged((Hidden("kills", BEGIN), Hidden("wins", BEGIN)))
    stands = StandingChanged(Standing(state, "Too good.", BEGIN + HOUR))
    opened = FlagChanged(world.told[0].flag, "opened", "e1")  # type: ignore[attr-defined]
    assert world.told == ([opened, hidden] if state is State.GOOD else [opened, stands, hidden])
    began = ["sanction.began"] * (1 if state is State.GOOD else 2)
    assert world.actions == ["flag.opened", *began]
    assert all(it.automated for it in world.sanctions.values())


def test_an_off_detector_hears_nothing() -> None:
    world = World.of(detector(mode=Mode.OFF))
    world.hear()
    assert world.player.observed == 0
    assert not world.drafts


def test_scores_are_hidden_since_the_first_input() -> None:
    world = World.of(detector(most=2))
    world.hear()
    world.later(timedelta(seconds=5)).hear()
    world.later(timedelta(seconds=5)).hear()
    assert [it.hidden_since for it in world.sanctions.values()] == [BEGIN, None]


def test_a_hold_that_is_over_begins_again_when_the_player_goes_on() -> None:
    world = World.of(detector())
    world.hear()
    world.later(HOUR).hear()
    assert world.flag.occurrences == 2
    assert world.actions == ["sanction.ended", "sanction.began"]
    assert world.told == [StandingChanged(Standing(State.BLOCKED, "Too good.", world.now + HOUR))]
    # Not while an appeal waits for an answer.
    appeal(world)
    world.later(HOUR).hear()
    assert world.actions == ["sanction.ended"]
    assert world.told == [StandingChanged(GOOD)]


def test_a_promoted_detector_acts_on_a_flag_that_is_open() -> None:
    world = World.of(detector(mode=Mode.FLAG))
    world.hear()
    world.mode(Mode.THROTTLE)
    world.hear()
    assert world.told == [StandingChanged(Standing(State.THROTTLED, "Too good.", BEGIN + HOUR))]
    world.mode(Mode.BLOCK)
    world.later(HOUR / 2).hear()
    assert world.told == [StandingChanged(Standing(State.BLOCKED, "Too good.", world.now + HOUR))]
    assert world.flag.mode is Mode.FLAG


def test_a_dismissal_undoes_what_followed() -> None:
    world = World.of(detector())
    world.hear()
    dismiss(ANN)(world)
    assert world.told[1:] == [StandingChanged(GOOD), ScoresChanged(())]
    assert world.actions == ["flag.decided", "sanction.ended", "sanction.ended"]
    assert all(it.ended_at == BEGIN for it in world.sanctions.values())


def test_a_confirmation_may_block_for_longer_instead() -> None:
    world = World.of(detector())
    world.hear()
    until = BEGIN + timedelta(days=30)
    world.act(lambda it: it.decide(world.flag.id, Verdict.CONFIRM, "seen", until), ANN)
    assert world.told[1:] == [StandingChanged(Standing(State.BLOCKED, "Too good.", until))]
    assert world.actions == ["flag.decided", "sanction.ended", "sanction.began"]
    assert not any(it.automated for it in world.player.sanctions.values())
    # What the detector would do is less than what is in force.
    world.hear()
    assert not world.told


@pytest.mark.parametrize(
    ("verdict", "until", "text"),
    [
        (Verdict.DISMISS, BEGIN + HOUR, "must be absent"),
        (Verdict.CONFIRM, BEGIN, "must be in the future"),
    ],
)
def test_block_until_must_mean_something(verdict: Verdict, until: object, text: str) -> None:
    world = World.of(detector())
    world.hear()
    with pytest.raises(InvalidArgument, match=f"block_until: {text}"):
        world.act(lambda it: it.decide(world.flag.id, verdict, "", until))  # type: ignore[arg-type]


def test_the_record_counts_the_last_decision_of_each_flag() -> None:
    world = World.of(detector())
    world.hear()
    confirm(ANN)(world)
    appeal(world)
    dismiss(BOB)(world)
    total: dict[tuple[str, int, str], int] = {}
    for draft in world.drafts:
        for key, n in draft.records.items():
            total[key] = total.get(key, 0) + n
    assert total == {
        ("watch", 1, "observations"): 1,
        ("watch", 1, "flags"): 1,
        ("watch", 1, "confirmed"): 0,
        ("watch", 1, "dismissed"): 1,
    }

"""How a player stands and which scores are hidden, over restrictions that overlap: as told, it is what one
sees who looks at all of them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError, FailedPrecondition, InvalidArgument
from services.fairness.domain.detector import Mode
from services.fairness.domain.flag import Verdict
from services.fairness.domain.happened import ScoresChanged, StandingChanged
from services.fairness.domain.player import MAX_SANCTIONS
from services.fairness.domain.sanction import (
    ALWAYS,
    GOOD,
    Hidden,
    Sanction,
    Standing,
    State,
    active,
    hidden,
    standing,
)
from tests.unit.fairness.judging import BEGIN, HOUR, World, detector

MINUTE = timedelta(minutes=1)


def sanction(
    number: int,
    state: State = State.GOOD,
    until_min: int | None = None,
    hidden_min: int | None = None,
    boards: tuple[str, ...] = (),
) -> Sanction:
    """Times in minutes since the beginning."""
    until = None if until_min is None else BEGIN + until_min * MINUTE
    since = None if hidden_min is None else BEGIN + hidden_min * MINUTE
    return Sanction(f"s-{number}", "p", state, since, boards, f"r{number}", True, BEGIN, until)


@pytest.mark.parametrize(
    ("sanctions", "expected"),
    [
        ([], GOOD),
        ([sanction(1, hidden_min=0)], GOOD),
        ([sanction(1, State.THROTTLED, 5)], Standing(State.THROTTLED, "r1", BEGIN + 5 * MINUTE)),
        # The worst counts, until the last of it is over.
        (
            [sanction(1, State.BLOCKED, 5), sanction(2, State.BLOCKED, 9), sanction(3, State.THROTTLED, 7)],
            Standing(State.BLOCKED, "r2", BEGIN + 9 * MINUTE),
        ),
        # When that is over the player is throttled still: nobody may think that it is good then.
        (
            [sanction(1, State.BLOCKED, 5), sanction(2, State.THROTTLED, 7)],
            Standing(State.BLOCKED, "r1", None),
        ),
        ([sanction(1, State.BLOCKED), sanction(2, State.BLOCKED, 7)], Standing(State.BLOCKED, "r1", None)),
    ],
)
def test_standing(sanctions: list[Sanction], expected: Standing) -> None:
    assert standing(sanctions) == expected
    assert standing(reversed(sanctions)) == expected


@pytest.mark.parametrize(
    ("sanctions", "expected"),
    [
        ([sanction(1, State.BLOCKED)], []),
        ([sanction(1, hidden_min=5), sanction(2, hidden_min=3)], [("", 3)]),
        # What every board hides need not be said of one.
        ([sanction(1, hidden_min=3), sanction(2, hidden_min=5, boards=("a",))], [("", 3)]),
        (
            [sanction(1, hidden_min=3), sanction(2, hidden_min=1, boards=("b", "a"))],
            [("", 3), ("a", 1), ("b", 1)],
        ),
    ],
)
def test_hidden(sanctions: list[Sanction], expected: list[tuple[str, int]]) -> None:
    assert hidden(sanctions) == tuple(Hidden(board, BEGIN + since * MINUTE) for board, since in expected)


def test_blocked_by_an_operator_and_back() -> None:
    world = World()
    until = BEGIN + HOUR
    world.act(lambda it: it.block("Rude.", State.BLOCKED, until, hide_scores=True))
    assert world.told == [
        StandingChanged(Standing(State.BLOCKED, "Rude.", until)),
        ScoresChanged((Hidden("", ALWAYS),)),
    ]
    world.act(lambda it: it.block("Still rude.", State.THROTTLED))
    assert world.told == [StandingChanged(Standing(State.BLOCKED, "Rude.", None))]
    world.act(lambda it: it.unblock("Sorry."))
    assert world.told == [StandingChanged(GOOD), ScoresChanged(())]
    assert world.actions == ["sanction.ended", "sanction.ended"]
    changes = len(world.drafts)
    world.act(lambda it: it.unblock("Again."))
    assert len(world.drafts) == changes


def test_unblocking_leaves_what_flags_hide() -> None:
    world = World.of(detector())
    world.hear()
    world.act(lambda it: it.unblock("A mistake."))
    assert world.told == [StandingChanged(GOOD)]
    assert [it.hidden_since for it in world.player.sanctions.values()] == [BEGIN]


def test_what_an_operator_may_not_ask_for() -> None:
    world = World()
    with pytest.raises(InvalidArgument, match="until: must be in the future"):
        world.act(lambda it: it.block("Rude.", until=BEGIN))
    for _ in range(MAX_SANCTIONS):
        world.act(lambda it: it.block("Rude."))
    with pytest.raises(FailedPrecondition) as caught:
        world.act(lambda it: it.block("Rude."))
    assert caught.value.reason == "TOO_MANY_SANCTIONS"


# -- any history ------------------------------------------------------------------------------------------

_DETECTORS = (
    detector("a", Mode.FLAG, boards=("kills",)),
    detector("b", Mode.THROTTLE, boards=("kills", "wins"), hold=20 * MINUTE),
    detector("c", Mode.BLOCK, hold=10 * MINUTE),
    detector("d", Mode.BLOCK, quarantine=False, hold=None),
    detector("e", Mode.SHADOW),
)
_hear = st.tuples(st.just("hear"), st.sampled_from("abcde"))
_decide = st.tuples(
    st.just("decide"),
    st.integers(0, 9),
    st.sampled_from(Verdict),
    st.sampled_from(["ann", "bob"]),
    st.none() | st.integers(1, 60),
)
_appeal = st.tuples(st.just("appeal"), st.integers(0, 9))
_block = st.tuples(
    st.just("block"),
    st.sampled_from([State.THROTTLED, State.BLOCKED]),
    st.none() | st.integers(1, 60),
    st.booleans(),
)
_unblock = st.tuples(st.just("unblock"))
_later = st.tuples(st.just("later"), st.sampled_from([1, 7, 30, 60 * 24]))
_HISTORIES: st.SearchStrategy[list[tuple[object, ...]]] = st.lists(
    st.one_of(_hear, _hear, _decide, _appeal, _block, _unblock, _later), max_size=25
)


def happen(world: World, what: object, *how: object) -> None:
    """What is refused does not happen."""
    match what, *how:
        case "hear", str(name):
            world.hear(name)
        case "decide", int(which), Verdict() as verdict, str(who), until_min if world.flags:
            flag = world.flags[which % len(world.flags)]
            until = world.now + until_min * MINUTE if isinstance(until_min, int) else None
            world.act(lambda it: it.decide(flag.id, verdict, "", until), f"operator:{who}")
        case "appeal", int(which) if world.flags:
            flag = world.flags[which % len(world.flags)]
            world.act(lambda it: it.appeal(flag.id, "no"), "player:p")
        case "block", State() as state, until_min, bool(hide):
            until = world.now + until_min * MINUTE if isinstance(until_min, int) else None
            world.act(lambda it: it.block("Rude.", state, until, hide_scores=hide))
        case ("unblock",):
            world.act(lambda it: it.unblock("Enough."))
        case "later", int(minutes):
            world.later(minutes * MINUTE)


def state_at(sanctions: Iterable[Sanction], at: datetime) -> State:
    """If nobody did anything until then."""
    return max(
        (it.state for it in sanctions if it.ended_at is None and (it.until is None or at < it.until)),
        default=State.GOOD,
    )


def good_from(sanctions: Iterable[Sanction], state: State, since: datetime) -> datetime | None:
    """From when on it is good, when it is `state` until then; None: there is no such time."""
    sanctions = list(sanctions)
    for at in sorted(it.until for it in sanctions if it.until is not None):
        if state_at(sanctions, at) is not state and at > since:
            return at if state_at(sanctions, at) is State.GOOD else None
    return None


@settings(max_examples=200)
@given(_HISTORIES)
def test_what_was_told_is_what_all_restrictions_come_to(history: list[tuple[object, ...]]) -> None:
    world = World.of(*_DETECTORS)
    for step in history:
        try:
            happen(world, *step)
        except DomainError:
            continue
    # The sweeper comes now.
    world.act(lambda _: None)
    told = [each for draft in world.drafts for each in draft.told]
    assert [revision for revision, _ in told] == list(range(1, world.player.revision + 1))
    stands, scores = GOOD, ScoresChanged(())
    for _, each in told:
        if isinstance(each, StandingChanged):
            assert each.standing != stands, "it was told before"
            stands = each.standing
        elif isinstance(each, ScoresChanged):
            assert each != scores, "it was told before"
            scores = each
    everything = list(world.sanctions.values())
    state = state_at(everything, world.now)
    assert stands.state is state
    assert stands.until == (None if state is State.GOOD else good_from(everything, state, world.now))
    assert stands.reason in {it.reason for it in everything if it.state is state} | {""}
    assert {it.id for it in active(everything, world.now)} == world.player.sanctions.keys()
    for board in ("kills", "wins", "other"):
        for at in {it.hidden_since for it in everything if it.hidden_since is not None} | {BEGIN}:
            for score in (at, at - timedelta(microseconds=1)):
                assert any(
                    it.ended_at is None
                    and it.hidden_since is not None
                    and it.hidden_since <= score
                    and (not it.boards or board in it.boards)
                    for it in everything
                ) == any(it.board in ("", board) and it.since <= score for it in scores.hidden)
    began = [id_ for draft in world.drafts for id_ in draft.sanctions]
    assert set(began) == world.sanctions.keys()
    not_dismissed = [(it.detector_id, it.shadow) for it in world.flags if it.state.name != "DISMISSED"]
    assert len(not_dismissed) == len(set(not_dismissed))

"""The rules of progression by example: refusals with their reasons, known numbers, numbers without bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import DomainError, FailedPrecondition, InvalidArgument, OutOfRange
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character
from services.progression.domain.curve import Curve, load_curves, parse_curve
from services.progression.domain.definition import Definition, Gain, MasteryType, Prestige, load_definitions
from services.progression.domain.events import (
    ATTRIBUTES,
    DefinitionChanged,
    Enrolled,
    Event,
    ExperienceAwarded,
    Multiplier,
    PointsDistributed,
    PointsRespecced,
    PrestigeReset,
    TrackChange,
)
from services.progression.domain.levels import MOST
from services.progression.domain.paragon import distribute, respec
from services.progression.domain.prestige import bonuses, reset
from services.progression.domain.remap import remap
from services.progression.domain.standing import standing
from tests.support.progression_rules import NOW, told

DATA = Path(__file__).parents[3] / "services" / "progression" / "data"
CURVES = load_curves(DATA / "curves")
DEFAULT = load_definitions(DATA / "definitions", CURVES)["default-1"]
FULL = DEFAULT.base.full
NOTHING = dict.fromkeys(ATTRIBUTES, 0)


def someone(**known: Any) -> Character:
    return replace(Character("ann", "ann", "default-1", version=1), **known)


def given(experience: int = 0, **known: Any) -> Award:
    return replace(Award("ann", "", "test", experience), **known)


def awarded(definition: Definition, character: Character | None, of: Award) -> ExperienceAwarded:
    event = award(definition, character, of)[-1]
    assert isinstance(event, ExperienceAwarded)
    return event


def refused(act: Callable[[], object], kind: type[DomainError], reason: str, **metadata: str) -> DomainError:
    with pytest.raises(kind) as error:
        act()
    assert type(error.value) is kind
    assert error.value.reason == reason
    assert error.value.metadata == metadata
    return error.value


def with_paragon(curve: Curve, points_per_level: int = 1) -> Definition:
    return replace(DEFAULT, paragon=replace(DEFAULT.paragon, curve=curve, points_per_level=points_per_level))


# -- awards -------------------------------------------------------------------------------------------


def test_a_character_begins_with_its_first_award() -> None:
    assert award(DEFAULT, None, given(5))[0] == Enrolled("ann", "default-1")
    assert award(DEFAULT, None, given(5, player_id="bob"))[0] == Enrolled("bob", "default-1")
    assert [type(each) for each in award(DEFAULT, someone(), given(5))] == [ExperienceAwarded]


def test_an_award_that_names_another_owner_is_refused() -> None:
    award(DEFAULT, someone(), given(5, player_id="ann"))
    refused(
        lambda: award(DEFAULT, someone(), given(5, player_id="eve")),
        FailedPrecondition,
        "CHARACTER_OWNER_DIFFERS",
        character_id="ann",
        player_id="eve",
    )


def test_experience_fills_the_base_levels_and_the_rest_is_paragon() -> None:
    event = awarded(DEFAULT, someone(base_experience=FULL - 10), given(11))
    assert (event.experience, event.base_experience, event.paragon_experience) == (11, 10, 1)
    assert (event.from_base_level, event.to_base_level) == (49, 50)
    event = awarded(DEFAULT, someone(base_experience=FULL - 10), given(9))
    assert (event.base_experience, event.paragon_experience, event.to_base_level) == (9, 0, 49)
    event = awarded(DEFAULT, someone(base_experience=FULL), given(1_000))
    assert (event.base_experience, event.paragon_experience, event.to_paragon_level) == (0, 1_000, 1)


def test_multipliers_apply_in_order_and_are_rounded_down_one_by_one() -> None:
    veteran = someone(base_experience=DEFAULT.base.curve.total(24), resets=3)
    of = given(101, multipliers=(("rested", 1_500_000), ("event", 333_333)), content_level=19)
    event = awarded(DEFAULT, veteran, of)
    assert event.multipliers == (
        Multiplier("level_difference", 950_419, 95),
        Multiplier("prestige", 1_300_000, 123),
        Multiplier("rested", 1_500_000, 184),
        Multiplier("event", 333_333, 61),
    )
    assert (event.base, event.experience) == (101, 61)
    assert awarded(DEFAULT, someone(), given(7)).multipliers == ()
    assert awarded(DEFAULT, someone(), given(7, multipliers=(("none", 0),))).experience == 0


def test_mastery_is_not_multiplied_and_unlocks_each_reward_once() -> None:
    of = given(mastery=(("raid", 329),), multipliers=(("event", 9_000_000),))
    (gain,) = awarded(DEFAULT, someone(resets=9), of).mastery
    assert (gain.experience, gain.from_level, gain.to_level) == (329, 1, 5)
    assert gain.reward_ids == ("mastery.raid.2", "mastery.raid.5")
    has = someone(mastery={"raid": 61}, rewards={"mastery.raid.2": NOW})
    (gain,) = awarded(DEFAULT, has, given(mastery=(("raid", 1),))).mastery
    assert (gain.from_level, gain.to_level, gain.reward_ids) == (1, 2, ())
    (gain,) = awarded(DEFAULT, someone(), given(mastery=(("raid", 10**30),))).mastery
    assert (gain.to_level, len(gain.reward_ids)) == (100, 8)


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (given(-1), "experience"),
        (given(mastery=(("raid", 0),)), "mastery"),
        (given(mastery=(("raid", 1), ("raid", 1))), "mastery"),
        (given(multipliers=(("event", -1),)), "multipliers"),
    ],
)
def test_an_award_that_takes_away_or_counts_twice_is_refused(of: Award, field: str) -> None:
    error = refused(lambda: award(DEFAULT, None, of), InvalidArgument, "FIELD_INVALID")
    assert [each.field for each in error.violations] == [field]


def test_an_unknown_mastery_type_is_refused_with_those_that_are_known() -> None:
    of = given(1, mastery=(("fishing", 1),))
    error = refused(lambda: award(DEFAULT, None, of), InvalidArgument, "MASTERY_TYPE_UNKNOWN")
    assert "combat, dungeon, exploration, pvp, raid, world_boss" in error.text


# -- without bounds -----------------------------------------------------------------------------------


def test_level_100000_and_totals_beyond_64_bits() -> None:
    definition = with_paragon(CURVES["diablo3_paragon-1"])
    total = definition.paragon.curve.total(100_000)
    assert total > MOST
    character = told(None, award(definition, None, given(FULL + total - 1)))
    assert standing(definition, character).paragon.level.level == 99_999
    character = told(character, award(definition, character, given(1)))
    level = standing(definition, character).paragon.level
    assert (level.level, level.experience, level.in_level) == (100_000, total, 0)
    character = told(character, distribute(definition, character, NOTHING | {"strength": 100_000}))
    now = standing(definition, character).paragon
    assert (now.points_unspent, now.attributes[0].effect_milli) == (0, 100_000 + 300_000 + 49_750_000)


def test_the_last_level_that_the_contract_can_tell() -> None:
    every_one = parse_curve({"kind": "power", "first_level": 0, "factor": 1, "exponent": "1"}, "one-1")
    definition = with_paragon(every_one)
    full = someone(base_experience=FULL, paragon_experience=MOST - 1)
    assert awarded(definition, full, given(1)).to_paragon_level == MOST
    refused(lambda: award(definition, full, given(2)), OutOfRange, "LEVEL_OUT_OF_RANGE", limit=str(MOST))
    many_points = with_paragon(every_one, points_per_level=2)
    half = someone(base_experience=FULL, paragon_experience=MOST // 2)
    assert awarded(many_points, half, given(0)).to_paragon_level == MOST // 2
    refused(lambda: award(many_points, half, given(1)), OutOfRange, "LEVEL_OUT_OF_RANGE", limit=str(MOST))


# -- points -------------------------------------------------------------------------------------------


def test_points_are_distributed_whole_or_not_at_all() -> None:
    rich = someone(paragon_experience=CURVES["paragon-1"].total(300), points=NOTHING | {"luck": 198})
    assert distribute(DEFAULT, rich, {"agility": 100, "luck": 2}) == [
        PointsDistributed(NOTHING | {"agility": 100, "luck": 2})
    ]
    refused(
        lambda: distribute(DEFAULT, rich, {"agility": 101, "luck": 2}),
        FailedPrecondition,
        "POINTS_INSUFFICIENT",
        points="103",
        points_unspent="102",
    )
    refused(
        lambda: distribute(DEFAULT, rich, {"agility": 1, "luck": 3}),
        FailedPrecondition,
        "ATTRIBUTE_CAPPED",
        attribute="luck",
        cap="200",
        points="198",
    )


def test_points_must_be_named_known_and_positive() -> None:
    rich = someone(paragon_experience=CURVES["paragon-1"].total(300))
    nothing: list[dict[str, int]] = [{}, NOTHING, {"luck": 0}]
    for points in nothing:
        refused(partial(distribute, DEFAULT, rich, points), InvalidArgument, "NO_POINTS_NAMED")
    error = refused(
        lambda: distribute(DEFAULT, rich, {"luck": 5, "agility": -1}), InvalidArgument, "FIELD_INVALID"
    )
    assert error.violations[0].field == "points.agility"
    error = refused(lambda: distribute(DEFAULT, rich, {"charm": 1}), InvalidArgument, "FIELD_INVALID")
    assert error.violations[0].field == "points.charm"


def test_a_respec_is_paid_from_the_present_level_only() -> None:
    points = NOTHING | {"vitality": 3}
    third = CURVES["paragon-1"].total(3)
    assert respec(DEFAULT, someone(paragon_experience=third, points=points)) == [PointsRespecced(points, 0)]
    once = someone(paragon_experience=third + 100, points=points, respecs=1)
    assert respec(DEFAULT, once) == [PointsRespecced(points, 100)]
    assert told(once, respec(DEFAULT, once)).paragon_experience == third
    refused(
        lambda: respec(DEFAULT, replace(once, paragon_experience=third + 99)),
        FailedPrecondition,
        "RESPEC_COST_UNPAID",
        cost="100",
        experience_in_level="99",
    )
    refused(lambda: respec(DEFAULT, someone()), FailedPrecondition, "NO_POINTS_SPENT")


# -- prestige -----------------------------------------------------------------------------------------


def test_a_reset_takes_its_cost_and_keeps_what_the_definition_says() -> None:
    points = NOTHING | {"luck": 2}
    ready = someone(base_experience=FULL, paragon_experience=5_000, points=points, resets=1)
    (event,) = reset(DEFAULT, ready)
    assert event == PrestigeReset(2, 1_000, 50, 4, 0, 4_000, points, 1_200_000, 1_200_000, 1_100_000)
    drops = replace(DEFAULT, prestige=replace(DEFAULT.prestige, keeps_paragon=False, keeps_points=False))
    (event,) = reset(drops, ready)
    assert isinstance(event, PrestigeReset)
    assert (event.paragon_experience, event.points) == (0, NOTHING)


def test_points_that_the_cost_no_longer_affords_come_back() -> None:
    points = NOTHING | {"luck": 4}
    ready = someone(base_experience=FULL, paragon_experience=4_300, points=points, resets=1)
    (event,) = reset(DEFAULT, ready)
    assert isinstance(event, PrestigeReset)
    assert (event.paragon_level, event.paragon_experience, event.points) == (4, 3_300, NOTHING)


def test_why_a_reset_is_refused() -> None:
    low = someone(base_experience=FULL - 1)
    refused(
        lambda: reset(DEFAULT, low),
        FailedPrecondition,
        "PRESTIGE_LEVEL_TOO_LOW",
        level="49",
        required_level="50",
    )
    assert standing(DEFAULT, low).prestige.unavailable_reason == "PRESTIGE_LEVEL_TOO_LOW"
    poor = someone(base_experience=FULL, paragon_experience=999, resets=1)
    refused(
        lambda: reset(DEFAULT, poor),
        FailedPrecondition,
        "PRESTIGE_COST_UNPAID",
        cost="1000",
        experience="999",
    )
    assert standing(DEFAULT, poor).prestige.unavailable_reason == "PRESTIGE_COST_UNPAID"
    assert standing(DEFAULT, someone(base_experience=FULL)).prestige.available


def modes() -> list[Prestige]:
    return [replace(DEFAULT.prestige, mode=mode) for mode in ("additive", "multiplicative")]


def test_both_ways_to_add_up_bonuses() -> None:
    additive, multiplicative = modes()
    told_by = [(0, 1_000_000, 1_000_000), (1, 1_100_000, 1_100_000), (2, 1_200_000, 1_210_000)]
    for resets, sum_, power in [*told_by, (10, 2_000_000, 2_593_742)]:
        assert bonuses(additive, resets).xp_micro == bonuses(additive, resets).currency_micro == sum_
        assert bonuses(multiplicative, resets).xp_micro == power
    # Half of what is above one: no reset at all is a factor of 1, not of a half.
    assert [bonuses(additive, resets).drop_rate_micro for resets in (0, 1, 10)] == [
        1_000_000,
        1_050_000,
        1_500_000,
    ]


def test_no_reset_lowers_a_bonus_and_none_passes_the_cap() -> None:
    for prestige in (*modes(), *(replace(each, cap_micro=1_250_000) for each in modes())):
        found = [bonuses(prestige, resets) for resets in range(200)]
        for here, there in pairwise(found):
            assert here.xp_micro <= there.xp_micro <= prestige.cap_micro
            assert here.drop_rate_micro <= there.drop_rate_micro
        assert bonuses(prestige, 2**63).xp_micro == prestige.cap_micro


@pytest.mark.parametrize("step", [10_000, 333_333, 999_999, 1_000_000, 7_000_000])
def test_a_power_is_exact_until_it_reaches_the_cap(step: int) -> None:
    prestige = replace(DEFAULT.prestige, mode="multiplicative", step_micro=step)
    exact, resets = Fraction(1), 0
    while exact * 10**6 < 2 * prestige.cap_micro:
        assert bonuses(prestige, resets).xp_micro == min(floor(exact * 10**6), prestige.cap_micro)
        exact, resets = exact * Fraction(10**6 + step, 10**6), resets + 1
    assert bonuses(prestige, resets).xp_micro == prestige.cap_micro == 10**9


# -- another definition -------------------------------------------------------------------------------


def later(modes: dict[str, str], **changes: Any) -> Definition:
    return replace(DEFAULT, name="default-2", changes={"default-1": modes}, **changes)


def changed(new: Definition, character: Character) -> DefinitionChanged:
    (event,) = remap(DEFAULT, new, character)
    assert isinstance(event, DefinitionChanged)
    return event


def track(event: DefinitionChanged, name: str) -> TrackChange:
    return next(each for each in event.tracks if each.track == name)


def test_a_definition_that_does_not_know_the_older_one_is_refused() -> None:
    refused(
        lambda: remap(DEFAULT, replace(DEFAULT, name="other-1"), someone()),
        FailedPrecondition,
        "DEFINITION_CHANGE_UNKNOWN",
        **{"from": "default-1", "to": "other-1"},
    )
    assert remap(DEFAULT, DEFAULT, someone()) == []


def test_experience_is_kept_or_the_level_with_its_share() -> None:
    paragon = replace(DEFAULT.paragon, curve=CURVES["diablo3_paragon-1"])
    old, new = DEFAULT.paragon.curve, paragon.curve
    # Two thirds of level 70,000 are done.
    cost = old.total(70_001) - old.total(70_000)
    stood = someone(paragon_experience=old.total(70_000) + 2 * cost // 3)
    kept = track(changed(later({"paragon": "keep_experience"}, paragon=paragon), stood), "paragon")
    assert (kept.experience_before, kept.experience_after) == (stood.paragon_experience,) * 2
    assert (kept.from_level, kept.to_level) == (70_000, new.level(stood.paragon_experience))
    kept = track(changed(later({"paragon": "keep_level"}, paragon=paragon), stood), "paragon")
    assert (kept.from_level, kept.to_level, kept.mode) == (70_000, 70_000, "keep_level")
    assert (kept.from_curve, kept.to_curve) == ("paragon-1", "diablo3_paragon-1")
    share = kept.experience_after - new.total(70_000)
    assert share == (2 * cost // 3) * (new.total(70_001) - new.total(70_000)) // cost


def test_a_share_beyond_64_bits_is_exact() -> None:
    slopes = [{"from_level": 0, "step": 10**39}]
    document = {"kind": "piecewise_linear", "first_level": 0, "first_cost": 10**40 + 7, "slopes": slopes}
    huge = parse_curve(document, "huge-1")
    old = with_paragon(huge)
    reached, next_ = huge.total(10**6), huge.total(10**6 + 1)
    stood = someone(paragon_experience=next_ - 1)
    new = later({"paragon": "keep_level"}, paragon=DEFAULT.paragon)
    (event,) = remap(old, new, stood)
    assert isinstance(event, DefinitionChanged)
    after = track(event, "paragon").experience_after
    there = DEFAULT.paragon.curve
    cost = there.total(10**6 + 1) - there.total(10**6)
    assert after == there.total(10**6) + (next_ - 1 - reached) * cost // (next_ - reached)
    assert after == there.total(10**6 + 1) - 1


def test_a_lower_cap_gives_its_overflow_to_paragon() -> None:
    base = replace(DEFAULT.base, cap=40)
    prestige = replace(DEFAULT.prestige, required_level=40)
    event = changed(
        later({}, base=base, prestige=prestige), someone(base_experience=FULL, paragon_experience=7)
    )
    assert track(event, "base").experience_after == base.full
    assert track(event, "base").to_level == 40
    assert track(event, "paragon").experience_after == 7 + FULL - base.full
    kept = changed(later({"base": "keep_level"}, base=base, prestige=prestige), someone(base_experience=FULL))
    assert (track(kept, "base").to_level, track(kept, "paragon").experience_after) == (40, 0)


def test_points_come_back_when_the_new_definition_has_fewer() -> None:
    points = NOTHING | {"luck": 9}
    stood = someone(paragon_experience=CURVES["paragon-1"].total(10), points=points)
    kept = changed(later({}), stood)
    assert (kept.points, kept.points_returned) == (points, False)
    fewer = changed(later({}, paragon=replace(DEFAULT.paragon, points_per_level=0)), stood)
    assert (fewer.points, fewer.points_returned) == (NOTHING, True)
    capped = dict(DEFAULT.paragon.attributes) | {"luck": replace(DEFAULT.paragon.attributes["luck"], cap=8)}
    lower = changed(later({}, paragon=replace(DEFAULT.paragon, attributes=capped)), stood)
    assert (lower.points, lower.points_returned) == (NOTHING, True)


def test_a_level_that_now_has_a_reward_gives_it() -> None:
    raid = DEFAULT.mastery["raid"]
    dearer = MasteryType("raid", raid.title, CURVES["runescape-1"], raid.rewards)
    stood = someone(mastery={"raid": 1_052, "gone": 5}, rewards={"mastery.raid.2": NOW})
    events: list[Event] = remap(
        DEFAULT, later({"mastery.raid": "keep_level"}, mastery={"raid": dearer}), stood
    )
    character = told(stood, events)
    assert character.mastery == {"raid": 1_154, "gone": 5}
    assert set(character.rewards) == {"mastery.raid.2", "mastery.raid.5", "mastery.raid.10"}
    assert character.definition == "default-2"


def test_what_an_event_gives_can_be_awarded() -> None:
    gains = [(type_, role, gain) for type_, roles in DEFAULT.awards.items() for role, gain in roles.items()]
    assert len(gains) == 10
    for type_, role, gain in gains:
        assert DEFAULT.gain(type_, role) == gain != Gain()
        event = awarded(DEFAULT, None, Award("ann", "", type_, gain.experience, gain.mastery))
        assert (event.experience, len(event.mastery)) == (gain.experience, len(gain.mastery))

"""Explanations in words, from plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2, verdict_pb2

from services.combat.domain import explain
from services.combat.domain.explain import Sight, Struck
from services.combat.replay.teller import Teller
from tests.support.arenas import Match, at, make_rules

NOBODY = Struck(
    who="ben",
    region="torso",
    distance_m=10.0,
    dealt=0,
    armour=0,
    shield=0,
    overkill=0,
    health=100_000,
    healed=0,
    critical=False,
    lethal=False,
    reason="",
)


def words(enum: Any) -> list[str]:
    """Every value but the first, as explanations name them."""
    prefix = enum.keys()[0].removesuffix("UNSPECIFIED")
    return [name.removeprefix(prefix).lower() for name in enum.keys()[1:]]


def test_every_reason_has_words() -> None:
    assert sorted(explain.REASONS) == sorted(words(verdict_pb2.Reason))
    for reason in words(verdict_pb2.Reason):
        assert explain.refused(reason).startswith("It was refused: ")
        assert "ben" in explain.hit(replace(NOBODY, reason=reason))


def test_every_bound_has_words() -> None:
    assert sorted(explain.CLAMPS) == sorted(words(verdict_pb2.Clamp))
    for clamp in words(verdict_pb2.Clamp):
        said = explain.seen(1_000_000, Sight(600_000, 750_000, 250_000, clamp))
        assert "0:00.600" in said
        assert "0:00.750" in said
        assert "250 ms" in said
        assert explain.CLAMPS[clamp] in said


def test_every_way_to_leave_has_words() -> None:
    assert sorted(explain.LEAVINGS) == sorted(["", *words(event_pb2.LeaveReason)])


@pytest.mark.parametrize("region", ["", *words(verdict_pb2.Region)])
def test_every_region_has_words(region: str) -> None:
    weapon = make_rules().tables()["weapons"][0]
    said = explain.shot(weapon, [replace(NOBODY, region=region, dealt=1)], 0.0, [])
    assert (region or "at 10.0 m") in said


@pytest.mark.parametrize(
    ("us", "text"), [(0, "0:00.000"), (61_250_999, "1:01.250"), (3_600_000_000, "60:00.000")]
)
def test_times(us: int, text: str) -> None:
    assert explain.time(us) == text


# -- real verdicts ----------------------------------------------------------------------------------------


def told(match: Match, command: play_pb2.Command, **frame: Any) -> str:
    """The explanation of what comes of a command."""
    match.arena.take_journal()
    match.judge(command, **frame)
    records = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records
    return Teller(match.rules, {0: "ann", 1: "ben", 2: "cat"}).tell(records[-1])


def test_a_hit_adds_up() -> None:
    match = Match(spawns=[at(-20), at(20)])
    match.run(0.1)
    there = match.feet(1)
    said = told(match, match.aim(0, 1))
    assert "ann (command 1) fired the rifle." in said
    assert f"who stood at {explain.place(there)} then" in said
    # The chest is 40 m away less its depth: 22 x (1 - 14.7 / 35 x 0.25)
    assert "22.0 base x 0.89 for the distance = 19.7." in said
    assert "19.7 from health. 80.3 health was left." in said


def test_a_headshot_and_a_critical_hit_are_in_the_sum() -> None:
    rules = make_rules(weapons__rifle__crit_chance=1.0, weapons__rifle__crit_factor=1.5)
    match = Match(rules, spawns=[at(0), at(10)])
    match.run(0.1)
    said = told(match, match.aim(0, 1, height=1.7))
    assert "ben in the head" in said
    assert "22.0 base x 2.00 for the head x 1.50 for a critical hit = 66.0." in said
    assert ": critical." in said


def test_armour_and_death() -> None:
    match = Match(make_rules(player__armour=50, weapons__rifle__damage=180), spawns=[at(0), at(10)])
    match.run(0.1)
    said = told(match, match.aim(0, 1))
    assert "100.0 from health, 50.0 stopped by armour, 30.0 more than was left. That was lethal." in said
    assert "= 180.0." in said
    assert "ben was killed by ann with the rifle in the torso at" in said


def test_effects_are_named_when_the_sum_is_not_enough() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(0.1)
    match.judge(match.use(0, "damage_boost"))
    said = told(match, match.aim(0, 1))
    assert "= 22.0; effects on the two made it " in said


def test_a_wall_and_a_miss() -> None:
    match = Match(spawns=[at(25), at(40)])
    match.run(0.1)
    slot = 0 if match.feet(0)[0] == 25.0 else 1
    said = told(match, match.aim(slot, 1 - slot))
    assert "It met nobody within 120 m on its line. The map stopped it after 5.0 m." in said
    match.run(1.0)
    away = match.shot(slot, match.eye(match.feet(slot)), (25.0, 40.0, 1.6))
    assert told(match, away).endswith("It met nobody within 120 m on its line.")


def test_a_bound_is_named() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(1.0)
    said = told(match, match.aim(0, 1), view_tick=1)
    assert explain.CLAMPS["max_rewind"] in said
    assert "turned back by 250 ms" in said


def test_moves() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(0.1)
    x, y, z = match.feet(0)
    assert told(match, match.move(0, (x, y, z))).endswith("walking. That was possible.")
    match.run(0.1)
    far = told(match, match.move(0, (x, y + 3, z)))
    assert far.endswith(f"the player was put to {explain.place((x, y, z))}.")


def test_direct_damage_and_actions() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(0.1)
    said = told(match, match.hurt(0, 1, 12.5))
    assert "the environment was to deal 12.5 to ben, in the name of ann" in said
    assert "12.5 from health. 87.5 health was left." in said
    assert "ann (command 2) used the damage boost." in told(match, match.use(0, "damage_boost"))
    assert "wanted to use the damage boost" in told(match, match.use(0, "damage_boost"))


def test_life_of_a_match() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.arena.leave(0, 1, event_pb2.LEAVE_REASON_TIMED_OUT)
    match.run(0.02)
    match.arena.end(match.now, event_pb2.END_REASON_REQUESTED)
    records = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records
    teller = Teller(match.rules, {0: "ann", 1: "ben"})
    said = [teller.tell(record) for record in records]
    assert said[0] == "At 0:00.000 ann took seat 0."
    assert said[2].startswith("The match began. ann came into play at ")
    assert said[3] == "At 0:00.000 ben was away for too long and lost the seat."
    assert said[-1] == "At 0:00.020 the match was ended: requested. The match was over: requested."

"""Abilities: targets, costs, casts, effects at once and over time."""

from __future__ import annotations

from typing import Any

import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, verdict_pb2

from tests.support.arenas import Match, at, make_rules

ACCEPTED = verdict_pb2.OUTCOME_ACCEPTED
TEAMS = "team_deathmatch"
CAST, EFFECT, INTERRUPTED = (
    event_pb2.ACTION_PHASE_CAST,
    event_pb2.ACTION_PHASE_EFFECT,
    event_pb2.ACTION_PHASE_INTERRUPTED,
)


def match_of(*places: tuple[float, int], rules: Any = None, y: float = 0.0) -> Match:
    """A player for each (x, team plus one), in that order, each team in the order of its points."""
    return Match(
        rules,
        mode=TEAMS,
        players=[(f"p{i}", team) for i, (_, team) in enumerate(places)],
        spawns=[at(x, y, team=team) for x, team in places],
        max_players=16,
    )


def phases(match: Match) -> list[tuple[int, int]]:
    return [(e.action.slot, e.action.phase) for e in match.events() if e.WhichOneof("kind") == "action"]


def test_an_action_the_ruleset_does_not_have() -> None:
    match = Match()
    assert match.judge(match.use(0, 31)).reason == verdict_pb2.REASON_UNKNOWN_ACTION


def test_costs_charges_and_cooldowns() -> None:
    match = Match(make_rules(player__resource_per_s=0))
    reasons = [match.judge(match.use(0, "dash")).reason for _ in range(3)]
    assert reasons == [0, 0, verdict_pb2.REASON_NO_CHARGES]
    assert match.judge(match.use(0, "shield")).reason == 0
    assert match.judge(match.use(0, "shield")).reason == verdict_pb2.REASON_COOLDOWN
    assert match.judge(match.use(0, "damage_boost")).reason == 0
    assert match.judge(match.use(0, "bulwark")).reason == verdict_pb2.REASON_NO_RESOURCE


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (None, verdict_pb2.REASON_BAD_TARGET),
        (0, verdict_pb2.REASON_BAD_TARGET),  # oneself
        (1, verdict_pb2.REASON_BAD_TARGET),  # a friend
        (2, 0),
        (3, verdict_pb2.REASON_TARGET_RANGE),
        (9, verdict_pb2.REASON_BAD_TARGET),  # nobody
        (4_000_000_000, verdict_pb2.REASON_BAD_TARGET),
    ],
)
def test_whom_an_action_against_enemies_may_go_at(target: int | None, reason: int) -> None:
    match = match_of((0, 1), (0, 1), (10, 2), (49, 2))
    near, far = sorted((2, 3), key=lambda slot: match.feet(slot)[0])
    seat = {2: near, 3: far}.get(target, target) if target is not None else None
    verdict = match.judge(match.use(0, "stun_bolt", seat))
    assert verdict.reason == reason
    if reason:
        match.judge(match.use(0, "stun_bolt", near))
        assert match.judge(match.use(0, "shield")).outcome == ACCEPTED, "a refused use costs nothing"


def test_a_wall_in_between() -> None:
    match = match_of((25, 1), (35, 2))
    assert match.judge(match.use(0, "stun_bolt", 1)).reason == verdict_pb2.REASON_NO_LINE_OF_SIGHT
    assert (
        match.judge(match.use(0, "fire_field", point=(35, 0, 1))).reason
        == verdict_pb2.REASON_NO_LINE_OF_SIGHT
    )


def test_the_dead_are_no_target() -> None:
    match = match_of((0, 1), (10, 2))
    match.judge(match.hurt(0, 1, 1000))
    assert match.judge(match.use(0, "stun_bolt", 1)).reason == verdict_pb2.REASON_BAD_TARGET


def test_effects_at_once_are_in_the_verdict() -> None:
    match = match_of((0, 1), (10, 2))
    (hit,) = match.judge(match.use(0, "stun_bolt", 1)).hits
    assert (hit.slot, hit.dealt_milli, hit.health_milli) == (1, 10_000, 90_000)
    match.run(0.02)
    assert match.entity(1).flags & 32
    assert phases(match) == [(0, EFFECT)]
    match.run(1.2)
    assert not match.entity(1).flags & 32


def test_protection_and_immunity_hold_against_actions() -> None:
    match = match_of((0, 1), (10, 2))
    match.judge(match.use(1, "bulwark"))
    (hit,) = match.judge(match.use(0, "stun_bolt", 1)).hits
    assert (hit.reason, hit.dealt_milli) == (verdict_pb2.REASON_IMMUNE, 0)
    match.run(0.02)
    assert not match.entity(1).flags & 32


def test_a_pulse_heals_friends_nearby_and_goes_on_doing_so() -> None:
    match = match_of((0, 1), (4, 1), (30, 1), (2, 2))
    healer = next(slot for slot in range(3) if match.feet(slot)[0] == 0)
    near = next(slot for slot in range(3) if match.feet(slot)[0] == 4)
    for slot in range(4):
        match.judge(match.hurt(3, slot, 60))
    hits = match.judge(match.use(healer, "heal_pulse")).hits
    assert sorted(hit.slot for hit in hits) == sorted([healer, near])
    assert {hit.healed_milli for hit in hits} == {20_000}
    match.run(4.1)
    assert match.health(near) == 40_000 + 20_000 + 4 * 5_000
    assert match.health(3) == 40_000


def test_a_cast_takes_its_time() -> None:
    match = match_of((0, 1), (10, 2))
    match.judge(match.hurt(1, 0, 80))
    verdict = match.judge(match.use(0, "medkit"))
    assert (verdict.outcome, len(verdict.hits)) == (ACCEPTED, 0)
    assert match.judge(match.use(0, "shield")).reason == verdict_pb2.REASON_CASTING
    assert match.judge(match.aim(0, 1)).reason == verdict_pb2.REASON_CASTING
    match.run(0.1)
    assert match.entity(0).flags & 16
    match.run(2.38)
    assert match.health(0) == 20_000
    match.run(0.04)
    assert match.health(0) == 95_000
    assert not match.entity(0).flags & 16
    assert phases(match) == [(0, CAST), (0, EFFECT)]


def test_damage_interrupts_a_cast_and_gives_its_cost_back() -> None:
    match = match_of((0, 1), (10, 2))
    match.judge(match.use(0, "medkit"))
    match.judge(match.aim(1, 0))
    assert phases(match) == [(0, CAST), (0, INTERRUPTED)]
    assert match.judge(match.use(0, "medkit")).outcome == ACCEPTED, "no cooldown"


def test_some_casts_are_not_interrupted() -> None:
    match = match_of((0, 1), (10, 2))
    match.judge(match.use(0, "fire_field", point=(10, 0, 1)))
    match.judge(match.aim(1, 0))
    match.run(0.5)
    assert phases(match) == [(0, CAST), (0, EFFECT)]


def test_death_and_stun_end_any_cast() -> None:
    match = match_of((0, 1), (5, 1), (10, 2), (12, 2))
    match.judge(match.use(0, "fire_field", point=(10, 0, 1)))
    match.judge(match.use(1, "fire_field", point=(10, 0, 1)))
    match.judge(match.hurt(2, 0, 1000))
    match.judge(match.use(2, "stun_bolt", 1))
    match.run(1)
    assert [seen for seen in phases(match) if seen[1] == INTERRUPTED] == [(0, INTERRUPTED), (1, INTERRUPTED)]
    assert match.health(2) == 100_000


def test_a_target_that_is_gone_when_the_cast_ends_is_spared() -> None:
    rules = make_rules(actions__stun_bolt__cast_s=0.5)
    match = match_of((0, 1), (10, 2), rules=rules)
    match.judge(match.use(0, "stun_bolt", 1))
    match.judge(match.hurt(0, 1, 1000))
    match.run(0.6)
    assert phases(match) == [(0, CAST)]


def test_fire_burns_by_periods_and_is_credited() -> None:
    match = match_of((0, 1), (10, 2))
    match.judge(match.hurt(1, 1, 55))
    match.judge(match.use(0, "fire_field", point=(10, 0, 1)))
    match.run(0.42)
    start = match.health(1)
    seen = []
    for _ in range(8):
        match.run(0.5)
        seen.append(start - match.health(1))
    assert seen == [6_000 * (i + 1) for i in range(7)] + [45_000]
    (kill,) = [e.kill for e in match.events() if e.WhichOneof("kind") == "kill"]
    assert (kill.victim, kill.killer, kill.weapon) == (1, 0, 0)
    assert match.arena.results()[0][3:] == (1, 0, 0, 45_000)


def test_a_dash_grants_its_mode_for_its_time() -> None:
    match = match_of((0, 1), (10, 2))
    match.run(0.1)
    refused = match.judge(match.move(0, (0.2, 0.0, 0.0), mode=play_pb2.MOVE_MODE_DASH))
    assert refused.reason == verdict_pb2.REASON_MODE_NOT_GRANTED
    match.judge(match.use(0, "dash"))
    match.run(0.04)
    assert match.judge(match.move(0, (0.5, 0.0, 0.0), mode=play_pb2.MOVE_MODE_DASH)).outcome == ACCEPTED
    match.run(0.4)
    assert (
        match.judge(match.move(0, (0.6, 0.0, 0.0), mode=play_pb2.MOVE_MODE_DASH)).reason
        == verdict_pb2.REASON_MODE_NOT_GRANTED
    )


def test_a_reload_by_hand() -> None:
    match = match_of((0, 1), (10, 2))
    assert match.judge(match.aim(0, 1)).ammo == 29
    match.judge(match.use(0, "reload"))
    match.run(0.1)
    assert match.entity(0).flags & 8
    assert match.judge(match.aim(0, 1)).reason == verdict_pb2.REASON_RELOADING
    match.run(2.2)
    assert match.judge(match.aim(0, 1)).ammo == 29


def test_an_area_of_more_than_16_lists_16_and_reaches_all() -> None:
    rules = make_rules(actions__heal_pulse__area_m=90, actions__heal_pulse__area_side="all")
    match = Match(rules, mode="raid", players=[f"p{i}" for i in range(20)], max_players=20)
    match.send(*[match.hurt(0, slot, 50) for slot in range(20)])
    assert len(match.judge(match.use(0, "heal_pulse")).hits) == 16
    match.run(0.02)
    assert {match.health(slot) for slot in range(20)} == {70_000}

"""Shots from claim to wound."""

from __future__ import annotations

from typing import Any

import pytest
from arenamesh.combat.v1 import journal_pb2, play_pb2, verdict_pb2

from tests.support.arenas import TICK_US, Match, at, make_rules

ACCEPTED = verdict_pb2.OUTCOME_ACCEPTED
TEAMS = "team_deathmatch"
FACING = [at(0, team=1), at(10, team=2)]


def duel(rules: Any = None, **options: Any) -> Match:
    """Player 0 at x = 0 and player 1 at x = 10, on two teams."""
    return Match(rules, **({"mode": TEAMS, "spawns": FACING} | options))


def row(count: int, gap: float = 2.0, **options: Any) -> Match:
    """Player 0 of team 0 at x = 0, and `count` of team 1 behind one another from x = 4 on."""
    spawns = [at(0, team=1), *(at(4 + gap * i, team=2) for i in range(count))]
    players: list[str | tuple[str, int]] = [("p0", 1), *((f"p{i + 1}", 2) for i in range(count))]
    return Match(players=players, spawns=spawns, mode=TEAMS, max_players=2 * count + 2, **options)


def by_distance(match: Match) -> list[int]:
    """Seats of the other team, nearest to player 0 first."""
    return sorted(range(1, match.arena.players), key=lambda slot: match.feet(slot)[0])


def test_a_hit_tells_who_where_how_far_and_what_it_cost() -> None:
    match = duel()
    verdict = match.judge(match.aim(0, 1))
    assert (verdict.outcome, verdict.ammo, verdict.rewind_us) == (ACCEPTED, 29, 0)
    (hit,) = verdict.hits
    assert (hit.slot, hit.region, hit.dealt_milli, hit.health_milli) == (
        1,
        verdict_pb2.REGION_TORSO,
        22_000,
        78_000,
    )
    assert 9_500 < hit.distance_mm < 10_100
    match.run(0.02)
    assert match.health(1) == 78_000


def test_where_a_target_stood_one_turn_of_the_history_ago_is_forgotten() -> None:
    match = duel(make_rules(judge__history_ticks=64))
    assert match.judge(match.aim(0, 1)).hits
    before, tick = match.feet(1), match.arena.tick
    match.walk(1, (0, 1), 63 * TICK_US / 1e6)  # and a tick to stand
    assert match.arena.tick == tick + 64  # the same row, written again
    assert match.feet(1)[1] > before[1] + 2
    assert match.judge(match.aim(0, 1)).hits


def test_a_miss_is_accepted_without_hits() -> None:
    match = duel()
    verdict = match.judge(match.shot(0, match.eye((0, 0, 0)), (10, 5, 1)))
    assert (verdict.outcome, len(verdict.hits)) == (ACCEPTED, 0)
    (shot,) = [e.shot for e in match.events() if e.WhichOneof("kind") == "shot"]
    assert not shot.hit


def test_a_wall_stops_the_ray() -> None:
    match = duel(spawns=[at(20, team=1), at(40, team=2)])
    verdict = match.judge(match.aim(0, 1))
    assert (verdict.outcome, len(verdict.hits)) == (ACCEPTED, 0)
    (shot,) = [e.shot for e in match.events() if e.WhichOneof("kind") == "shot"]
    assert shot.to_x_mm == pytest.approx(30_000, abs=1)
    record = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records[-1]
    assert record.command.evidence.occluded_mm == pytest.approx(10_000, abs=10)


def test_a_miss_ends_at_the_map_or_at_its_range() -> None:
    match = duel(make_rules(weapons__rifle__range_m=20))
    eye = match.eye((0, 0, 0))
    match.judge(match.shot(0, eye, (eye[0], eye[1], 0)))
    match.run(0.1)
    match.judge(match.shot(0, eye, (0, 0, 40)))
    ends = [e.shot.to_z_mm for e in match.events() if e.WhichOneof("kind") == "shot"]
    assert ends == [0, pytest.approx(1000 * eye[2] + 20_000, abs=1)]


def test_rate_of_fire_ammunition_and_reload() -> None:
    match = duel(make_rules(weapons__rifle__magazine=3, weapons__rifle__damage=0.001))
    reasons = []
    for _ in range(4):
        reasons.append(match.judge(match.aim(0, 1)).reason)
        match.run(0.1)
    assert reasons == [0, 0, 0, verdict_pb2.REASON_RELOADING]
    match.run(2.2)
    verdict = match.judge(match.aim(0, 1))
    assert (verdict.reason, verdict.ammo) == (0, 2)
    assert match.judge(match.aim(0, 1)).reason == verdict_pb2.REASON_FIRE_RATE


def test_a_weapon_that_is_empty_for_good() -> None:
    match = duel(
        make_rules(weapons__rifle__magazine=1, weapons__rifle__reserve=1, weapons__rifle__reload_s=0.0)
    )
    reasons = []
    for _ in range(3):
        reasons.append(match.judge(match.aim(0, 1)).reason)
        match.run(0.2)
    assert reasons == [0, 0, verdict_pb2.REASON_NO_AMMO]


def test_a_weapon_the_ruleset_does_not_have() -> None:
    match = duel()
    assert match.judge(match.aim(0, 1, weapon=9)).reason == verdict_pb2.REASON_UNKNOWN_WEAPON


@pytest.mark.parametrize("offset", [(0.6, 0, 0), (0, 0, 1.0), (-3, 0, 0)])
def test_a_shot_leaves_near_the_eye(offset: tuple[float, float, float]) -> None:
    match = duel()
    eye = match.eye((0, 0, 0))
    origin = (eye[0] + offset[0], eye[1] + offset[1], eye[2] + offset[2])
    verdict = match.judge(match.shot(0, origin, (10, 0, 1)))
    assert verdict.reason == verdict_pb2.REASON_BAD_ORIGIN
    assert verdict.ammo == 30, "and costs no round"


def test_a_shot_does_not_start_behind_a_wall() -> None:
    match = duel(make_rules(judge__origin_tolerance_m=2.0), spawns=[at(29.5, team=1), at(40, team=2)])
    eye = match.eye((29.5, 0, 0))
    verdict = match.judge(match.shot(0, (31.2, 0, eye[2]), (40, 0, 1)))
    assert verdict.reason == verdict_pb2.REASON_BAD_ORIGIN


def test_the_origin_may_be_where_the_shooter_was_when_it_looked() -> None:
    match = duel()
    match.walk(0, (0.0, 1.0), 0.2)
    tick = match.arena.tick
    old = match.eye((0, 0, 0))
    assert match.feet(0)[1] > 0.6
    assert match.judge(match.shot(0, old, (10, 0, 1))).reason == verdict_pb2.REASON_BAD_ORIGIN
    assert match.judge(match.shot(0, old, (10, 0, 1)), view_tick=tick - 10).reason == 0


def test_a_target_is_hit_where_the_shooter_saw_it() -> None:
    match = duel()
    match.run(0.2)
    seen = match.arena.tick
    match.walk(1, (0.0, 1.0), 0.2)
    assert match.feet(1)[1] > 0.6
    there = (10.0, 0.0, 1.2)
    assert not match.judge(match.shot(0, match.eye((0, 0, 0)), there)).hits
    match.run(0.02)
    verdict = match.judge(match.shot(0, match.eye((0, 0, 0)), there, weapon="pistol"), view_tick=seen)
    assert [hit.slot for hit in verdict.hits] == [1]
    assert verdict.rewind_us == match.now - seen * TICK_US


def test_a_command_may_have_a_view_of_its_own() -> None:
    match = duel()
    match.run(0.4)
    command = match.aim(0, 1, view_tick=15, view_fraction=32768)
    assert match.judge(command, view_tick=19).rewind_us == match.now - 15 * TICK_US - TICK_US // 2


def test_the_view_is_bounded_and_the_verdict_says_so() -> None:
    match = duel()
    match.run(1)
    verdict = match.judge(match.aim(0, 1), view_tick=1)
    assert (verdict.rewind_us, verdict.clamp) == (250_000, verdict_pb2.CLAMP_MAX_REWIND)
    match.run(0.2)
    verdict = match.judge(match.aim(0, 1), view_tick=4_000_000_000)
    assert (verdict.rewind_us, verdict.clamp) == (0, verdict_pb2.CLAMP_FUTURE)
    counters = match.arena.counters
    assert {name for name, count in counters.items() if name.startswith("clamped_") and count} == {
        "clamped_max_rewind",
        "clamped_future",
    }


def test_a_player_is_bounded_by_its_own_round_trip() -> None:
    """With 40 ms there and back and 100 ms of interpolation, 200 ms ago was never on the screen."""
    match = duel()
    match.run(1)
    for _ in range(20):
        match.run(0.02)
        match.send(match.use(1, 31), binding=1, acked_snapshot=match.arena.tick - 2)
    (verdict,) = match.send(
        match.aim(1, 0), binding=1, acked_snapshot=match.arena.tick - 2, view_tick=match.arena.tick - 10
    ).verdicts
    assert verdict.clamp == verdict_pb2.CLAMP_ROUND_TRIP
    assert verdict.rewind_us == 150_000


def test_friends_stop_a_ray_unharmed_unless_the_mode_says_otherwise() -> None:
    friends: list[str | tuple[str, int]] = [("a", 1), ("b", 1), ("c", 2)]
    spawns = [at(0, team=1), at(5, team=1), at(10, team=2)]
    for friendly_fire in (False, True):
        rules = make_rules(modes__team_deathmatch__friendly_fire=friendly_fire)
        match = Match(rules, mode=TEAMS, players=friends, spawns=spawns)
        shooter, friend = sorted((0, 1), key=lambda slot: match.feet(slot)[0])
        (hit,) = match.judge(match.aim(shooter, friend)).hits
        assert hit.slot == friend
        assert hit.reason == (0 if friendly_fire else verdict_pb2.REASON_FRIENDLY_FIRE)
        assert hit.dealt_milli == (22_000 if friendly_fire else 0)
        assert hit.health_milli == (78_000 if friendly_fire else 100_000)


def test_spawn_protection_and_how_it_is_given_up() -> None:
    match = duel(make_rules(modes__team_deathmatch__protection_s=2))
    (hit,) = match.judge(match.aim(0, 1)).hits
    assert (hit.reason, hit.dealt_milli) == (verdict_pb2.REASON_PROTECTED, 0)
    (hit,) = match.judge(match.aim(1, 0)).hits
    assert hit.dealt_milli == 22_000, "player 0 gave its protection up by shooting"


def test_the_immune_take_nothing() -> None:
    match = duel()
    match.judge(match.use(1, "bulwark"))
    (hit,) = match.judge(match.aim(0, 1)).hits
    assert (hit.reason, hit.dealt_milli) == (verdict_pb2.REASON_IMMUNE, 0)
    match.run(1.5)
    assert match.judge(match.aim(0, 1)).hits[0].dealt_milli == 22_000


def test_who_died_since_takes_nothing_more() -> None:
    match = duel()
    match.judge(match.hurt(0, 1, 1000))
    (hit,) = match.judge(match.aim(0, 1)).hits
    assert (hit.reason, hit.dealt_milli) == (verdict_pb2.REASON_DEAD, 0)


def test_a_shot_at_the_former_life_does_not_wound_the_new_one() -> None:
    match = duel(make_rules(modes__team_deathmatch__respawn_s=0))
    match.run(0.1)
    seen = match.arena.tick
    match.judge(match.hurt(0, 1, 1000))
    match.run(0.1)
    assert match.entity(1).flags & 1
    verdict = match.judge(match.shot(0, match.eye((0, 0, 0)), (10, 0, 1.2)), view_tick=seen)
    assert all(hit.dealt_milli == 0 for hit in verdict.hits)
    assert match.judge(match.aim(0, 1, weapon="pistol")).hits[0].dealt_milli > 0


def test_a_ray_goes_through_as_many_as_the_weapon_penetrates() -> None:
    match = row(4)
    order = by_distance(match)
    verdict = match.judge(
        match.shot(0, match.eye((0, 0, 0)), (20, 0, match.eye((0, 0, 0))[2] - 0.4), "sniper")
    )
    assert [hit.slot for hit in verdict.hits] == order[:3]
    full = 85_000
    dealt = [hit.dealt_milli + hit.overkill_milli for hit in verdict.hits]
    assert dealt[0] in (full, 212_500)
    assert dealt[1] == pytest.approx(full * 0.6, abs=2)
    assert dealt[2] == pytest.approx(full * 0.36, abs=2)


def test_pellets_on_one_target_make_one_hit() -> None:
    match = duel(
        make_rules(weapons__shotgun__falloff={"kind": "none"}), spawns=[at(0, team=1), at(3, team=2)]
    )
    (hit,) = match.judge(match.aim(0, 1, weapon="shotgun")).hits
    assert hit.dealt_milli == 8 * 11_000
    assert hit.health_milli == 100_000 - hit.dealt_milli


def test_pellets_scatter_by_draws_that_the_evidence_lists() -> None:
    match = duel(make_rules(weapons__shotgun__spread_deg=20))
    match.judge(match.aim(0, 1, weapon="shotgun"))
    match.run(2)
    match.judge(match.aim(0, 1, weapon="shotgun"))
    records = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records
    draws = [list(r.command.evidence.draws) for r in records if r.HasField("command")]
    assert [len(d) for d in draws] == [16, 16]
    assert draws[0] != draws[1]


def test_a_killing_shot_is_lethal_and_says_what_was_too_much() -> None:
    match = duel(make_rules(weapons__rifle__damage=130))
    (hit,) = match.judge(match.aim(0, 1)).hits
    assert (hit.lethal, hit.dealt_milli, hit.overkill_milli, hit.health_milli) == (True, 100_000, 30_000, 0)
    (kill,) = [e.kill for e in match.events() if e.WhichOneof("kind") == "kill"]
    assert (kill.victim, kill.killer, kill.weapon, kill.region) == (
        1,
        0,
        match.weapon("rifle") + 1,
        hit.region,
    )
    assert kill.distance_mm == hit.distance_mm


def test_head_shots_cost_more() -> None:
    match = duel()
    (hit,) = match.judge(match.aim(0, 1, height=match.eye((0, 0, 0))[2])).hits
    assert (hit.region, hit.dealt_milli) == (verdict_pb2.REGION_HEAD, 44_000)


def test_critical_hits_are_drawn() -> None:
    rules = make_rules(
        weapons__pistol__crit_chance=0.5, weapons__pistol__damage=1, weapons__pistol__magazine=0
    )
    match = duel(rules)
    hits: list[verdict_pb2.Hit] = []
    for _ in range(200):
        hits += match.judge(match.aim(0, 1, weapon="pistol")).hits
        match.run(0.18)
        match.judge(match.use(1, "medkit"))
        if hits[-1].health_milli < 10_000:
            match.run(3)
    critical = sum(hit.critical for hit in hits)
    assert 60 < critical < 140
    plain = {hit.dealt_milli for hit in hits if not hit.critical}
    assert {hit.dealt_milli for hit in hits if hit.critical} == {2000}, "no falloff either"
    assert all(dealt < 1000 for dealt in plain)


def test_damage_effects_multiply() -> None:
    match = duel()
    match.judge(match.use(0, "damage_boost"))
    assert match.judge(match.aim(0, 1)).hits[0].dealt_milli == 27_500
    match.run(0.2)
    match.judge(match.use(0, "expose", 1))
    assert match.judge(match.aim(0, 1)).hits[0].dealt_milli == 33_000
    match.run(7)
    assert match.judge(match.aim(0, 1)).hits[0].dealt_milli == 22_000


def test_armour_and_shield_take_their_part() -> None:
    match = duel(make_rules(player__armour=50))
    (hit,) = match.judge(match.aim(0, 1)).hits
    assert (hit.dealt_milli, hit.armour_milli) == (8_800, 13_200)
    match.judge(match.use(1, "shield"))
    match.run(0.2)
    assert match.entity(1).shield_milli == 60_000
    (hit,) = match.judge(match.aim(0, 1)).hits
    assert hit.shield_milli == 8_800
    assert hit.dealt_milli == 0
    match.run(0.02)
    assert match.entity(1).shield_milli == 51_200
    match.run(6)
    assert match.entity(1).shield_milli == 0, "what is left ends with the effect"


def test_a_swing_reaches_what_is_before_it() -> None:
    match = Match(
        make_rules(weapons__knife__penetration=0),
        mode=TEAMS,
        players=[("a", 1), ("b", 2), ("c", 2)],
        spawns=[at(0, team=1), at(1.4, team=2), at(-1.4, team=2)],
    )
    ahead = next(slot for slot in (1, 2) if match.feet(slot)[0] > 0)
    (hit,) = match.judge(match.shot(0, match.eye((0, 0, 0)), (1, 0, 1.5), "knife")).hits
    assert hit.slot == ahead


def test_lifesteal_gives_part_of_the_damage_back() -> None:
    match = duel(spawns=[at(0, team=1), at(1.5, team=2)])
    match.judge(match.hurt(1, 0, 50))
    dealt = match.judge(match.aim(0, 1, weapon="knife")).hits[0].dealt_milli
    match.run(0.02)
    assert match.health(0) == 50_000 + dealt // 4


def test_a_medic_beam_restores_friends_and_hurts_nobody() -> None:
    match = Match(
        mode=TEAMS,
        players=[("a", 1), ("b", 1), ("c", 2)],
        spawns=[at(0, team=1), at(8, team=1), at(0, 8, team=2)],
    )
    medic, friend = sorted((0, 1), key=lambda slot: match.feet(slot)[0])
    match.judge(match.hurt(2, friend, 50))
    (hit,) = match.judge(match.aim(medic, friend, weapon="medic_beam")).hits
    assert (hit.healed_milli, hit.dealt_milli, hit.health_milli) == (6_000, 0, 56_000)
    match.run(0.3)
    (hit,) = match.judge(match.aim(medic, 2, weapon="medic_beam")).hits
    assert (hit.reason, hit.dealt_milli) == (verdict_pb2.REASON_BAD_TARGET, 0)


def test_an_unknown_instant_before_the_ring_is_refused() -> None:
    """Only with a ring too short for the ruleset's rewind."""
    match = duel(make_rules(judge__history_ticks=4))
    match.run(1)
    verdict = match.judge(match.aim(0, 1), view_tick=match.arena.tick - 10)
    assert verdict.reason == verdict_pb2.REASON_NO_HISTORY


# ---- projectiles --------------------------------------------------------------------------------


def blasts(match: Match) -> list[Any]:
    return [e.blast for e in match.events() if e.WhichOneof("kind") == "blast"]


def test_a_rocket_flies_hits_and_bursts() -> None:
    match = duel()
    verdict = match.judge(match.aim(0, 1, weapon="rocket_launcher"))
    assert (verdict.outcome, len(verdict.hits), verdict.ammo) == (ACCEPTED, 0, 3)
    match.run(0.1)
    (seen,) = match.state().projectiles
    assert (seen.owner, seen.weapon) == (0, match.weapon("rocket_launcher"))
    assert seen.x_mm == pytest.approx(3000, abs=60)
    match.run(0.4)
    assert not match.state().projectiles
    (blast,) = blasts(match)
    assert (blast.slot, blast.radius_mm) == (0, 4500)
    assert match.health(1) == 5_000, "a direct hit is all of its 95"
    assert match.health(0) == 100_000, "too far away"


def test_a_blast_falls_off_and_spares_who_is_behind_a_wall() -> None:
    spawns = [at(20, team=1), at(29, 3, team=2), at(33, team=2)]
    match = Match(mode=TEAMS, players=[("a", 1), ("b", 2), ("c", 2)], spawns=spawns)
    near = next(slot for slot in (1, 2) if match.feet(slot)[0] < 30)
    match.judge(match.shot(0, match.eye((20, 0, 0)), (30, 0, 1), "rocket_launcher"))
    match.run(0.6)
    assert 5_000 < match.health(near) < 90_000
    assert match.health(3 - near) == 100_000


def test_the_thrower_takes_its_own_share() -> None:
    match = duel()
    match.judge(match.shot(0, match.eye((0, 0, 0)), (0.1, 0, 0), "rocket_launcher"))
    match.run(0.3)
    assert 30_000 < match.health(0) < 100_000


def test_a_grenade_bounces_and_bursts_when_its_fuse_ends() -> None:
    match = duel()
    match.judge(match.shot(0, match.eye((0, 0, 0)), (0, 10, 2), "grenade"))
    for _ in range(124):
        match.run(0.02)
        assert match.state().projectiles
        assert match.state().projectiles[0].z_mm > 0, "above the floor all the way"
    match.run(0.02)
    assert not match.state().projectiles
    (blast,) = blasts(match)
    assert blast.z_mm == pytest.approx(100, abs=60), "lying on the floor"


def test_a_projectile_that_leaves_the_map_is_gone() -> None:
    match = duel()
    match.judge(match.shot(0, match.eye((0, 0, 0)), (0, 0, 100), "rocket_launcher"))
    match.run(1.2)
    assert not match.state().projectiles
    assert not blasts(match)


def test_the_air_holds_256_projectiles() -> None:
    rules = make_rules(
        weapons__rocket_launcher__fire_interval_s=0,
        weapons__rocket_launcher__magazine=0,
        weapons__rocket_launcher__speed_mps=0.1,
    )
    match = duel(rules)
    commands = [match.aim(0, 1, weapon="rocket_launcher") for _ in range(257)]
    verdicts = match.send(*commands).verdicts
    assert [v.reason for v in verdicts] == [0] * 256 + [verdict_pb2.REASON_PROJECTILE_LIMIT]
    match.run(0.02)
    assert len(match.state().projectiles) == 256


def test_the_journal_holds_what_the_judge_saw() -> None:
    match = duel()
    match.run(0.4)
    verdict = match.judge(match.aim(0, 1), view_tick=15, view_fraction=16384, acked_snapshot=3)
    record = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records[-1]
    assert (record.sequence, record.time_us) == (verdict.journal_sequence, match.now)
    command = record.command
    assert command.verdict == verdict
    assert (command.trusted, command.acked_snapshot) == (True, 0)
    assert (command.command.view_tick, command.command.view_fraction) == (15, 16384)
    evidence = command.evidence
    assert evidence.claimed_view_us == evidence.used_view_us == 15 * TICK_US + TICK_US // 4
    assert list(evidence.target_mm) == [10_000, 0, 0]
    assert not evidence.ray


def test_a_record_holds_nothing_that_did_not_count() -> None:
    """The view of what is no shot, a snapshot that was acknowledged before."""
    match = duel()
    match.run(0.4)
    frame = {"binding": 0, "view_tick": 15, "view_fraction": 7, "acked_snapshot": 10}
    move = match.move(0, match.feet(0))
    match.send(move, match.aim(0, 1), match.aim(0, 1), **frame)
    match.judge(match.aim(0, 1), **frame | {"view_fraction": 0, "acked_snapshot": 12})
    match.judge(match.move(0, match.feet(0)), **frame | {"view_fraction": 70_000})
    records = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records[-5:]
    commands = [record.command for record in records]
    assert commands[0].command == move
    views = [(each.command.view_tick, each.command.view_fraction) for each in commands]
    assert views == [(0, 0), (15, 7), (15, 7), (15, 0), (15, 70_000)]
    assert [each.acked_snapshot for each in commands] == [10, 0, 0, 12, 0]


def test_a_frame_view_of_zero_is_now() -> None:
    match = duel()
    match.run(0.5)
    command = match.aim(0, 1)
    assert match.judge(command).rewind_us == 0
    assert play_pb2.Command.FromString(command.SerializeToString()).view_tick == 0

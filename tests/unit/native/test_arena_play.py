"""The course of a match: ticks, deaths and respawns, scores, limits, what viewers are shown."""

from __future__ import annotations

from typing import Any

import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, verdict_pb2

from native.arena import ALL_SLOTS
from tests.support.arenas import RATE, TICK_US, Match, at, make_rules

TEAMS = "team_deathmatch"


def of_kind(match: Match, kind: str) -> list[Any]:
    return [getattr(event, kind) for event in match.events() if event.WhichOneof("kind") == kind]


def test_ticks_are_due_at_their_time_and_caught_up() -> None:
    match = Match(tick_rate=30)
    assert match.arena.advance(33_332) == 0
    assert match.arena.advance(33_333) == 1
    assert match.arena.advance(1_000_000) == 29
    assert match.arena.tick == 30
    assert match.arena.advance(999_999) == 0


def test_a_match_that_starts_late_counts_ticks_from_the_clock() -> None:
    match = Match(start=False)
    match.arena.advance(500_000)
    assert match.arena.tick == 0, "nothing moves before the start"
    match.arena.start(1_000_010)
    assert match.arena.tick == RATE
    assert match.arena.advance(1_000_010 + TICK_US) == 1


def test_a_death_a_respawn_and_its_protection() -> None:
    match = Match(make_rules(modes__deathmatch__respawn_s=1, modes__deathmatch__protection_s=0.5))
    match.run(0.6)
    match.judge(match.hurt(0, 1, 1000))
    match.run(0.02)
    dead = match.entity(1)
    assert (dead.flags & 1, dead.health_milli, dead.deaths) == (0, 0, 1)
    assert match.entity(0).kills == 1
    match.events()
    match.run(1)
    (spawn,) = of_kind(match, "spawn")
    assert spawn.slot == 1
    alive = match.entity(1)
    assert (alive.flags & 1, alive.flags & 4, alive.health_milli) == (1, 4, 100_000)
    match.run(0.5)
    assert not match.entity(1).flags & 4


def test_assists_go_to_who_hurt_most_lately() -> None:
    match = Match(players=["a", "b", "c", "d"])
    match.judge(match.hurt(3, 1, 40))
    match.run(10.1)
    match.judge(match.hurt(0, 1, 20))
    match.judge(match.hurt(2, 1, 10))
    match.judge(match.hurt(2, 1, 5))
    match.judge(match.hurt(2, 1, 1000, bypass=True))
    (kill,) = of_kind(match, "kill")
    assert (kill.victim, kill.killer, kill.assist) == (1, 2, 1)
    assert [row[3:6] for row in match.arena.results()] == [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)]


def test_nine_attackers_forget_the_first() -> None:
    match = Match(make_rules(player__health=1000), players=[f"p{i}" for i in range(10)], max_players=10)
    for slot in range(1, 10):
        match.now += 1000
        match.judge(match.hurt(slot, 0, 500 if slot == 1 else 10))
    match.judge(match.hurt(9, 0, 5000))
    (kill,) = of_kind(match, "kill")
    assert kill.assist != 2


def test_nobody_is_credited_for_a_suicide() -> None:
    match = Match()
    match.judge(match.hurt(1, 1, 1000))
    (kill,) = of_kind(match, "kill")
    assert (kill.victim, kill.killer) == (1, 1)
    assert [row[3:] for row in match.arena.results()] == [(0, 0, 0, 0), (0, 1, 0, 0)]
    assert match.arena.counters["kills"] == 0


def test_a_team_kill_does_not_score() -> None:
    match = Match(mode=TEAMS, players=[("a", 1), ("b", 1), ("c", 2)])
    match.judge(match.hurt(0, 1, 1000))
    assert match.arena.results()[0][3] == 0


def test_the_score_limit_ends_a_match() -> None:
    match = Match(make_rules(modes__deathmatch__score_limit=1))
    match.judge(match.hurt(1, 0, 1000))
    assert match.arena.active, "until the next tick"
    match.run(0.02)
    assert match.arena.ended == event_pb2.END_REASON_SCORE_LIMIT
    assert match.arena.winner == 2
    (end,) = of_kind(match, "session_end")
    assert (end.reason, end.winner) == (event_pb2.END_REASON_SCORE_LIMIT, 2)
    assert match.judge(match.aim(1, 0)).reason == verdict_pb2.REASON_NOT_ACTIVE


def test_teams_score_together() -> None:
    rules = make_rules(modes__team_deathmatch__score_limit=2, modes__team_deathmatch__respawn_s=0)
    match = Match(rules, mode=TEAMS, players=[("a", 1), ("b", 2), ("c", 2)])
    match.judge(match.hurt(1, 0, 1000))
    match.run(0.1)
    match.judge(match.hurt(2, 0, 1000))
    match.run(0.1)
    assert (match.arena.ended, match.arena.winner) == (event_pb2.END_REASON_SCORE_LIMIT, 2)


def test_the_time_limit_and_a_draw() -> None:
    match = Match(make_rules(modes__deathmatch__time_limit_s=2))
    match.run(1.98)
    assert match.arena.active
    match.run(0.02)
    assert (match.arena.ended, match.arena.winner) == (event_pb2.END_REASON_TIME_LIMIT, 0)
    tick = match.arena.tick
    match.run(1)
    assert match.arena.tick == tick


def test_where_nobody_comes_back_the_last_one_standing_wins() -> None:
    match = Match(mode="battle_royale", players=["a", "b", "c"])
    match.run(1)
    match.judge(match.hurt(2, 0, 1000))
    match.run(1)
    assert match.arena.active
    assert not match.entity(0).flags & 1
    match.judge(match.hurt(1, 2, 1000))
    match.run(0.02)
    assert (match.arena.ended, match.arena.winner) == (event_pb2.END_REASON_LAST_STANDING, 2)


def test_leaving_a_battle_royale_leaves_the_win_to_the_other() -> None:
    match = Match(mode="battle_royale")
    match.run(1)
    match.arena.leave(match.now, 0, event_pb2.LEAVE_REASON_LEFT)
    match.run(0.02)
    assert (match.arena.ended, match.arena.winner) == (event_pb2.END_REASON_LAST_STANDING, 2)


def test_one_player_alone_does_not_end_a_battle_royale() -> None:
    match = Match(mode="battle_royale", players=["a"])
    match.run(5)
    assert match.arena.active


def test_moves_are_accepted_corrected_and_shown() -> None:
    match = Match(mode=TEAMS, players=[("a", 1)], spawns=[at(0, team=1)])
    match.walk(0, (0.0, 1.0), 0.4)
    here = match.feet(0)
    assert here[1] > 1
    verdict = match.judge(match.move(0, (here[0] + 3, here[1], 0)))
    assert verdict.outcome == verdict_pb2.OUTCOME_CORRECTED
    assert (verdict.correction.x, verdict.correction.y) == pytest.approx(here[:2], abs=1e-3)
    assert verdict.reason == verdict_pb2.REASON_TOO_FAST
    assert match.judge(match.move(0, (40, 0, 0))).reason == verdict_pb2.REASON_TELEPORT


def test_a_snapshot_shows_seats_as_they_are() -> None:
    match = Match(
        mode=TEAMS, players=[("a", 1), ("b", 2)], spawns=[at(-3, 4, team=1), at(9, team=2, yaw=1.5)]
    )
    match.arena.connected(1, False)
    match.judge(match.aim(0, 1, weapon="pistol"))
    match.run(0.02)
    answer = play_pb2.PlayResponse.FromString(match.arena.snapshot(ALL_SLOTS, 0))
    assert (answer.tick, answer.server_time_us, answer.snapshot.tick) == (1, TICK_US, 1)
    first, second = answer.snapshot.entities
    assert (first.slot, first.x_mm, first.y_mm, first.z_mm, first.team) == (0, -3000, 4000, 0, 0)
    assert (first.weapon, first.flags & 1, first.flags & 128) == (match.weapon("pistol"), 1, 0)
    assert (second.slot, second.team, second.flags & 128) == (1, 1, 128)
    assert second.yaw == round(1.5 / 6.283185307179586 * 65536)
    match.arena.connected(1, True)
    match.run(0.02)
    assert not match.entity(1).flags & 128


def test_a_waiting_match_shows_who_sits() -> None:
    match = Match(start=False)
    assert [entity.slot for entity in match.state().entities] == [0, 1]
    match.arena.leave(0, 0, event_pb2.LEAVE_REASON_LEFT)
    assert [entity.slot for entity in match.state().entities] == [1]


def test_differences_add_up_to_the_whole() -> None:
    match = Match(players=["a", "b", "c"])
    match.run(0.1)
    base = match.arena.tick
    whole = {entity.slot: entity for entity in match.state().entities}
    match.judge(match.hurt(0, 1, 25))
    match.arena.leave(match.now, 2, event_pb2.LEAVE_REASON_LEFT)
    match.run(0.1)
    difference = match.state(baseline=base)
    assert (difference.baseline_tick, list(difference.removed)) == (base, [2])
    assert [entity.slot for entity in difference.entities] == [1]
    assert not difference.entities[0].HasField("x_mm")
    whole[1].MergeFrom(difference.entities[0])
    del whole[2]
    assert whole == {entity.slot: entity for entity in match.state().entities}


def test_shot_events_make_room_for_the_others() -> None:
    rules = make_rules(
        weapons__rifle__fire_interval_s=0, weapons__rifle__magazine=0, weapons__rifle__damage=0.001
    )
    match = Match(rules, max_players=2)
    for _ in range(4):
        match.send(*[match.shot(0, match.eye(match.feet(0)), (0, 0, 40)) for _ in range(1000)])
    match.judge(match.hurt(0, 1, 1000))
    kinds = [event.WhichOneof("kind") for event in match.events()]
    assert kinds[-1] == "kill"
    dropped = match.arena.counters["events_dropped"]
    assert dropped > 0
    assert kinds.count("shot") + dropped == 4000


def test_yaw_and_health_stay_what_the_wire_can_say() -> None:
    match = Match()
    match.run(0.1)
    x, y, z = match.feet(0)
    move = play_pb2.Move(
        x=x, y=y, z=z, yaw=-0.5, pitch=-0.25, mode=play_pb2.MOVE_MODE_WALK, client_time_us=match.now
    )
    assert match.judge(match.command(0, move=move)).outcome == verdict_pb2.OUTCOME_ACCEPTED
    match.run(0.02)
    entity = match.entity(0)
    assert entity.yaw == 65536 + round(-0.5 / 6.283185307179586 * 65536)
    assert entity.pitch == round(-0.25 / 6.283185307179586 * 65536)

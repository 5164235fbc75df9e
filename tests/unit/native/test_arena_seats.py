"""Taking and leaving seats, teams, starting and ending."""

from __future__ import annotations

import pytest
from arenamesh.combat.v1 import event_pb2

from native.arena import ALL_SLOTS, Arena, Refused
from tests.support.arenas import KEY, Match, at, make_rules, make_world

TEAMS = "team_deathmatch"


def test_seats_are_taken_from_the_lowest_and_freed() -> None:
    match = Match(players=["ann", "ben", "cat"], start=False)
    arena = match.arena
    assert [arena.seat(name) for name in ("ann", "ben", "cat", "dan")] == [0, 1, 2, -1]
    assert arena.players == 3
    arena.leave(0, 1, event_pb2.LEAVE_REASON_LEFT)
    assert arena.seat("ben") == -1
    assert arena.player(1) == ""
    assert arena.join(0, "dan") == 1
    assert [arena.player(slot) for slot in range(4)] == ["ann", "dan", "cat", ""]


def test_joining_again_gives_the_same_seat_and_no_record() -> None:
    match = Match(start=False)
    before = match.arena.sequence
    assert match.arena.join(0, "ben") == 1
    assert match.arena.sequence == before


def test_a_full_match_refuses() -> None:
    match = Match(max_players=2, start=False)
    with pytest.raises(Refused) as refused:
        match.arena.join(0, "cat")
    assert refused.value.reason == "FULL"


def test_teams_fill_evenly_and_refuse_when_full() -> None:
    match = Match(mode=TEAMS, players=["a", "b", "c"], max_players=4, start=False)
    assert [match.arena.team(slot) for slot in range(3)] == [0, 1, 0]
    with pytest.raises(Refused) as refused:
        match.arena.join(0, "d", team=1)
    assert refused.value.reason == "TEAM_FULL"
    assert match.arena.team(match.arena.join(0, "d", team=2)) == 1


@pytest.mark.parametrize(("mode", "team"), [(TEAMS, 3), ("deathmatch", 2)])
def test_a_team_that_the_mode_does_not_have(mode: str, team: int) -> None:
    match = Match(mode=mode, players=[], start=False)
    with pytest.raises(Refused) as refused:
        match.arena.join(0, "ann", team=team)
    assert refused.value.reason == "BAD_TEAM"


def test_an_ended_match_takes_nobody_and_does_not_start() -> None:
    match = Match()
    match.arena.end(5, event_pb2.END_REASON_REQUESTED)
    for attempt in (lambda: match.arena.join(6, "cat"), lambda: match.arena.start(6)):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.reason == "ENDED"
    assert match.arena.ended == event_pb2.END_REASON_REQUESTED
    assert not match.arena.active
    assert match.arena.advance(10_000_000) == 0


def test_a_match_starts_once_and_ends_once() -> None:
    match = Match()
    with pytest.raises(Refused) as refused:
        match.arena.start(1)
    assert refused.value.reason == "ACTIVE"
    match.arena.end(5, event_pb2.END_REASON_EMPTY)
    sequence = match.arena.sequence
    match.arena.end(6, event_pb2.END_REASON_REQUESTED)
    assert match.arena.ended == event_pb2.END_REASON_EMPTY
    assert match.arena.sequence == sequence


@pytest.mark.parametrize("name", ["", "x" * 65, "ü" * 33])
def test_player_ids_have_1_to_64_bytes(name: str) -> None:
    match = Match(players=[], start=False)
    with pytest.raises(ValueError, match=r"not 1\.\.64"):
        match.arena.join(0, name)


def test_the_roster_is_bounded() -> None:
    match = Match(players=[], max_players=1, start=False)
    for index in range(4):
        slot = match.arena.join(0, f"p{index}")
        match.arena.leave(0, slot, event_pb2.LEAVE_REASON_LEFT)
    with pytest.raises(Refused) as refused:
        match.arena.join(0, "one more")
    assert refused.value.reason == "ROSTER_FULL"
    assert match.arena.join(0, "p2") == 0, "who sat before may come back"


def test_results_list_everybody_who_ever_sat() -> None:
    match = Match(players=["ann", "ben"])
    match.judge(match.hurt(0, 1, 1000))
    match.arena.leave(0, 0, event_pb2.LEAVE_REASON_KICKED)
    assert match.arena.results() == [
        (0, "ann", 0, 1, 0, 0, 100_000),
        (1, "ben", 0, 0, 1, 0, 0),
    ]
    assert match.arena.join(0, "ann") == 0
    assert match.arena.results()[0][3] == 1, "what she did before still counts"


def test_events_of_joining_spawning_and_leaving() -> None:
    match = Match(mode=TEAMS, players=["ann", "ben"], spawns=[at(5, team=1), at(-5, team=2)])
    match.arena.leave(0, 1, event_pb2.LEAVE_REASON_TIMED_OUT)
    kinds = [event.WhichOneof("kind") for event in match.events()]
    assert kinds == ["join", "join", "spawn", "spawn", "leave"]
    assert match.arena.take_events() == b""


def test_events_say_who_and_where() -> None:
    match = Match(mode=TEAMS, players=["ann", "ben"], spawns=[at(5, team=1), at(-5, team=2)])
    *joins, first, second = match.events()
    assert [(e.join.slot, e.join.player_id, e.join.team) for e in joins] == [(0, "ann", 0), (1, "ben", 1)]
    assert [(e.spawn.slot, e.spawn.x_mm, e.spawn.z_mm) for e in (first, second)] == [
        (0, 5000, 0),
        (1, -5000, 0),
    ]


def test_teams_spawn_at_their_own_points() -> None:
    match = Match(
        mode=TEAMS,
        players=[f"p{i}" for i in range(8)],
        spawns=[at(5, team=1), at(-5, team=2), at(-9, team=2)],
    )
    for slot in range(8):
        assert (match.feet(slot)[0] > 0) == (match.arena.team(slot) == 0)


def test_a_free_spawn_point_is_preferred() -> None:
    spawns = [at(x) for x in range(-20, 21, 5)]
    match = Match(players=[f"p{i}" for i in range(5)], spawns=spawns)
    places = {match.feet(slot) for slot in range(5)}
    assert len(places) == 5


def test_who_joins_a_running_match_spawns_at_once_unless_nobody_comes_back() -> None:
    running = Match()
    slot = running.arena.join(100, "late")
    running.run(0.05)
    assert running.entity(slot).flags & 1
    royale = Match(mode="battle_royale")
    slot = royale.arena.join(100, "late")
    royale.run(0.05)
    assert not royale.entity(slot).flags & 1


def test_the_seat_of_a_leaver_forgets_what_it_did() -> None:
    """Damage of the leaver's is not credited to whoever sits there next."""
    match = Match(players=["ann", "ben", "cat"])
    match.judge(match.hurt(0, 1, 60))
    match.arena.leave(0, 0, event_pb2.LEAVE_REASON_LEFT)
    match.arena.join(0, "dan")
    match.events()
    match.judge(match.hurt(2, 1, 60))
    (kill,) = [event.kill for event in match.events() if event.WhichOneof("kind") == "kill"]
    assert (kill.victim, kill.killer, kill.assist) == (1, 2, 0)


def test_calls_about_a_seat_nobody_has() -> None:
    match = Match()
    for call in (
        lambda: match.arena.leave(0, 5, 1),
        lambda: match.arena.team(5),
        lambda: match.arena.last_sequence(-1),
        lambda: match.arena.connected(9, True),
        lambda: match.arena.acked(5),
    ):
        with pytest.raises(ValueError, match="nobody has seat"):
            call()
    with pytest.raises(ValueError, match="binding is 8"):
        match.arena.judge(0, b"", 8)
    with pytest.raises(ValueError, match="viewer is -2"):
        match.arena.snapshot(-2, 0)
    assert match.arena.player(5) == ""
    assert match.arena.acked(ALL_SLOTS) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_players": 0}, "max_players is 0"),
        ({"max_players": 1001}, "max_players is 1001"),
        ({"tick_rate": 9}, "tick_rate is 9"),
        ({"tick_rate": 129}, "tick_rate is 129"),
        ({"max_commands": 0}, "max_commands is 0"),
        ({"key": 1 << 64}, "key is not"),
        ({"key": -1}, "key is not"),
        ({"volatile_kinds": ("dance",)}, "volatile_kinds is"),
        ({"mode": "chess"}, "mode 'chess' is not one of deathmatch"),
    ],
)
def test_what_an_arena_cannot_be_made_of(options: dict[str, int | str], message: str) -> None:
    making = {"key": KEY, "mode": "duel", "max_players": 2, "tick_rate": 30} | options
    with pytest.raises(ValueError, match=message):
        Arena(make_rules(), make_world(), **making)  # type: ignore[arg-type]


def test_an_arena_needs_a_spawn_point() -> None:
    with pytest.raises(ValueError, match="spawn"):
        Arena(make_rules(), make_world([]), key=KEY, mode="duel", max_players=2, tick_rate=30)

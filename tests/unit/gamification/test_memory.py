"""Players in memory: as many as there is room for, only as the database has them, without what is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.gamification.domain.player import Accumulator, AccumulatorKey, Closing, Player
from services.gamification.memory import TIDY_EVERY, Memory
from services.gamification.store import Head

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def key(number: int) -> AccumulatorKey:
    return AccumulatorKey("", "kills", "day:UTC", NOW - timedelta(days=number))


def a_player(name: str, rows: int = 0, version: int = 1) -> Player:
    player = Player(name, version=version)
    for number in range(rows):
        player.accumulators[key(number)] = Accumulator(1, 1, 1, 1, 1, NOW, "e", over_at=None)
    return player


def heads(*players: Player) -> dict[str, Head]:
    return {each.user_id: Head(each.user_id, each.version, 0, 0, 0) for each in players}


def test_those_that_were_used_the_longest_ago_go_first() -> None:
    memory = Memory(30)
    ann, bob, cid = (a_player(name, 9) for name in ("ann", "bob", "cid"))
    for player in (ann, bob, cid):
        memory.keep(player, NOW)
    assert memory.rows == 30
    for player in memory.take(heads(ann)).values():
        memory.keep(player, NOW)
    memory.keep(a_player("dan"), NOW)
    assert memory.rows == 21
    assert set(memory.take(heads(ann, bob, cid, a_player("dan")))) == {"ann", "cid", "dan"}
    assert memory.rows == 0


def test_a_player_with_more_rows_than_there_is_room_for_is_not_kept() -> None:
    memory = Memory(30)
    memory.keep(a_player("ann", 30), NOW)
    assert memory.rows == 0
    assert memory.take(heads(a_player("ann"))) == {}


def test_a_player_of_another_version_is_forgotten() -> None:
    memory = Memory(30)
    memory.keep(a_player("ann"), NOW)
    assert memory.take(heads(a_player("ann", version=2))) == {}
    assert memory.take(heads(a_player("ann"))) == {}
    assert memory.rows == 0


def test_who_is_taken_is_not_there_until_it_is_kept_again() -> None:
    memory = Memory(30)
    ann = a_player("ann", 3)
    memory.keep(ann, NOW)
    memory.keep(ann, NOW)
    assert memory.rows == 4
    assert memory.take(heads(ann)) == {"ann": ann}
    assert memory.take(heads(ann)) == {}


def test_what_is_over_goes_from_time_to_time_but_for_what_a_closing_awaits() -> None:
    memory = Memory(30)
    ann = a_player("ann", version=TIDY_EVERY - 1)
    for number, over_at in enumerate((None, NOW, NOW, NOW + timedelta(seconds=1))):
        ann.accumulators[key(number)] = Accumulator(1, 1, 1, 1, 1, NOW, "e", over_at=over_at)
    ann.closings[Closing("achievement:a:1", "day:UTC", key(2).starts_at)] = NOW
    memory.keep(ann, NOW)
    assert len(ann.accumulators) == 4
    ann.version += 1
    memory.keep(ann, NOW)
    assert list(ann.accumulators) == [key(0), key(2), key(3)]
    assert memory.rows == 4

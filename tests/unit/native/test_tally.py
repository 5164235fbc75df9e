"""Statistics are those of the twin and of the arena, wherever the journal is cut; damage is refused."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from arenamesh.combat.v1 import journal_pb2, statistics_pb2, verdict_pb2
from google.protobuf.message import DecodeError
from hypothesis import given, settings

from native.journal import index
from native.reference import tally as twin
from native.scores import PlayerTally
from native.tally import Tally
from tests.support.arenas import Match, at, make_rules
from tests.support.draw import Draw, draws
from tests.support.random_match import MODES, RandomMatch

WEAPONS = 3
SEATS = 5
FEW = settings().max_examples // 20


@cache
def played(seed: int, ticks: int = 1500) -> RandomMatch:
    match = RandomMatch(seed)
    match.play(ticks)
    return match


def weapons(match: Match) -> int:
    return len(match.rules.weapon_names)


def counted(match: Match, *segments: bytes) -> Tally:
    tally = Tally(weapons(match))
    for segment in segments or [match.arena.take_journal()]:
        tally.feed(segment)
    return tally


def of(tally: Tally, name: str) -> PlayerTally:
    return next(player for player in tally.players() if player["player_id"] == name)


def same(tally: Tally, other: twin.Tally) -> None:
    score = other.score
    assert (tally.sequence, tally.tick, tally.time_us) == (score.sequence, score.tick, score.time_us)
    assert tally.players() == other.players()
    assert tally.results() == other.results()


# ---- matches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2 * len(MODES)))
def test_a_match_is_counted_as_the_twin_counts_it(seed: int) -> None:
    match = played(seed)
    tally, other = counted(match, *match.segments), twin.Tally(weapons(match))
    other.feed(b"".join(match.segments))
    same(tally, other)
    assert (tally.sequence, tally.time_us) == (match.arena.sequence, match.arena.now_us)
    assert tally.tick == match.arena.tick
    assert tally.results() == match.arena.results()
    for name in (
        "kills",
        "hits",
        "headshots",
        "snap_hits",
        "assists",
        "clamped_rewinds",
        "movement_violations",
        "moved_mm",
    ):
        assert any(player[name] for player in tally.players()), name


@settings(max_examples=FEW)
@given(draws)
def test_it_does_not_matter_where_a_journal_is_cut(draw: Draw) -> None:
    match = played(draw.randrange(len(MODES)), 300)
    journal = b"".join(match.segments)
    ends = [offset + size for *_, offset, size in index(journal)]
    cuts = [0, *sorted(draw.choice(ends) for _ in range(draw.randrange(6))), len(journal)]
    tally = Tally(weapons(match))
    for begin, end in pairwise(cuts):
        tally.feed(journal[begin:end])
        if draw.chance(0.5):
            tally = Tally.restore(tally.save())
    whole = counted(match, journal)
    assert tally.players() == whole.players()
    assert tally.save() == whole.save()


def test_rows_are_what_the_contract_tells() -> None:
    fields = set(statistics_pb2.PlayerStats.DESCRIPTOR.fields_by_name)
    for row in counted(played(0), *played(0).segments).players():
        plain: dict[str, Any] = dict(row)
        stats = statistics_pb2.PlayerStats(**{name: plain[name] for name in fields})
        assert stats.player_id == row["player_id"]
        assert stats.rewind_p99_us >= stats.rewind_p50_us
        assert sum(each.shots for each in stats.weapons) == stats.shots
        assert sum(each.hits for each in stats.weapons) == stats.hits
        assert sum(row["rewind_bins"]) == stats.shots >= stats.hits >= stats.headshots


# ---- what counts --------------------------------------------------------------------------------


def test_a_shot_through_two_is_one_hit_and_two_regions() -> None:
    match = Match(make_rules(), players=["ann", "ben", "cat"], spawns=[at(0), at(8), at(9)])
    order = sorted(range(3), key=lambda slot: match.feet(slot)[0])
    ann = match.arena.player(order[0])
    verdict = match.judge(match.aim(order[0], order[1], "sniper"))
    if len(verdict.hits) < 2:
        pytest.fail(f"the weapon has to go through: {verdict}")
    row = of(counted(match), ann)
    assert (row["shots"], row["hits"]) == (1, 1)
    assert sum(each["hits"] for each in row["regions"]) == 2
    assert row["damage_dealt_milli"] == sum(hit.dealt_milli for hit in verdict.hits)
    assert row["weapons"] == [
        {
            "weapon": match.weapon("sniper"),
            "shots": 1,
            "hits": 1,
            "kills": sum(h.lethal for h in verdict.hits),
        }
    ]


def test_a_blast_among_many_is_one_hit() -> None:
    match = Match(players=["ann", "ben", "cat"], spawns=[at(0), at(11, -1), at(12)])
    order = sorted(range(3), key=lambda slot: match.feet(slot)[0])
    match.judge(match.aim(order[0], order[2], "rocket_launcher"))
    match.run(1)
    row = of(counted(match), match.arena.player(order[0]))
    assert (row["shots"], row["hits"]) == (1, 1)
    assert sum(each["hits"] for each in row["regions"]) == 2


@pytest.mark.parametrize(
    ("turn", "wait_s", "weapon", "snaps"),
    [
        (math.radians(46), 0.1, "rifle", 1),
        (math.radians(44), 0.1, "rifle", 0),
        (math.pi, 0.101, "rifle", 0),
        (math.pi, 0.0, "rifle", 1),
        (math.pi, 0.0, "rocket_launcher", 0),
    ],
)
def test_a_hit_right_after_a_turn_is_a_snap(turn: float, wait_s: float, weapon: str, snaps: int) -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(0.5)
    here, there = match.feet(0), match.feet(1)
    at_target = math.atan2(there[1] - here[1], there[0] - here[0])
    move = match.move(0, here)
    move.move.yaw = at_target + turn
    match.judge(move)
    match.run(wait_s)
    match.judge(match.aim(0, 1, weapon, height=1.6))
    match.run(1)
    row = of(counted(match), "ann")
    assert (row["hits"], row["snap_hits"]) == (1, snaps)


def test_time_alive_streaks_and_a_seat_that_changes_hands() -> None:
    rules = make_rules(modes__deathmatch__respawn_s=0.5, modes__deathmatch__score_limit=0)
    match = Match(rules, players=["ann", "ben"], max_players=2)
    match.run(1)
    match.judge(match.hurt(0, 1, 1000))
    match.run(2)
    match.judge(match.hurt(0, 1, 1000))
    match.judge(match.hurt(1, 1, 1))
    match.arena.leave(match.now, 0, 1)
    match.run(1)
    match.sequences.clear()
    assert match.arena.join(match.now, "cat") == 0
    match.judge(match.hurt(0, 1, 1000))
    match.run(0.24)
    tally = counted(match)
    ann, ben, cat = tally.players()
    assert (ann["kills"], ann["streak"], ann["best_streak"], ann["seated"]) == (2, 0, 2, False)
    assert (ann["deaths"], ann["time_alive_us"]) == (0, 3_000_000)
    assert (cat["kills"], cat["streak"], cat["slot"], cat["time_alive_us"]) == (1, 1, 0, 240_000)
    assert ben["deaths"] == 3
    # One second, then each life from half a second (and the step after it) past the death before.
    assert ben["time_alive_us"] == 1_000_000 + (2_000_000 - 520_000) + (1_000_000 - 520_000)
    match.arena.leave(match.now, 1, 1)
    assert match.arena.join(match.now, "ann") == 1
    match.run(0.5)
    tally.feed(match.arena.take_journal())
    ann = of(tally, "ann")
    assert (ann["slot"], ann["seated"], ann["kills"], ann["time_alive_us"]) == (1, True, 2, 3_500_000)


def test_the_end_stops_every_clock() -> None:
    match = Match()
    match.run(1)
    match.arena.end(match.now, 3)
    match.arena.leave(match.now + 700_000, 0, 1)
    assert [row["time_alive_us"] for row in counted(match).players()] == [1_000_000] * 2


def test_a_move_of_the_dead_is_no_violation() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(0.5)
    x, y, z = match.feet(0)
    match.judge(match.move(0, (x + 0.1, y, z)))
    assert match.judge(match.move(0, (x + 30, y, z))).outcome != verdict_pb2.OUTCOME_ACCEPTED
    match.judge(match.hurt(1, 0, 1000))
    assert match.judge(match.move(0, (x, y, z))).reason == verdict_pb2.REASON_DEAD
    row = of(counted(match), "ann")
    assert (row["movement_violations"], row["moved_mm"]) == (1, 100)


def test_what_a_stalled_link_brings_at_once_is_one_violation() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(0.5)
    x, y, z = match.feet(0)
    for number in range(60):
        assert (
            match.judge(match.move(0, (x + 3 + 0.1 * number, y, z))).outcome != verdict_pb2.OUTCOME_ACCEPTED
        )
    match.run(0.2)
    assert match.judge(match.move(0, (x + 8, y, z))).outcome != verdict_pb2.OUTCOME_ACCEPTED
    assert of(counted(match), "ann")["movement_violations"] == 2


def test_how_far_back_shots_looked() -> None:
    match = Match(make_rules(weapons__rifle__magazine=0, weapons__rifle__fire_interval_s=0))
    match.run(1)
    for back in (0, 0, 4, 11, 40):
        match.judge(match.aim(0, 1), view_tick=match.arena.tick - back)
    row = of(counted(match), "ann")
    assert {index: count for index, count in enumerate(row["rewind_bins"]) if count} == {
        0: 2,
        80: 1,
        220: 1,
        250: 1,
    }
    assert (row["rewind_p50_us"], row["rewind_p99_us"], row["clamped_rewinds"]) == (80_000, 250_000, 1)


def test_who_did_nothing() -> None:
    row = of(counted(Match(start=False)), "ann")
    assert (row["rewind_bins"], row["rewind_p50_us"], row["rewind_p99_us"], row["weapons"]) == ([], 0, 0, [])


# ---- journals that nobody played ----------------------------------------------------------------


def some_hit(draw: Draw) -> verdict_pb2.Hit:
    hit = verdict_pb2.Hit(slot=draw.whole(0, SEATS), region=draw.randrange(6))  # type: ignore[arg-type]
    for name in ("dealt_milli", "armour_milli", "shield_milli", "healed_milli"):
        if draw.chance(0.3):
            setattr(hit, name, draw.whole(0, 2**32 - 1))
    return hit


def some_tick_hit(draw: Draw) -> journal_pb2.TickHit:
    return journal_pb2.TickHit(
        source=draw.choice((0, 0, 0, draw.whole(0, SEATS - 1))),
        weapon=draw.whole(0, WEAPONS),
        command_sequence=draw.whole(0, 40),
        hit=some_hit(draw),
    )


def some_command(draw: Draw, record: journal_pb2.CommandRecord) -> None:
    verdict = record.verdict
    verdict.slot = draw.whole(0, SEATS - 1)
    verdict.outcome = draw.choice((1, 1, 1, 2, 3))  # type: ignore[assignment]
    verdict.reason = draw.choice((0, 4, 7, 27, 60))  # type: ignore[assignment]
    if draw.chance(0.5):
        verdict.rewind_us = draw.choice((draw.whole(0, 600_000), draw.whole(0, 2**32 - 1)))
        verdict.clamp = draw.randrange(7)  # type: ignore[assignment]
        record.command.shot.weapon = draw.whole(0, WEAPONS - 1)
        verdict.hits.extend(some_hit(draw) for _ in range(draw.randrange(3)))
    else:
        to = verdict.correction if verdict.outcome == 2 else record.command.move
        to.x, to.y, to.z = (draw.single(-1000, 1000) for _ in range(3))
    record.unlisted.extend(some_tick_hit(draw) for _ in range(draw.randrange(2)))


def some_events(draw: Draw, record: journal_pb2.JournalRecord) -> None:
    event = record.events.add(tick=draw.whole(0, 100))
    roll = draw.randrange(20)
    if roll == 0:
        event.session_end.reason = 1  # type: ignore[assignment]
    elif roll < 8:
        event.spawn.slot = draw.whole(0, SEATS - 1)
        event.spawn.x_mm, event.spawn.z_mm = draw.whole(-(2**31), 2**31 - 1), draw.whole(-100, 100)
    else:
        event.kill.victim, event.kill.killer = draw.whole(0, SEATS - 1), draw.whole(0, SEATS - 1)
        event.kill.assist, event.kill.weapon = draw.whole(0, SEATS), draw.whole(0, WEAPONS)
        event.kill.distance_mm = draw.whole(0, 2**32 - 1)


def some_journal(draw: Draw) -> journal_pb2.JournalSegment:
    """All seats are taken at first and most of the time, so most of it can be; not all of it."""
    segment, now, seats = journal_pb2.JournalSegment(), 0, dict[int, str]()
    for sequence in range(1, draw.randrange(10, 80)):
        now += draw.whole(0, 1000)
        record = segment.records.add(sequence=sequence, time_us=now)
        roll = draw.random()
        free = set(range(SEATS + 1)) - seats.keys()
        if sequence <= SEATS + 1 or roll < (0.7 if free else 0.01):
            slot = min(free, default=draw.whole(0, SEATS))
            names = sorted({f"p{i}" for i in range(SEATS + 3)} - set(seats.values()))
            record.join.slot, record.join.player_id = slot, draw.choice(names)
            record.join.given_team = draw.randrange(3)
            seats[slot] = record.join.player_id
            if sequence > SEATS + 1 or draw.chance(0.8):
                record.events.add().spawn.slot = slot
        elif roll < 0.1:
            record.leave.slot = draw.whole(0, SEATS)
            seats.pop(record.leave.slot, None)
        elif roll < 0.4:
            record.tick.tick = draw.whole(0, 2**32 - 1)
            record.tick.hits.extend(some_tick_hit(draw) for _ in range(draw.randrange(4)))
        else:
            some_command(draw, record.command)
        if sequence > SEATS + 1 and draw.chance(0.3):
            some_events(draw, record)
    return segment


def both(data: bytes) -> bool:
    """Whether both count the journal, to the same; else both refuse the same record, and count nothing."""
    tally, other = Tally(WEAPONS), twin.Tally(WEAPONS)
    try:
        tally.feed(data)
    except ValueError as refused:
        with pytest.raises(ValueError, match=str(refused).split(":")[0]):
            other.feed(data)
        assert (tally.sequence, tally.players()) == (0, [])
        return False
    other.feed(data)
    same(tally, other)
    assert Tally.restore(tally.save()).save() == tally.save()
    return True


@settings(max_examples=10 * FEW)
@given(draws)
def test_any_journal_is_counted_as_the_twin_counts_it(draw: Draw) -> None:
    segment = some_journal(draw)
    if not both(segment.SerializeToString()):
        del segment.records[refused_at(segment) - 1 :]
        assert both(segment.SerializeToString())


def refused_at(segment: journal_pb2.JournalSegment) -> int:
    with pytest.raises(ValueError, match=r"^record") as caught:
        Tally(WEAPONS).feed(segment.SerializeToString())
    return int(str(caught.value).split()[1].rstrip(":"))


def test_most_journals_of_the_test_before_are_long() -> None:
    lengths = []
    for seed in range(100):
        segment = some_journal(Draw(seed))
        if not both(segment.SerializeToString()):
            del segment.records[refused_at(segment) - 1 :]
        lengths.append(len(segment.records))
    assert sorted(lengths)[50] > 20


# ---- refused ------------------------------------------------------------------------------------


def joined() -> journal_pb2.JournalSegment:
    """Two sit and live, and one shoots."""
    segment = journal_pb2.JournalSegment()
    for slot in range(2):
        record = segment.records.add(sequence=slot + 1, time_us=5)
        record.join.slot, record.join.player_id = slot, f"p{slot}"
        record.events.add().spawn.slot = slot
    record = segment.records.add(sequence=3, time_us=5)
    record.command.command.shot.weapon = 1
    record.command.verdict.outcome = verdict_pb2.OUTCOME_ACCEPTED
    record.command.verdict.hits.add(slot=1, region=1, dealt_milli=100)
    return segment


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sequence": 6, "start": {}}, "record 6 follows record 4"),
        ({"sequence": 4, "start": {}}, "record 4 follows record 4"),
        ({"time_us": 4, "start": {}}, "record 5: time runs backwards"),
        ({"leave": {"slot": 2}}, "record 5: nobody has seat 2"),
        ({"join": {"slot": 1, "player_id": "x"}}, "record 5: seat 1 cannot be taken"),
        ({"join": {"slot": 1000, "player_id": "x"}}, "record 5: seat 1000 cannot be taken"),
        ({"join": {"slot": 2, "player_id": ""}}, "record 5: player_id has not 1..64 bytes"),
        ({"join": {"slot": 2, "player_id": "x" * 65}}, "record 5: player_id has not 1..64 bytes"),
        ({"join": {"slot": 2, "player_id": "p1"}}, "record 5: .* has a seat"),
        ({"tick": {"hits": [{"source": 7}]}}, "record 5: nobody has seat 7"),
        ({"tick": {"hits": [{"hit": {"slot": 9}}]}}, "record 5: nobody has seat 9"),
        ({"tick": {"hits": [{"hit": {"region": 6}}]}}, "record 5: there is no region 6"),
        (
            {"tick": {"hits": [{"weapon": 4, "hit": {"slot": 1, "dealt_milli": 1}}]}},
            "record 5: there is no weapon 3",
        ),
        (
            {"command": {"command": {"shot": {"weapon": 3}}, "verdict": {"outcome": 1}}},
            "there is no weapon 3",
        ),
        ({"command": {"command": {"move": {"x": 1e9}}, "verdict": {"outcome": 1}}}, "is no place"),
        ({"command": {"command": {"move": {"x": float("nan")}}, "verdict": {"outcome": 1}}}, "is no place"),
        ({"command": {"verdict": {"slot": 2}}}, "nobody has seat 2"),
        ({"tick": {}, "events": [{"kill": {"victim": 3}}]}, "nobody has seat 3"),
        ({"tick": {}, "events": [{"kill": {"assist": 9}}]}, "nobody has seat 8"),
        ({"tick": {}, "events": [{"kill": {"victim": 1, "weapon": 4}}]}, "there is no weapon 3"),
        ({"tick": {}, "events": [{"spawn": {"slot": 3}}]}, "nobody has seat 3"),
    ],
)
def test_a_record_that_cannot_be(change: dict[str, Any], why: str) -> None:
    tally, other = Tally(WEAPONS), twin.Tally(WEAPONS)
    data = joined().SerializeToString()
    bad = journal_pb2.JournalSegment()
    bad.records.add(sequence=4, time_us=5).start.SetInParent()
    bad.records.add(**{"sequence": 5, "time_us": 5, **change})
    for each in (tally, other):
        each.feed(data)
        with pytest.raises(ValueError, match=why):
            each.feed(bad.SerializeToString())
    assert tally.save() == counted_alone(data)
    same(tally, other)


def counted_alone(data: bytes) -> bytes:
    tally = Tally(WEAPONS)
    tally.feed(data)
    return tally.save()


def test_every_flipped_bit_is_refused_or_counted_as_the_twin_does() -> None:
    journal = bytearray(joined().SerializeToString())
    refused = 0
    for place in range(8 * len(journal)):
        journal[place // 8] ^= 1 << place % 8
        tally = Tally(WEAPONS)
        try:
            tally.feed(bytes(journal))
        except ValueError:
            refused += 1
        else:
            other = twin.Tally(WEAPONS)
            with_no_text = False
            try:
                other.feed(bytes(journal))
            except DecodeError:
                with_no_text = True  # inside of what is not counted
            if not with_no_text:
                same(tally, other)
        journal[place // 8] ^= 1 << place % 8
    assert 0.3 < refused / (8 * len(journal)) < 0.9


def test_a_journal_that_was_cut() -> None:
    journal = joined().SerializeToString()
    ends = {0} | {offset + size for *_, offset, size in index(journal)}
    for cut in range(len(journal)):
        tally = Tally(WEAPONS)
        if cut in ends:
            tally.feed(journal[:cut])
        else:
            with pytest.raises(ValueError, match="cannot be read after record"):
                tally.feed(journal[:cut])
            assert tally.sequence == 0


# ---- saved --------------------------------------------------------------------------------------


def test_a_saved_tally_that_was_altered_is_refused() -> None:
    tally = Tally(WEAPONS)
    tally.feed(joined().SerializeToString())
    saved = tally.save()
    for place in range(len(saved)):
        with pytest.raises(ValueError, match="saved tally"):
            Tally.restore(saved[:place] + bytes([saved[place] ^ 4]) + saved[place + 1 :])
        with pytest.raises(ValueError, match="saved tally"):
            Tally.restore(saved[:place])
    with pytest.raises(ValueError, match="damaged"):
        Tally.restore(saved + b"\0")
    assert Tally.restore(saved).players() == tally.players()


def test_a_tally_of_too_many_weapons() -> None:
    with pytest.raises(ValueError, match="weapons is 33, more than 32"):
        Tally(33)

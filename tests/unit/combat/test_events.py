"""A journal, told: the same however it is cut, and the same as a plain reading of its records."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2, verdict_pb2
from arenamesh.events.v1 import combat_pb2, envelope_pb2

from native import journal
from services.combat.domain.statistics import Score
from services.combat.statistics.events import (
    EVENTS_TOPIC,
    VALIDATION_TOPIC,
    Story,
    StoryError,
    Told,
)
from services.combat.statistics.memory import Seat
from services.combat.statistics.violations import CORRECTED_US, HONEST_VIEW_US, violation
from tests.support.arenas import Match, at
from tests.support.journals import session_row
from tests.support.random_match import MODES, RandomMatch

KINDS = {
    "combat.session_started": combat_pb2.CombatSessionStarted,
    "combat.session_ended": combat_pb2.CombatSessionEnded,
    "combat.kill": combat_pb2.CombatKill,
    "combat.player_summary": combat_pb2.CombatPlayerSummary,
    "combat.violation": combat_pb2.CombatViolation,
}


def data(envelope: envelope_pb2.Envelope) -> Any:
    message = KINDS[envelope.type]()
    assert envelope.data.Unpack(message)
    return message


def played(seed: int, ticks: int = 200) -> tuple[RandomMatch, bytes]:
    """A match to its end, and its journal."""
    match = RandomMatch(seed)
    match.play(ticks)
    match.arena.end(match.now, event_pb2.END_REASON_REQUESTED)
    return match, b"".join([*match.segments, match.arena.take_journal()])


def story_of(match: Match, **fields: Any) -> Story:
    mode = match.options["mode"]
    return Story(session_row("match", game_mode=mode, **fields), match.rules)


def told(story: Story, *segments: bytes) -> list[Told]:
    for segment in segments:
        story.feed(segment)
    return story.take_events()


def of_type(events: list[Told], type_: str) -> list[Any]:
    return [data(each.envelope) for each in events if each.envelope.type == type_]


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_same_however_it_is_cut_and_saved(seed: int) -> None:
    match, segment = played(seed)
    whole = story_of(match)
    events = told(whole, segment)
    ids = [each.envelope.id for each in events]
    assert len(set(ids)) == len(ids) > 50
    draw = random.Random(seed)
    ends = [0, *(offset + size for *_, offset, size in journal.index(segment))]
    cuts = sorted({ends[0], ends[-1], *draw.sample(ends, 20)})
    story, found = story_of(match), []
    seats: dict[tuple[int, int], Seat] = {}
    for begin, end in itertools.pairwise(cuts):
        story.feed(segment[begin:end])
        found += story.take_events()
        seats |= {(seat.slot, seat.since): seat for seat in story.take_seats()}
        tally, memory = story.save()
        session = session_row("match", game_mode=match.options["mode"])
        story = Story(session, match.rules, tally, json.loads(json.dumps(memory)))
    assert found == events
    assert story.save() == whole.save()
    assert {(seat.slot, seat.since): seat for seat in whole.take_seats()} == seats
    assert story.players() == whole.players()


def seated(segment: bytes) -> Iterator[tuple[Any, dict[int, str]]]:
    """Each record, and who sits where when it is written."""
    seats: dict[int, str] = {}
    for record in journal_pb2.JournalSegment.FromString(segment).records:
        if record.HasField("join"):
            seats[record.join.slot] = record.join.player_id
        yield record, seats


@pytest.mark.parametrize("seed", range(8))
def test_kills_and_violations_are_those_of_the_records(seed: int) -> None:
    match, segment = played(seed)
    events = told(story_of(match), segment)
    kills, violations = [], []
    corrected_us: dict[int, int] = {}
    for record, seats in seated(segment):
        if record.HasField("join"):
            corrected_us.pop(record.join.slot, None)
        for event in record.events:
            if event.HasField("kill"):
                kill = event.kill
                assist = seats[kill.assist - 1] if kill.assist else ""
                weapon = match.rules.weapon_names[kill.weapon - 1] if kill.weapon else ""
                kills.append((record.sequence, seats[kill.killer], seats[kill.victim], assist, weapon))
        verdict = record.command.verdict
        strayed = record.command.command.HasField("move") and (
            verdict.outcome == verdict_pb2.OUTCOME_CORRECTED
            or (
                verdict.outcome == verdict_pb2.OUTCOME_REJECTED
                and verdict.reason not in (verdict_pb2.REASON_DEAD, verdict_pb2.REASON_STUNNED)
            )
        )
        if strayed and record.time_us - corrected_us.get(verdict.slot, -CORRECTED_US) >= CORRECTED_US:
            corrected_us[verdict.slot] = record.time_us
            name = verdict_pb2.Reason.Name(verdict.reason)
            violations.append((record.sequence, seats[verdict.slot], name))
    found = of_type(events, "combat.kill")
    assert kills == [
        (kill.journal_sequence, kill.killer_id, kill.victim_id, kill.assist_id, kill.weapon) for kill in found
    ]
    moves = [each for each in of_type(events, "combat.violation") if f"REASON_{each.kind.upper()}" in REASONS]
    assert violations == [(m.journal_sequence, m.player_id, f"REASON_{m.kind.upper()}") for m in moves]
    assert violations


REASONS = set(verdict_pb2.Reason.keys())


def test_kills_that_are_not_friendly_are_those_that_count() -> None:
    friendly = 0
    for seed in range(8):
        match, segment = played(seed)
        story = story_of(match)
        kills = of_type(told(story, segment), "combat.kill")
        counted = Counter({player.player_id: player.kills for player in story.players()})
        assert Counter(kill.killer_id for kill in kills if not kill.friendly) == +counted
        helped = Counter({player.player_id: player.assists for player in story.players()})
        assert Counter(kill.assist_id for kill in kills if kill.assist_id) == +helped
        friendly += sum(kill.friendly for kill in kills)
    assert friendly, "nobody ever killed a friend"


@pytest.mark.parametrize("seed", range(8))
def test_summaries_add_up_to_the_statistics(seed: int) -> None:
    match, segment = played(seed)
    story = story_of(match)
    events = told(story, segment)
    summaries = of_type(events, "combat.player_summary")
    sums: dict[str, Counter[str]] = {}
    for summary in summaries:
        assert summary.to_us - summary.from_us == 1_000_000
        assert summary.from_us % 1_000_000 == 0
        sums.setdefault(summary.player_id, Counter()).update(
            {field.name: value for field, value in summary.ListFields() if field.number > 4}
        )
        assert summary.snap_hits <= summary.hits
    assert len({(summary.player_id, summary.from_us) for summary in summaries}) == len(summaries)
    for player in story.players():
        of_player = sums.get(player.player_id, Counter())
        # Of no interest but to whom judges aim.
        of_player.pop("snap_hits", None)
        of_player.pop("false_claims", None)
        assert {name: getattr(player, name) for name in of_player} == dict(of_player)
    assert sum(counter["shots"] for counter in sums.values()) == sum(p.shots for p in story.players()) > 0


@pytest.mark.parametrize("seed", range(4))
def test_a_second_holds_what_its_records_say(seed: int) -> None:
    match, segment = played(seed)
    shots: Counter[tuple[str, int]] = Counter()
    for record, seats in seated(segment):
        command = record.command
        if command.command.HasField("shot") and command.verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED:
            shots[seats[command.verdict.slot], record.time_us // 1_000_000 * 1_000_000] += 1
    found = of_type(told(story_of(match), segment), "combat.player_summary")
    assert {(each.player_id, each.from_us): each.shots for each in found if each.shots} == dict(shots)


def test_a_second_holds_the_claims_that_no_link_explains() -> None:
    some: Counter[str] = Counter()
    for seed in range(8):
        match, segment = played(seed)
        false: Counter[tuple[str, int]] = Counter()
        for record, seats in seated(segment):
            if record.command.command.HasField("shot") and violation(record.command):
                false[seats[record.command.verdict.slot], record.time_us // 1_000_000 * 1_000_000] += 1
        found = of_type(told(story_of(match), segment), "combat.player_summary")
        assert {(e.player_id, e.from_us): e.false_claims for e in found if e.false_claims} == dict(false)
        assert all(each.false_claims <= each.clamped_rewinds <= each.shots for each in found)
        some += Counter(seats for seats, _ in false.elements())
    assert some, "nobody ever lied"


@pytest.mark.parametrize("seed", range(len(MODES)))
def test_begin_and_end(seed: int) -> None:
    match, segment = played(seed)
    events = told(story_of(match), segment)
    (started,) = of_type(events, "combat.session_started")
    assert started.player_ids == [f"p{i}" for i in range(12)]
    assert (started.session_type, started.map_id, started.game_mode) == ("training", "yard", MODES[seed])
    (ended,) = of_type(events, "combat.session_ended")
    assert ended.duration_us == match.now
    results = {
        result.player_id: (
            result.team,
            result.kills,
            result.deaths,
            result.assists,
            result.damage_dealt_milli,
        )
        for result in ended.results
    }
    assert results == {row[1]: row[2:] for row in match.arena.results()}
    assert events[-1].envelope.type == "combat.session_ended"
    assert [result.place for result in ended.results] == sorted(result.place for result in ended.results)
    for each in events:
        assert each.envelope.subject == "match"
        assert each.topic == (VALIDATION_TOPIC if each.envelope.type == "combat.violation" else EVENTS_TOPIC)
    elapsed = events[-1].envelope.time.ToMicroseconds() - events[0].envelope.time.ToMicroseconds()
    assert elapsed == match.now


def test_who_left_before_the_match_took_no_part() -> None:
    match = Match(players=["ann", "ben", "eve", "dan"], start=False)
    match.arena.leave(0, 2, event_pb2.LEAVE_REASON_LEFT)
    match.arena.leave(0, 3, event_pb2.LEAVE_REASON_LEFT)
    match.arena.join(0, "dan")
    match.arena.start(0)
    match.arena.end(0, event_pb2.END_REASON_REQUESTED)
    story = story_of(match)
    events = told(story, match.arena.take_journal())
    assert of_type(events, "combat.session_started")[0].player_ids == ["ann", "ben", "dan"]
    (ended,) = of_type(events, "combat.session_ended")
    assert sorted(result.player_id for result in ended.results) == ["ann", "ben", "dan"]
    assert story.take_seats() == [
        Seat(0, "ann", 0, 1),
        Seat(1, "ben", 0, 2),
        Seat(2, "eve", 0, 3, 5),
        Seat(3, "dan", 0, 4, 6),
        Seat(2, "eve", 0, 3, 5),
        Seat(3, "dan", 0, 4, 6),
        Seat(2, "dan", 0, 7),
    ]


@pytest.mark.parametrize(("reason", "winners"), [("requested", {"p0"}), ("aborted", set())])
def test_of_an_aborted_match_nobody_is_the_winner(reason: str, winners: set[str]) -> None:
    match = Match(players=["p0", "p1"])
    match.judge(match.hurt(0, 1, 1000))
    match.arena.end(match.now, event_pb2.EndReason.Value(f"END_REASON_{reason.upper()}"))
    (ended,) = of_type(told(story_of(match), match.arena.take_journal()), "combat.session_ended")
    assert ended.end_reason == reason
    assert {result.player_id for result in ended.results if result.won} == winners


def test_a_match_that_never_began_is_not_told() -> None:
    match = Match(start=False)
    match.arena.end(0, event_pb2.END_REASON_EMPTY)
    assert told(story_of(match), match.arena.take_journal()) == []


def test_the_last_one_standing_and_those_who_fell() -> None:
    match = Match(
        mode="battle_royale", players=["ann", "ben", "eve"], spawns=[at(0), at(5), at(10)], max_players=3
    )
    match.judge(match.hurt(0, 2, 1000, bypass=True))
    match.run(0.1)
    match.judge(match.hurt(0, 1, 1000, bypass=True))
    match.run(0.1)
    assert match.arena.ended == event_pb2.END_REASON_LAST_STANDING
    (ended,) = of_type(told(story_of(match), match.arena.take_journal()), "combat.session_ended")
    assert [(r.player_id, r.place, r.won) for r in ended.results] == [
        ("ann", 1, True),
        ("ben", 2, False),
        ("eve", 3, False),
    ]


def view(clamp: int, claimed_us: int, used_us: int) -> str | None:
    """Kind of violation of a shot with this view."""
    match = Match()
    match.run(2.0)
    match.judge(match.aim(0, 1))
    segment = journal_pb2.JournalSegment.FromString(match.arena.take_journal())
    shot = segment.records[-1]
    shot.command.verdict.clamp = clamp  # type: ignore[assignment]
    shot.command.evidence.claimed_view_us = claimed_us
    shot.command.evidence.used_view_us = used_us
    found = of_type(told(story_of(match), segment.SerializeToString()), "combat.violation")
    return found[0].kind if found else None


@pytest.mark.parametrize(
    ("clamp", "kind"),
    [
        (verdict_pb2.CLAMP_ACKED_SNAPSHOT, "acked_snapshot"),
        (verdict_pb2.CLAMP_NEWEST_SNAPSHOT, "newest_snapshot"),
        (verdict_pb2.CLAMP_ROUND_TRIP, "round_trip"),
        (verdict_pb2.CLAMP_FUTURE, "future"),
        (verdict_pb2.CLAMP_MAX_REWIND, None),
        (verdict_pb2.CLAMP_MONOTONE, None),
    ],
)
def test_a_view_beyond_what_honest_clients_claim(clamp: int, kind: str | None) -> None:
    behind = None if clamp == verdict_pb2.CLAMP_ROUND_TRIP else kind  # a stall looks like that
    assert view(clamp, 1_000_000, 1_000_001 + HONEST_VIEW_US) == behind
    assert view(clamp, 1_000_001 + HONEST_VIEW_US, 1_000_000) == kind
    assert view(clamp, 1_000_000, 1_000_000 + HONEST_VIEW_US) is None


def test_the_score_rises_and_fades() -> None:
    match = Match()
    for _ in range(3):
        match.run(1.0)
        x, y, z = match.feet(0)
        match.judge(match.move(0, (x + 5, y, z), mode=play_pb2.MOVE_MODE_WALK))
    found = of_type(told(story_of(match), match.arena.take_journal()), "combat.violation")
    assert [each.player_id for each in found] == ["ann"] * 3
    # The half-life of the default ruleset is 10 s.
    assert [each.score_milli for each in found] == [1000, 1950, 2853]
    score = Score()
    for second in range(3):
        score = score.violated(second * 1_000_000, 10_000_000)
    assert score == Score(2853, 2_000_000)
    assert score.violated(22_000_000, 10_000_000).milli == 1000 + 2853 // 4


def test_what_is_no_journal() -> None:
    match, segment = played(1, 20)
    first, second, *_ = journal.index(segment)
    story = story_of(match)
    with pytest.raises(StoryError):
        story.feed(segment[first[5] + first[6] :])  # begins with record 2
    with pytest.raises(StoryError):
        story_of(match).feed(segment[: second[5] + 1])
    with pytest.raises(StoryError):
        story_of(match).feed(b"\xff")

"""What happened can be counted from the records alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2, verdict_pb2

from native.journal import index
from tests.support.arenas import Match, at, make_rules
from tests.support.random_match import MODES, RandomMatch

FULL = 100_000
TEAMS = "team_deathmatch"


def records_of(*segments: bytes) -> list[journal_pb2.JournalRecord]:
    return [each for data in segments for each in journal_pb2.JournalSegment.FromString(data).records]


def taken(match: Match) -> list[journal_pb2.JournalRecord]:
    return records_of(match.arena.take_journal())


def tick_hits(records: list[journal_pb2.JournalRecord]) -> list[journal_pb2.TickHit]:
    return [hit for record in records for hit in record.tick.hits]


def events(records: list[journal_pb2.JournalRecord], kind: str) -> list[event_pb2.Event]:
    return [event for record in records for event in record.events if event.WhichOneof("kind") == kind]


@dataclass
class Ledger:
    """Scores and health as the records tell them, without an arena."""

    names: dict[int, str] = field(default_factory=dict)
    teams: dict[int, int] = field(default_factory=dict)
    health: dict[int, int] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    assists: Counter[str] = field(default_factory=Counter)
    damage: Counter[str] = field(default_factory=Counter)
    lethal: int = 0

    def read(self, record: journal_pb2.JournalRecord) -> None:
        if record.HasField("join"):
            self.names[record.join.slot] = record.join.player_id
            self.teams[record.join.slot] = record.join.given_team
            self.health[record.join.slot] = 0
        for event in record.events:
            if event.HasField("spawn"):
                self.health[event.spawn.slot] = FULL
        for hit in record.command.verdict.hits:
            self.hit(record.command.verdict.slot, hit)
        for each in (*record.command.unlisted, *record.tick.hits):
            self.hit(each.source, each.hit)
        for event in record.events:
            if event.HasField("kill"):
                self.kill(event.kill)

    def hit(self, source: int, hit: verdict_pb2.Hit) -> None:
        if hit.slot != source:
            self.damage[self.names[source]] += hit.dealt_milli
        self.health[hit.slot] += hit.healed_milli - hit.dealt_milli
        assert hit.health_milli == self.health[hit.slot]
        assert not hit.reason or hit.dealt_milli == hit.healed_milli == 0
        self.lethal += hit.lethal

    def kill(self, kill: event_pb2.KillEvent) -> None:
        assert self.health[kill.victim] == 0
        self.deaths[self.names[kill.victim]] += 1
        friends = self.teams[kill.killer] and self.teams[kill.killer] == self.teams[kill.victim]
        if kill.killer != kill.victim and not friends:
            self.kills[self.names[kill.killer]] += 1
        if kill.assist:
            self.assists[self.names[kill.assist - 1]] += 1


@pytest.fixture(scope="module", params=range(len(MODES)))
def played(request: pytest.FixtureRequest) -> RandomMatch:
    match = RandomMatch(request.param)
    match.play(1500)
    match.run(0.02)
    match.segments.append(match.arena.take_journal())
    return match


def test_a_recount_comes_to_the_results(played: RandomMatch) -> None:
    ledger, records = Ledger(), records_of(*played.segments)
    for record in records:
        ledger.read(record)
    assert len(tick_hits(records)) > 100
    for _, name, _, kills, deaths, assists, damage in played.arena.results():
        assert (ledger.kills[name], ledger.deaths[name]) == (kills, deaths)
        assert (ledger.assists[name], ledger.damage[name]) == (assists, damage)
    assert ledger.lethal == ledger.deaths.total() > 40
    assert {e.slot: e.health_milli for e in played.state().entities if e.flags & 1} == {
        slot: points for slot, points in ledger.health.items() if points and played.arena.player(slot)
    }


def test_records_are_written_as_protobuf_writes_them(played: RandomMatch) -> None:
    """But for the command, which stays as it came."""
    for segment in played.segments:
        for *_, offset, size in index(segment):
            data = segment[offset : offset + size]
            record = journal_pb2.JournalRecord.FromString(data)
            if not record.HasField("command"):
                assert record.SerializeToString() == data


# ---- ticks ------------------------------------------------------------------------------------


def test_a_blast_names_its_thrower_weapon_and_command() -> None:
    match = Match(
        mode=TEAMS,
        players=[("ann", 1), ("amy", 1), ("ben", 2)],
        spawns=[at(0, team=1), at(12, team=2), at(11, -1, team=1)],
    )
    thrower = min((0, 1), key=lambda slot: match.feet(slot)[0])
    match.judge(match.move(thrower, match.feet(thrower)))
    match.judge(match.aim(thrower, 2, "rocket_launcher"))
    match.run(1)
    hits = {each.hit.slot: each for each in tick_hits(taken(match))}
    assert set(hits) == {1 - thrower, 2}
    for each in hits.values():
        assert (each.source, each.action, each.command_sequence) == (thrower, 0, 2)
        assert each.weapon == match.weapon("rocket_launcher") + 1
    assert hits[2].hit.dealt_milli == FULL - match.health(2) == FULL - hits[2].hit.health_milli > 0
    assert hits[1 - thrower].hit.reason == verdict_pb2.REASON_FRIENDLY_FIRE
    assert hits[1 - thrower].hit.health_milli == FULL


def test_a_kill_by_fire_is_in_the_tick_that_did_it() -> None:
    rules = make_rules(actions__fire_field__range_m=60)
    match = Match(rules, mode=TEAMS, players=[("ann", 1), ("ben", 2)], spawns=[at(0, team=1), at(12, team=2)])
    match.judge(match.hurt(0, 1, 90))
    match.judge(match.use(0, "fire_field", point=match.feet(1)))
    taken(match)
    match.run(2)
    records = taken(match)
    hits = tick_hits(records)
    assert [(each.source, each.hit.slot, each.hit.dealt_milli, each.hit.lethal) for each in hits] == [
        (0, 1, 0, False),  # the cast ends: set on fire
        (0, 1, 6000, False),
        (0, 1, 4000, True),
    ]
    assert {each.action for each in hits} == {match.action("fire_field") + 1}
    assert hits[2].hit.overkill_milli == 2000
    (kill,) = events(records, "kill")
    assert (kill.kill.victim, kill.kill.killer) == (1, 0)
    (record,) = [record for record in records if record.events]
    assert (record.tick.tick, record.tick.hits[0]) == (kill.tick, hits[2])


def test_a_cast_that_ends_and_healing_over_time() -> None:
    match = Match()
    match.judge(match.hurt(0, 0, 90))
    match.judge(match.use(0, "medkit"))
    taken(match)
    match.run(3)
    (each,) = tick_hits(taken(match))
    assert (each.source, each.action) == (0, match.action("medkit") + 1)
    assert (each.hit.healed_milli, each.hit.health_milli) == (75_000, 85_000)
    match.judge(match.hurt(0, 0, 80))
    match.judge(match.use(0, "heal_pulse"))
    match.run(4.1)
    assert [(each.hit.healed_milli, each.hit.health_milli) for each in tick_hits(taken(match))] == [
        (5000, health) for health in (30_000, 35_000, 40_000, 45_000)
    ]


def test_an_effect_that_meets_immunity_says_so() -> None:
    match = Match(mode=TEAMS, players=[("ann", 1), ("ben", 2)], spawns=[at(0, team=1), at(12, team=2)])
    match.judge(match.use(0, "fire_field", point=match.feet(1)))
    match.run(0.5)
    match.judge(match.use(1, "bulwark"))
    taken(match)
    match.run(1.2)
    hits = tick_hits(taken(match))
    assert [(each.hit.reason, each.hit.health_milli) for each in hits] == [
        (verdict_pb2.REASON_IMMUNE, FULL)
    ] * 2


def test_a_tick_with_very_many_hits_loses_none() -> None:
    """Everybody's cast ends in one step and reaches everybody."""
    rules = make_rules(
        actions__heal_pulse__cast_s=0.2, actions__heal_pulse__area_m=200, modes__team_deathmatch__teams=1
    )
    match = Match(rules, mode=TEAMS, players=[f"p{i}" for i in range(100)], max_players=100)
    match.send(*(match.use(slot, "heal_pulse") for slot in range(100)))
    match.run(0.4)
    segment = match.arena.take_journal()
    hits = tick_hits(records_of(segment))
    assert Counter(each.source for each in hits) == Counter(each.hit.slot for each in hits)
    assert len(hits) == 100 * 100
    arena = match.twin()
    arena.replay(segment)
    assert arena.state_hash() == match.arena.state_hash()


# ---- commands ---------------------------------------------------------------------------------


def test_the_life_a_weapon_gives_back() -> None:
    match = Match(spawns=[at(0), at(1.5)])
    match.judge(match.hurt(0, 0, 50))
    (hit,) = match.judge(match.aim(0, 1, "knife")).hits
    (each,) = taken(match)[-1].command.unlisted
    assert (each.source, each.weapon, each.hit.slot) == (0, match.weapon("knife") + 1, 0)
    assert each.hit.healed_milli == hit.dealt_milli // 4
    assert each.hit.health_milli == 50_000 + each.hit.healed_milli


def test_whom_a_verdict_has_no_room_for() -> None:
    rules = make_rules(actions__heal_pulse__area_m=200, modes__team_deathmatch__teams=1)
    match = Match(rules, mode=TEAMS, players=[f"p{i}" for i in range(40)], max_players=40)
    match.send(*(match.hurt(slot, slot, 50) for slot in range(40)))
    listed = [hit.slot for hit in match.judge(match.use(0, "heal_pulse")).hits]
    unlisted = taken(match)[-1].command.unlisted
    assert listed + [each.hit.slot for each in unlisted] == list(range(40))
    assert {each.hit.health_milli for each in unlisted} == {70_000}
    assert {(each.source, each.action) for each in unlisted} == {(0, match.action("heal_pulse") + 1)}


# ---- spawns, kills, the end -------------------------------------------------------------------


def test_who_comes_to_life_and_when() -> None:
    match = Match(make_rules(modes__deathmatch__respawn_s=0.1), start=False)
    match.arena.start(0)
    match.arena.join(0, "cat")
    match.judge(match.hurt(0, 1, 1000))
    match.run(0.2)
    records = taken(match)
    causes = [
        (record.WhichOneof("input"), [event.WhichOneof("kind") for event in record.events])
        for record in records
        if record.events
    ]
    assert causes == [
        ("start", ["spawn", "spawn"]),
        ("join", ["spawn"]),
        ("command", ["kill"]),
        ("tick", ["spawn"]),
    ]
    shown = [event for event in match.events() if event.WhichOneof("kind") in ("spawn", "kill")]
    assert shown == events(records, "spawn")[:3] + events(records, "kill") + events(records, "spawn")[3:]


def test_a_record_tells_its_events_when_viewers_are_not_told() -> None:
    """The viewers' buffer is bounded and may be full; a record's is not."""
    match = Match(make_rules(modes__deathmatch__score_limit=0, modes__deathmatch__respawn_s=0))
    for _ in range(3000):
        match.judge(match.hurt(0, 1, 1000))
        match.run(0.02)
    assert match.arena.counters["events_dropped"] > 0
    assert len(events(taken(match), "kill")) == match.arena.results()[1][4] > 1000


@pytest.mark.parametrize("asked", [0, 2])
def test_the_team_a_player_got(asked: int) -> None:
    match = Match(mode=TEAMS, players=[("ann", 1), ("ben", asked)], spawns=[at(0), at(9)])
    joins = [record.join for record in taken(match) if record.HasField("join")]
    assert [(join.team, join.given_team) for join in joins] == [(1, 1), (asked, 2)]


def test_the_end_is_in_the_record_that_brought_it() -> None:
    match = Match(make_rules(modes__deathmatch__score_limit=1))
    match.judge(match.hurt(0, 1, 1000))
    match.run(0.02)
    (end,) = taken(match)[-1].events
    assert (end.session_end.reason, end.session_end.winner) == (event_pb2.END_REASON_SCORE_LIMIT, 1)
    match = Match()
    match.arena.end(5, event_pb2.END_REASON_REQUESTED)
    record = taken(match)[-1]
    assert record.end.reason == record.events[0].session_end.reason == event_pb2.END_REASON_REQUESTED

"""Journals are counted once, whatever happens to whoever counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from native.reference.tally import Tally as Twin
from services.chassis.db import Database
from services.chassis.errors import DataLoss, NotFound
from services.chassis.outbox import Outbox
from services.combat.catalogue import load_catalogue
from services.combat.domain.session import SessionStatus
from services.combat.durability.journal_store import PostgresJournal
from services.combat.schema import SCHEMA
from services.combat.statistics.events import Story
from services.combat.statistics.projector import ProjectionLimits, Projector
from services.combat.statistics.queries import Statistics
from services.combat.statistics.recount import Recount
from services.combat.statistics.store import StatisticsStore
from tests.support.arenas import DATA
from tests.support.journals import add_segments, add_session, session_row
from tests.support.random_match import RandomMatch

RULES = load_catalogue(DATA).ruleset("default", 1)


@dataclass
class Counting:
    """A database, and what counts in it."""

    database: Database
    journal: PostgresJournal
    raw: asyncpg.Connection
    projector: Projector
    recount: Recount

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that was counted, and told."""
        tables = {
            "players": "SELECT * FROM gameplay.combat_player_stats ORDER BY session_id, player_id",
            "seats": "SELECT * FROM gameplay.combat_seats ORDER BY session_id, from_sequence",
            "checkpoints": "SELECT session_id, sequence, time_us, tally, story, error"
            " FROM gameplay.combat_projections ORDER BY session_id",
            "events": "SELECT topic, event_id, envelope FROM gameplay.outbox ORDER BY subject, xid, id",
        }
        return {name: [tuple(row) for row in await self.raw.fetch(sql)] for name, sql in tables.items()}

    async def all(self) -> int:
        """Until nothing is left to count; returns how many records that were."""
        total = 0
        while counted := await self.projector.turn():
            total += counted
        return total


def projector(
    database: Database, journal: PostgresJournal, *, segments: int = 3, retry_s: float = 60
) -> Projector:
    limits = ProjectionLimits(
        poll_s=0.01,
        sessions=50,
        parallel=2,
        share=1,
        rest_s=0,
        segments=segments,
        size=1 << 20,
        retry_s=retry_s,
    )
    return Projector(database, journal, load_catalogue(DATA), Outbox(SCHEMA), limits)


@pytest.fixture
async def counting(database_url: str) -> AsyncIterator[Counting]:
    database = await Database.connect(database_url, size=4, wait_s=5, command_s=20)
    journal = PostgresJournal(database_url, database, wait_s=5, command_s=20)
    raw = await asyncpg.connect(database_url)
    recount = Recount(database, journal, load_catalogue(DATA), 3)
    yield Counting(database, journal, raw, projector(database, journal), recount)
    await raw.close()
    await journal.close()
    await database.close()


def played(seed: int, ticks: int = 120) -> tuple[RandomMatch, list[bytes]]:
    """A match of the rules that ship, to its end, and its segments."""
    match = RandomMatch(seed, RULES)
    match.play(ticks)
    match.arena.end(match.now, event_pb2.END_REASON_REQUESTED)
    return match, [segment for segment in (*match.segments, match.arena.take_journal()) if segment]


def row_of(session_id: str, match: RandomMatch, **fields: Any) -> Any:
    return session_row(session_id, game_mode=match.options["mode"], **fields)


async def add(
    counting: Counting, session_id: str, seed: int, ticks: int = 120, **fields: Any
) -> tuple[RandomMatch, list[bytes]]:
    match, segments = played(seed, ticks)
    await add_session(counting.raw, row_of(session_id, match, **fields))
    await add_segments(counting.raw, session_id, segments)
    return match, segments


def story_of(session_id: str, match: RandomMatch, segments: list[bytes]) -> Story:
    story = Story(row_of(session_id, match), RULES)
    story.feed(b"".join(segments))
    return story


async def assert_counted(
    counting: Counting, session_id: str, match: RandomMatch, segments: list[bytes]
) -> None:
    """Rows and events of a session are those of its whole journal, each once and in order."""
    story = story_of(session_id, match, segments)
    async with counting.database.connection() as connection:
        found = await StatisticsStore().session(connection, session_id)
    assert found is not None
    assert found[0] == story.sequence == match.arena.sequence
    assert list(found[1]) == sorted(story.players(), key=lambda player: player.player_id)
    told = story.take_events()
    rows = await counting.raw.fetch(
        "SELECT topic, envelope FROM gameplay.outbox WHERE subject = $1 ORDER BY xid, id", session_id
    )
    for topic in {each.topic for each in told}:
        assert [Envelope.FromString(row["envelope"]) for row in rows if row["topic"] == topic] == [
            each.envelope for each in told if each.topic == topic
        ]
    assert len(rows) == len(told) > 0


async def test_everything_is_counted_and_told(counting: Counting) -> None:
    matches = {f"s{seed}": await add(counting, f"s{seed}", seed) for seed in range(4)}
    assert await counting.all() == sum(match.arena.sequence for match, _ in matches.values())
    for session_id, (match, segments) in matches.items():
        await assert_counted(counting, session_id, match, segments)
    assert await counting.all() == 0


async def test_counts_equal_the_arenas_own_and_a_plain_recount(counting: Counting) -> None:
    match, segments = await add(counting, "one", 2)
    await counting.all()
    answer = await Statistics(counting.database).session("one")
    assert answer.journal_sequence == match.arena.sequence
    found = {p.player_id: (p.kills, p.deaths, p.assists, p.damage_dealt_milli) for p in answer.players}
    assert found == {row[1]: row[3:] for row in match.arena.results()}
    twin = Twin(len(RULES.weapon_names))
    for segment in segments:
        twin.feed(segment)
    recounted: dict[str, Any] = {str(row["player_id"]): row for row in twin.players()}
    for player in answer.players:
        row = recounted.pop(player.player_id)
        for field, value in player.ListFields():
            if field.name not in ("weapons", "regions"):
                assert row[field.name] == value, field.name
        assert [(w.weapon, w.shots, w.hits, w.kills) for w in player.weapons] == [
            tuple(weapon.values()) for weapon in row["weapons"]
        ]
        assert [w.name for w in player.weapons] == [RULES.weapon_names[w.weapon] for w in player.weapons]
        assert [(r.region, r.hits) for r in player.regions] == [
            tuple(each.values()) for each in row["regions"]
        ]
    assert not recounted


async def test_seats_are_those_of_the_records(counting: Counting) -> None:
    _, segments = await add(counting, "one", 3, ticks=400)
    await counting.all()
    seats: dict[int, list[Any]] = {}
    wanted = []
    for record in journal_pb2.JournalSegment.FromString(b"".join(segments)).records:
        if record.HasField("join"):
            join = record.join
            seats[join.slot] = [
                "one",
                join.slot,
                join.player_id,
                max(join.given_team - 1, 0),
                record.sequence,
                None,
            ]
            wanted.append(seats[join.slot])
        elif record.HasField("leave"):
            seats[record.leave.slot][5] = record.sequence
    assert [list(row) for row in (await counting.rows())["seats"]] == wanted
    assert any(seat[5] for seat in wanted)


async def test_a_player_over_several_sessions(counting: Counting) -> None:
    stories = [story_of(f"s{seed}", *await add(counting, f"s{seed}", seed)) for seed in range(3)]
    await counting.all()
    mine = [player for story in stories for player in story.players() if player.player_id == "p1"]
    answer = await Statistics(counting.database).player("p1")
    stats = answer.stats
    assert (answer.sessions, stats.player_id) == (len(mine), "p1")
    assert stats.kills == sum(each.kills for each in mine)
    assert stats.time_alive_us == sum(each.time_alive_us for each in mine)
    assert stats.best_streak == max(each.best_streak for each in mine)
    assert stats.longest_kill_mm == max(each.longest_kill_mm for each in mine)
    names = {name for each in mine for name in each.weapons}
    assert {w.name: (w.weapon, w.shots, w.hits, w.kills) for w in stats.weapons} == {
        name: (
            0,
            sum(each.weapons[name].shots for each in mine if name in each.weapons),
            sum(each.weapons[name].hits for each in mine if name in each.weapons),
            sum(each.weapons[name].kills for each in mine if name in each.weapons),
        )
        for name in names
    }
    rewinds = sorted(us for each in mine for us, n in enumerate(each.rewind_bins) for _ in range(n))
    assert stats.rewind_p50_us == 1000 * rewinds[(len(rewinds) + 1) // 2 - 1]
    nobody = await Statistics(counting.database).player("nobody")
    assert (nobody.sessions, nobody.stats.player_id, nobody.stats.shots) == (0, "nobody", 0)


async def test_a_session_without_records_and_one_that_is_not(counting: Counting) -> None:
    await add_session(counting.raw, session_row("fresh"))
    assert await counting.all() == 0
    answer = await Statistics(counting.database).session("fresh")
    assert (list(answer.players), answer.journal_sequence) == ([], 0)
    with pytest.raises(NotFound) as caught:
        await Statistics(counting.database).session("none")
    assert caught.value.reason == "SESSION_NOT_FOUND"


async def test_a_live_session_is_counted_as_it_goes(counting: Counting) -> None:
    match, segments = played(1)
    await add_session(counting.raw, row_of("live", match))
    for number, segment in enumerate(segments):
        last = await add_segments(counting.raw, "live", [segment])
        await counting.all()
        answer = await Statistics(counting.database).session("live")
        assert answer.journal_sequence == last, number
    await assert_counted(counting, "live", match, segments)


async def test_a_step_is_bounded_by_segments_and_by_size(counting: Counting) -> None:
    match, segments = await add(counting, "one", 1)
    last = [journal_pb2.JournalSegment.FromString(each).records[-1].sequence for each in segments]

    async def stepped(segments: int, size: int) -> int:
        limits = ProjectionLimits(
            poll_s=1, sessions=1, parallel=1, share=1, rest_s=0, segments=segments, size=size, retry_s=60
        )
        catalogue, outbox = load_catalogue(DATA), Outbox(SCHEMA)
        await Projector(counting.database, counting.journal, catalogue, outbox, limits).turn()
        return int(await counting.raw.fetchval("SELECT sequence FROM gameplay.combat_projections"))

    sizes = [len(segment) for segment in segments]
    assert await stepped(2, 1 << 20) == last[1]
    assert await stepped(9, sizes[2] + sizes[3]) == last[3]
    assert await stepped(9, sizes[4] + sizes[5] - 1) == last[4]
    assert await stepped(9, 1) == last[5]
    await counting.all()
    await assert_counted(counting, "one", match, segments)


async def test_what_is_over_and_counted_is_set_aside(counting: Counting) -> None:
    await add(counting, "live", 1)
    await add(counting, "over", 2, status=SessionStatus.ENDED)
    await add_session(counting.raw, session_row("aborted", status=SessionStatus.ABORTED))
    await counting.all()
    rows = await counting.raw.fetch("SELECT id, projected FROM gameplay.combat_sessions")
    assert dict(map(tuple, rows)) == {"live": False, "over": True, "aborted": True}


async def test_two_at_once_count_once(counting: Counting) -> None:
    matches = {f"s{seed}": await add(counting, f"s{seed}", seed) for seed in range(3)}
    other = projector(counting.database, counting.journal, segments=2)
    for _ in range(40):
        await asyncio.gather(counting.projector.turn(), other.turn())
    for session_id, (match, segments) in matches.items():
        await assert_counted(counting, session_id, match, segments)


async def test_damage_parks_its_session_alone(counting: Counting) -> None:
    match, segments = await add(counting, "good", 1)
    _, others = await add(counting, "bad", 2)
    await add_session(counting.raw, session_row("odd", ruleset_version=99))
    await add_segments(counting.raw, "odd", others)
    last = [journal_pb2.JournalSegment.FromString(each).records[-1].sequence for each in others]
    broken = bytearray(others[4])
    broken[len(broken) // 2] ^= 1
    await counting.raw.execute(
        "UPDATE gameplay.combat_segments SET payload = $1 WHERE session_id = 'bad' AND last_sequence = $2",
        bytes(broken),
        last[4],
    )
    await counting.all()
    await assert_counted(counting, "good", match, segments)
    parked = await counting.raw.fetch(
        "SELECT session_id, sequence, error FROM gameplay.combat_projections"
        " WHERE parked_at IS NOT NULL ORDER BY session_id"
    )
    assert [(row["session_id"], row["sequence"]) for row in parked] == [("bad", last[3]), ("odd", 0)]
    assert "damaged" in parked[0]["error"]
    assert "default-99 is not known" in parked[1]["error"]
    # Repaired, it goes on where it stood.
    await counting.raw.execute(
        "UPDATE gameplay.combat_segments SET payload = $1 WHERE session_id = 'bad' AND last_sequence = $2",
        others[4],
        last[4],
    )
    assert await counting.all() == 0
    await counting.recount.rebuild("bad")
    await counting.all()
    bad = RandomMatch(2, RULES)
    bad.play(120)
    bad.arena.end(bad.now, event_pb2.END_REASON_REQUESTED)
    await assert_counted(counting, "bad", bad, others)


async def test_what_the_database_refuses_parks_its_session_alone(counting: Counting) -> None:
    bad = await add(counting, "bad", 2)
    good = await add(counting, "good", 1)
    await counting.raw.execute("ALTER TABLE gameplay.combat_seats ADD CHECK (session_id <> 'bad')")
    await counting.all()
    await assert_counted(counting, "good", *good)
    row = await counting.raw.fetchrow("SELECT * FROM gameplay.combat_projections WHERE session_id = 'bad'")
    assert row is not None and row["sequence"] == 0
    assert "combat_seats" in row["error"]
    await counting.raw.execute(
        "ALTER TABLE gameplay.combat_seats DROP CONSTRAINT combat_seats_session_id_check"
    )
    impatient = projector(counting.database, counting.journal, retry_s=0)
    while await impatient.turn():
        pass
    await assert_counted(counting, "bad", *bad)


async def test_a_parked_session_is_tried_again(counting: Counting) -> None:
    match, segments = played(1)
    await add_session(counting.raw, row_of("gap", match))
    await add_segments(counting.raw, "gap", segments)
    await counting.raw.execute("UPDATE gameplay.combat_segments SET checksum = checksum # 1")
    await counting.all()
    await counting.raw.execute("UPDATE gameplay.combat_segments SET checksum = checksum # 1")
    assert await counting.all() == 0
    impatient = projector(counting.database, counting.journal, retry_s=0)
    while await impatient.turn():
        pass
    await assert_counted(counting, "gap", match, segments)


async def test_a_rebuild_gives_the_same_rows_and_tells_nothing(counting: Counting) -> None:
    for seed in range(3):
        await add(counting, f"s{seed}", seed)
    await counting.all()
    before = await counting.rows()
    await counting.raw.execute("UPDATE gameplay.combat_player_stats SET kills = kills + 1, weapons = '{}'")
    await counting.raw.execute("DELETE FROM gameplay.combat_seats WHERE slot < 4")
    await counting.raw.execute("DELETE FROM gameplay.combat_player_stats WHERE session_id = 's2'")
    assert await counting.recount.rebuild_all() == 3
    assert await counting.rows() == before
    with pytest.raises(NotFound):
        await counting.recount.rebuild("none")


async def test_a_rebuild_in_the_middle_goes_on_as_if_it_had_not_been(counting: Counting) -> None:
    match, segments = await add(counting, "one", 1)
    await counting.projector.turn()
    middle = await counting.rows()
    await counting.raw.execute("DELETE FROM gameplay.combat_player_stats")
    assert 0 < await counting.recount.rebuild("one") < match.arena.sequence
    assert await counting.rows() == middle
    await counting.all()
    await assert_counted(counting, "one", match, segments)


async def test_a_rebuild_without_the_journal_leaves_everything(counting: Counting) -> None:
    await add(counting, "one", 1)
    await counting.all()
    before = await counting.rows()
    await counting.raw.execute("DELETE FROM gameplay.combat_segments WHERE first_sequence = 1")
    with pytest.raises(DataLoss):
        await counting.recount.rebuild("one")
    assert await counting.recount.rebuild_all() == 0
    assert await counting.rows() == before


@pytest.mark.parametrize(
    "older",
    [
        "tally = '\\x00'",
        # Seconds told in a count less.
        """story = jsonb_set(
            story, '{told}', (SELECT jsonb_object_agg(key, value - 0) FROM jsonb_each(story -> 'told'))
        )""",
        # Seats as objects, by slot.
        """story = jsonb_set(story, '{seats}', (
            SELECT jsonb_object_agg(seat ->> 0, jsonb_build_object('slot', seat -> 0, 'player_id', seat -> 1))
            FROM jsonb_array_elements(story -> 'seats') AS seat
        ))""",
    ],
)
async def test_a_checkpoint_of_another_build_is_counted_again(counting: Counting, older: str) -> None:
    match, segments = await add(counting, "one", 1)
    for _ in range(5):  # beyond the first second
        await counting.projector.turn()
    await counting.raw.execute(f"UPDATE gameplay.combat_projections SET {older}")
    await counting.all()
    await assert_counted(counting, "one", match, segments)

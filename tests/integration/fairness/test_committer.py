"""Committers on real PostgreSQL: everything counts once, whoever hears it, however often and in whatever
order."""

import asyncio
import itertools
import json
import random
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.chassis import clock
from services.chassis.db import Database
from services.chassis.errors import Conflict, FailedPrecondition
from services.fairness.batch import observed
from services.fairness.domain.evidence import replay
from services.fairness.domain.finding import Reading
from services.fairness.domain.flag import Verdict
from services.fairness.domain.player import MOST_COUNTED
from services.fairness.peer_book import PeerBook
from tests.support import judged
from tests.support.judged import block, decide, define, judge, rows, told


async def flag_id(database: Database, player_id: str = "p") -> str:
    [row] = await rows(database, "SELECT id FROM fairness.flags WHERE player_id = $1", player_id)
    return str(row["id"])


async def test_a_finding_is_kept_with_all_that_follows(database: Database, database_url: str) -> None:
    await define(database, boards=["kills"])
    async with judge(database_url) as one:
        for n in range(3):
            await one.hear(f"e{n}", value=5)
    [flag] = await rows(database, "SELECT * FROM fairness.flags")
    assert (flag["state"], flag["mode"], flag["occurrences"]) == ("open", "block", 1)
    assert [type_ for type_, _, _ in await told(database)] == [
        "fairness.flag_opened",
        "fairness.standing_changed",
        "fairness.scores_changed",
    ]
    _, (_, _, stands), (_, _, scores) = await told(database)
    assert (stands.state, stands.reason) == ("blocked", "Too much.")
    [hidden] = scores.hidden
    [first] = await rows(database, "SELECT at FROM fairness.observations WHERE number = 1")
    assert (hidden.board, hidden.since.ToDatetime(first["at"].tzinfo)) == ("kills", first["at"])
    [row] = await rows(database, "SELECT * FROM fairness.records")
    assert (row["observations"], row["flags"]) == (3, 1)
    await judged.check(database)


async def test_events_that_come_again_change_nothing(database: Database, database_url: str) -> None:
    await define(database)
    at = clock.now()
    events = [(f"e{n}", f"p{n % 3}", n % 5) for n in range(40)]
    async with judge(database_url) as one, judge(database_url) as other:
        for event, player_id, value in events:
            await one.hear(event, player_id, value=value, at=at)
        before = await judged.everything(database)
        again = events * 2
        random.Random(1).shuffle(again)
        servers = itertools.cycle([one, other])
        await asyncio.gather(
            *(next(servers).hear(event, who, value=value, at=at) for event, who, value in again)
        )
    assert await judged.everything(database) == before
    await judged.check(database)


async def test_two_processes_count_each_event_of_the_same_players_once(
    database: Database, database_url: str
) -> None:
    """Both hear every event at once; players are created, flags raised and values counted meanwhile."""
    await define(database)
    outlier = {"threshold_milli": "3500", "least_peers": "10", "least_scale": "1", "days": 2}
    await define(database, "far", outlier=outlier, mode="DETECTOR_MODE_SHADOW")
    await define(database, "any", bound={"most": "40", "per": "600s"}, mode="DETECTOR_MODE_FLAG")
    events = [f"e{n}" for n in range(150)]
    async with judge(database_url, batch=16) as one, judge(database_url, batch=16) as other:

        async def send(seed: int) -> None:
            server, mine = (one, other)[seed % 2], list(events)
            ones: dict[str, Any] = {"much": Reading(1), "any": Reading(1)}
            random.Random(seed).shuffle(mine)
            await asyncio.gather(
                *(server.hear(event, "p", "q", far=Reading(len(event)), **ones) for event in mine)
            )

        await asyncio.gather(*map(send, range(4)))
    players = await rows(database, "SELECT player_id, observed FROM fairness.players ORDER BY 1")
    assert [tuple(row.values()) for row in players] == [("p", 150), ("q", 150)]
    assert len(await rows(database, "SELECT FROM fairness.inbox")) == 150
    flags = await rows(database, "SELECT player_id, detector_id FROM fairness.flags ORDER BY 1, 2")
    assert [tuple(row.values()) for row in flags] == [
        (player_id, detector_id) for player_id in "pq" for detector_id in ("any", "much")
    ]
    assert all(replay(each).same for each in await judged.evidence(database))
    [counted] = await rows(database, "SELECT sum(n)::bigint AS n FROM fairness.peers")
    assert counted["n"] == 2 * MOST_COUNTED
    await judged.check(database)


async def test_evidence_is_of_what_is_stored_and_what_is_being_written(
    database: Database, database_url: str
) -> None:
    await define(database)
    await define(database, "ratio", ratio=RATIO, signals=[AIM], mode="DETECTOR_MODE_SHADOW")
    async with judge(database_url) as one:
        for n in range(4):
            await one.hear(f"stored{n}", value=2)
            await one.hear(f"other{n}", ratio=Reading(0, 1))
        # These are one transaction: the first waits for nobody, the others for it.
        await asyncio.gather(
            one.hear("alone", "q"),
            one.hear("batch0", much=Reading(1), ratio=Reading(1, 1)),
            one.hear("batch1", ratio=Reading(8, 8)),
            one.hear("batch2", much=Reading(2)),
            one.hear("batch3", much=Reading(2)),
        )
    found = {each.detector.id: each for each in await judged.evidence(database)}
    assert [each.event for each in found["much"].inputs] == [
        *(f"stored{n}" for n in range(4)),
        "batch0",
        "batch2",
    ]
    assert [each.event for each in found["ratio"].inputs] == ["batch0", "batch1"]
    for each in found.values():
        replayed = replay(each)
        assert replayed.same and replayed.intact
    await judged.check(database)


RATIO = {"honest_milli": "300", "cheat_milli": "900", "threshold_milli": "5000"}
AIM = {"event": "combat.player_summary", "player": "player_id", "value": "headshots", "of": "hits"}


async def test_an_answer_with_a_key_is_given_again(database: Database, database_url: str) -> None:
    async with judge(database_url) as one, judge(database_url) as other:
        answers = await asyncio.gather(
            *(server.run(block("p", key="k")) for server in (one, other) for _ in range(3))
        )
        assert set(answers) == {b"1"}
        with pytest.raises(FailedPrecondition) as caught:
            await one.run(block("q", key="k"))
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(await rows(database, "SELECT FROM fairness.sanctions")) == 1
    await judged.check(database)


async def test_one_of_many_decides(database: Database, database_url: str) -> None:
    await define(database)
    async with judge(database_url) as one, judge(database_url) as other:
        await one.hear("e", value=11)
        flag = await flag_id(database)
        commands = [decide("p", flag, verdict) for verdict in Verdict] * 4
        servers = itertools.cycle([one, other])
        outcomes = await asyncio.gather(
            *(next(servers).run(each) for each in commands), return_exceptions=True
        )
    answers = [each for each in outcomes if isinstance(each, bytes)]
    errors = [each for each in outcomes if isinstance(each, FailedPrecondition)]
    assert (len(answers), len(errors)) == (1, 7)
    assert {each.reason for each in errors} == {"FLAG_DECIDED"}
    await judged.check(database)


async def test_a_dismissed_finding_is_undone(database: Database, database_url: str) -> None:
    await define(database)
    async with judge(database_url) as one:
        await one.hear("e", value=11)
        assert await one.run(decide("p", await flag_id(database))) == b"DISMISSED"
    changes = [(type_, message) for type_, _, message in await told(database)]
    (_, decided), (_, stands), (_, scores) = changes[-3:]
    assert (decided.state, stands.state, list(scores.hidden)) == ("dismissed", "good", [])
    assert len(await rows(database, "SELECT FROM fairness.sanctions WHERE ended_at IS NULL")) == 0
    await judged.check(database)


async def test_readings_of_other_detectors_are_refused(database: Database, database_url: str) -> None:
    await define(database)
    async with judge(database_url) as one:
        before = one.store.known
        await define(database, bound={"most": "5", "per": "60s"})
        with pytest.raises(Conflict) as caught:
            await one.run(observed("e", clock.now(), {"p": {"much": Reading(6)}}, before))
        assert caught.value.reason == "DETECTORS_CHANGED"
        # Read again by what is known by now, it counts, and by the new rule.
        await one.hear("e", value=6)
    [flag] = await rows(database, "SELECT detector_version, rule_version FROM fairness.flags")
    assert tuple(flag.values()) == (2, 2)
    await judged.check(database)


async def test_who_fails_leaves_the_others_alone(database: Database, database_url: str) -> None:
    await define(database)
    async with judge(database_url) as one:
        outcomes = await asyncio.gather(
            one.hear("e1"),
            one.run(decide("p", "f-0")),
            one.hear("e2"),
            one.hear("x" * 300),
            one.hear("e3"),
            return_exceptions=True,
        )
    assert [isinstance(each, bytes) for each in outcomes] == [True, False, True, False, True]
    [row] = await rows(database, "SELECT observed FROM fairness.players")
    assert row["observed"] == 3
    await judged.check(database)


async def test_values_of_peers_are_counted_and_compared_with(database: Database, database_url: str) -> None:
    outlier = {"threshold_milli": "3500", "least_peers": "10", "least_scale": "1", "days": 2}
    await define(database, "far", outlier=outlier, mode="DETECTOR_MODE_FLAG")
    async with judge(database_url) as one, judge(database_url) as other:
        for n in range(30):
            await (one, other)[n % 2].hear(f"e{n}", f"p{n % 3}", far=Reading(100 + n % 4, 0, "kills"))
        await one.hear("early", "q", far=Reading(10_000, 0, "kills"))
        assert not await rows(database, "SELECT FROM fairness.flags")
        book = PeerBook(database, one.store, every_s=1)
        await book.read()
        peers = book.peers(one.store.known.detectors["far"], "kills")
        assert peers is not None
        assert (peers.observations, peers.median) == (31, 101)
        assert book.peers(one.store.known.detectors["far"], "wins") is None
    async with judge(database_url, book.peers) as one:
        await one.hear("late", "q", far=Reading(10_000, 0, "kills"))
    [found] = await judged.evidence(database)
    assert (found.peers, replay(found).same) == (peers, True)
    # Two days are over.
    await database.transaction(
        lambda connection: connection.execute("UPDATE fairness.peers SET day = day - 2")
    )
    await book.read()
    assert book.peers(one.store.known.detectors["far"], "kills") is None
    await judged.check(database)


@pytest.mark.parametrize("table", ["audit", "evidence", "detectors"])
async def test_what_was_written_stays(table: str, database: Database, database_url: str) -> None:
    await define(database)
    async with judge(database_url) as one:
        await one.hear("e", value=11)
    column = {"audit": "actor", "evidence": "evidence", "detectors": "version"}[table]
    for statement in (
        f"UPDATE fairness.{table} SET {column} = {column}",
        f"DELETE FROM fairness.{table}",
        f"TRUNCATE fairness.{table} CASCADE",
    ):
        async with database.connection() as connection:
            with pytest.raises(asyncpg.RaiseError, match="stays as it is"):
                await connection.execute(statement)
    assert await rows(database, f"SELECT FROM fairness.{table}")
    await judged.check(database)


async def test_each_line_of_the_log_is_printed_when_it_is_committed(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await define(database)
    async with judge(database_url) as one:
        await one.hear("e", value=11)
        await one.run(block("q", clock.now() + timedelta(hours=1)))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kept = await rows(database, "SELECT * FROM fairness.audit ORDER BY sequence")
    assert [
        (it["sequence"], it["audit"], it["actor"], it["player_id"], it["details"], it["hash"]) for it in lines
    ] == [
        (it["sequence"], it["action"], it["actor"], it["player_id"], it["details"], it["hash"].hex())
        for it in kept
    ]
    assert [it["audit"] for it in lines] == ["flag.opened", *["sanction.began"] * 3]

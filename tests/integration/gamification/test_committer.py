"""The committer: what comes twice, at once, or goes wrong, has one effect or none, and is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from services.chassis.db import Database
from services.chassis.errors import FailedPrecondition, Unavailable
from services.chassis.idempotency import IdempotencyKey
from services.gamification.batch import Command, Turn
from services.gamification.committer import Committer
from services.gamification.domain.events import QuestStarted
from services.gamification.domain.player import Accumulator, AccumulatorKey, Draft
from tests.support.committers import check, committer

KEY = AccumulatorKey("", "kills", "ever", datetime(1970, 1, 1, tzinfo=UTC))


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Committer]:
    async with committer(database_url) as running:
        yield running


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Committer]:
    """Another process's."""
    async with committer(database_url) as running:
        yield running


@dataclass(frozen=True)
class Request:
    """Kills of a user. `key`, `event`, `record`: as in Command. `say`: the user is told."""

    user_id: str
    kills: int = 1
    key: str = ""
    event: str = ""
    record: str = ""
    say: bool = False

    def command(self) -> Command:
        """It answers with the sum; above a million kills it is refused."""
        key = IdempotencyKey("test", self.key, repr(self).encode()) if self.key else None
        records = (self.record,) if self.record else ()
        return Command(
            (self.user_id,), self._decide, "service:test", key=key, event=self.event, records=records
        )

    def _decide(self, turn: Turn) -> bytes:
        if self.record and not turn.first(self.record):
            return b"again"
        draft = turn.player(self.user_id)
        total = kill(draft, self.kills, turn.now)
        if self.say:
            draft.happened.append(QuestStarted("hunt", "Hunt", total, 1, self.event))
        if total > 1_000_000:
            raise FailedPrecondition("Too many kills.", reason="TOO_MANY")
        return str(total).encode()


def kill(draft: Draft, kills: int, now: datetime) -> int:
    old = draft.accumulators.get(KEY)
    total = (old.sum if old else 0) + kills
    count = (old.count if old else 0) + 1
    draft.accumulators[KEY] = Accumulator(count, total, kills, kills, kills, now, "e")
    return total


async def ask(running: Committer, *requests: Request) -> list[bytes | BaseException]:
    """All at the same time, so that they wait together."""
    calls = (running.run(request.command()) for request in requests)
    return await asyncio.gather(*calls, return_exceptions=True)


async def value(database: Database, query: str, *arguments: object) -> Any:
    async with database.connection() as connection:
        return await connection.fetchval(query, *arguments)


async def kills(database: Database, user_id: str) -> int:
    query = "SELECT sum FROM gamification.accumulators WHERE user_id = $1"
    return int(await value(database, query, user_id) or 0)


def reason(outcome: bytes | BaseException) -> str:
    assert isinstance(outcome, FailedPrecondition | Unavailable), outcome
    return outcome.reason


# -- one batch ------------------------------------------------------------------------------------------


async def test_what_waits_together_is_one_transaction_on_what_came_before(
    one: Committer, database: Database
) -> None:
    """And listeners hear of it once, with what is newest."""
    heard: list[tuple[dict[str, int], dict[str, int]]] = []
    one.listeners.append(lambda notified, versions: heard.append((dict(notified), dict(versions))))
    answers = await ask(one, *(Request("ann", 2, say=True) for _ in range(3)), Request("bob", 5))
    assert answers == [b"2", b"4", b"6", b"5"]
    assert heard == [({"ann": 3}, {"ann": 1, "bob": 1})]
    assert await kills(database, "ann") == 6
    assert await value(database, "SELECT count(DISTINCT xmin::text) FROM gamification.accumulators") == 1
    told = (
        "SELECT array_agg(sequence ORDER BY sequence) FROM gamification.notifications WHERE user_id = 'ann'"
    )
    assert await value(database, told) == [1, 2, 3]
    events = "SELECT array_agg(event_id ORDER BY xid, id) FROM gamification.outbox"
    assert await value(database, events) == [f"ann:quest:hunt:{n}:started" for n in (2, 4, 6)]
    counted = "SELECT sum(count) FROM gamification.analytics WHERE subject = $1 AND measure = $2"
    assert await value(database, counted, "players", "count") == 2
    assert await value(database, counted, "quest:hunt", "started") == 3
    await check(database)


async def test_one_that_fails_leaves_the_others_alone(one: Committer, database: Database) -> None:
    """Whatever it fails with: its rule, a fault in it, or a database that cannot take what it decided."""

    def fault(turn: Turn) -> bytes:
        kill(turn.player("ann"), 5, turn.now)
        raise ZeroDivisionError

    def refused(turn: Turn) -> bytes:
        turn.player("ann").accumulators[KEY._replace(metric="no \0 in texts")] = Accumulator(
            1, 1, 1, 1, 1, turn.now, "e"
        )
        return b"?"

    def foreign(turn: Turn) -> bytes:
        kill(turn.player("ann"), 5, turn.now)
        kill(turn.player("bob"), 5, turn.now)
        return b"?"

    bad = [
        replace(Request("ann", key=name).command(), decide=decide)
        for name, decide in {"fault": fault, "refused": refused, "foreign": foreign}.items()
    ]
    good = [Request(f"p{n}", n + 1, key=f"k{n}").command() for n in range(9)]
    too_many = Request("ann", 10**9, key="many", record="r").command()
    outcomes = await asyncio.gather(
        *map(one.run, [*good[:3], *bad, too_many, *good[3:]]), return_exceptions=True
    )
    assert [each for each in outcomes if isinstance(each, bytes)] == [b"%d" % (n + 1) for n in range(9)]
    assert [type(each) for each in outcomes[3:7]] == [
        ZeroDivisionError,
        asyncpg.CharacterNotInRepertoireError,
        LookupError,
        FailedPrecondition,
    ]
    assert await value(database, "SELECT count(*) FROM gamification.idempotency_keys") == 9
    assert await value(database, "SELECT count(*) FROM gamification.players") == 9
    assert await ask(one, Request("ann", 7, record="r")) == [b"7"]
    await check(database)


async def test_a_batch_is_five_round_trips(one: Committer, database: Database) -> None:
    """BEGIN and COMMIT among them; one more when players have to be read. However many commands."""
    sent: list[str] = []
    requests = [Request(f"c{n}", key=f"k{n}", event=f"e{n}", record=f"r{n}") for n in range(200)]
    await ask(one, Request("c0", key="first", event="first", record="first"))
    async with one._database.connection() as connection:
        connection.add_query_logger(lambda record: sent.append(record.query))
    await ask(one, *requests)
    assert (len(sent), sent[0], sent[-1]) == (5, "BEGIN;", "COMMIT;")
    assert await value(database, "SELECT count(*) FROM gamification.players") == 200
    sent.clear()
    one._memory = type(one._memory)(1000)
    await ask(one, *(replace(each, key="", event="", record="") for each in requests))
    assert len(sent) == 6
    sent.clear()
    assert await ask(one, Request("c0", key="last")) == [b"4"]
    assert len(sent) == 5


async def test_every_statement_finds_its_rows_by_key(one: Committer) -> None:
    """However many rows there are of others: no whole table, and no whole index, is ever read."""
    statements = one._store._sql
    async with one._database.connection() as connection:
        for name, text in statements.items():
            prepared = await connection.prepare(text)
            nulls = ", ".join("NULL" for _ in prepared.get_parameters())
            await connection.execute(f"PREPARE looked_at AS {text}")
            plan = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE looked_at({nulls})")
            await connection.execute("DEALLOCATE looked_at")
            lines = [row[0].strip() for row in plan]
            # But for the one row that has the revision.
            whole = [line for line in lines if "Seq Scan" in line and "definitions_revision" not in line]
            whole += [line for line in lines if "Filter:" in line or "Hash Join" in line or "Merge" in line]
            whole += [
                line
                for line, condition in pairwise([*lines, ""])
                if " Scan using " in line and not condition.startswith("Index Cond:")
            ]
            assert not whole, (name, whole)


# -- repetitions ----------------------------------------------------------------------------------------


async def test_a_key_has_one_effect_and_one_answer(
    one: Committer, two: Committer, database: Database
) -> None:
    """In one batch, in later ones, in another process."""
    request = Request("ann", 100, key="k")
    assert await ask(one, request, request, request) == [b"100"] * 3
    assert await ask(one, Request("ann", 5), request) == [b"105", b"100"]
    assert await ask(two, request, Request("ann", 5)) == [b"100", b"110"]
    assert await kills(database, "ann") == 110


async def test_a_key_with_another_request(one: Committer, two: Committer, database: Database) -> None:
    request, other = Request("ann", 100, key="k"), Request("bob", 100, key="k")
    first = await ask(one, request, other)
    again = await ask(two, other, request)
    assert [reason(first[1]), reason(again[0])] == ["IDEMPOTENCY_KEY_REUSED"] * 2
    assert [first[0], again[1]] == [b"100"] * 2
    assert await kills(database, "bob") == 0


async def test_an_event_and_a_record_count_once(one: Committer, two: Committer, database: Database) -> None:
    """In one batch, in later ones, in another process; and one that was refused is still new."""
    event, record = Request("ann", 100, event="e-1"), Request("ann", 1, record="r-1")
    assert await ask(one, event, event, record, record) == [b"100", b"", b"101", b"again"]
    assert await ask(one, event, record) == await ask(two, event, record) == [b"", b"again"]
    many = Request("ann", 10**6, event="e-2", record="r-2")
    assert reason((await ask(one, many))[0]) == "TOO_MANY"
    assert await ask(two, Request("ann", -200), many) == [b"-99", b"999901"]
    assert await ask(one, many, replace(many, event="e-3")) == [b"", b"again"]


# -- several processes ----------------------------------------------------------------------------------


async def test_what_another_process_changed_is_read_again(one: Committer, two: Committer) -> None:
    for turn in range(6):
        running = (one, two)[turn % 2]
        assert await ask(running, Request("ann", 1), Request("bob", 10)) == [
            b"%d" % (turn + 1),
            b"%d" % (10 * (turn + 1)),
        ]


async def test_what_a_failed_batch_made_of_a_player_is_forgotten(
    one: Committer, two: Committer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when another process then gives the player the very version that the failed one would have had."""
    assert await ask(one, Request("ann", 1)) == [b"1"]
    real = one._store.writing

    def broken(*arguments: Any) -> Any:
        real(*arguments)
        raise Unavailable("No.", reason="TEST", retry_after_s=1)

    with monkeypatch.context() as patched:
        patched.setattr(one._store, "writing", broken)
        assert reason((await ask(one, Request("ann", 50)))[0]) == "TEST"
    assert await ask(two, Request("ann", 1)) == [b"2"]
    assert await ask(one, Request("ann", 1)) == [b"3"]

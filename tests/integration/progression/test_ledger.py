"""The ledger: what comes twice, at once, or goes wrong, has one effect or none, and is remembered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.db import Database, DatabaseUnavailable
from services.chassis.errors import FailedPrecondition, NotFound, Overloaded, Unavailable
from services.chassis.metrics import DATABASE_RETRIES, PROGRESSION_LEDGER_RERUNS
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character, applied
from services.progression.domain.events import Event
from services.progression.ledger import Command, Ledger
from tests.support.ledgers import Request, check, definitions, ledger


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Ledger]:
    async with ledger(database_url) as running:
        yield running


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Ledger]:
    """Another process's."""
    async with ledger(database_url) as running:
        yield running


async def ask(running: Ledger, *requests: Request) -> list[bytes | BaseException]:
    """All at the same time, so that they wait together."""
    calls = (running.run(request.command()) for request in requests)
    return await asyncio.gather(*calls, return_exceptions=True)


async def value(database: Database, query: str, *arguments: object) -> Any:
    async with database.connection() as connection:
        return await connection.fetchval(query, *arguments)


async def experience(database: Database, character_id: str) -> int:
    """As the projections have it."""
    total = await value(
        database,
        "SELECT c.base_experience + p.experience FROM progression.characters c "
        "JOIN progression.paragon_levels p USING (character_id) WHERE character_id = $1",
        character_id,
    )
    return int(total or 0)


def reason(outcome: bytes | BaseException) -> str:
    assert isinstance(outcome, FailedPrecondition | Unavailable), outcome
    return outcome.reason


# -- one batch ------------------------------------------------------------------------------------------


async def test_what_waits_together_is_one_transaction_on_what_came_before(
    one: Ledger, database: Database
) -> None:
    """Also far beyond 64 bits, and the listener and the outbox hear of it."""
    heard: list[Mapping[str, Character]] = []
    one.listeners.append(heard.append)
    awards = [Request("ann", experience=10**30 + n, mastery=500) for n in range(3)]
    answers = await ask(one, *awards, Request("ann", "points", points=7), Request("bob", experience=150))
    assert answers == [b"2 2", b"3 1", b"4 1", b"5 1", b"2 2"]
    assert await experience(database, "ann") == 3 * 10**30 + 3

    [characters] = heard
    assert {name: each.version for name, each in characters.items()} == {"ann": 5, "bob": 2}
    appended = (
        "SELECT array_agg(stream_id || version ORDER BY stream_id, version) FROM progression.event_store"
    )
    assert await value(database, appended) == ["ann1", "ann2", "ann3", "ann4", "ann5", "bob1", "bob2"]
    transactions = "SELECT count(DISTINCT xmin::text) FROM progression.event_store"
    assert await value(database, transactions) == 1
    told = "SELECT count(*) FROM progression.outbox WHERE event_id LIKE '%experience_awarded'"
    assert await value(database, told) == 4
    await check(database)


async def test_one_that_fails_leaves_the_others_alone(one: Ledger, database: Database) -> None:
    """Whatever it fails with: its rule, a fault in it, or a database that cannot take what it decided."""
    await ask(one, Request("ann", experience=200_000))

    def fault(_characters: Mapping[str, Character | None], _now: datetime) -> Sequence[tuple[str, Event]]:
        raise ZeroDivisionError

    def refused(characters: Mapping[str, Character | None], _now: datetime) -> Sequence[tuple[str, Event]]:
        given = Award("ann", "", "no \0 in texts", 5)
        return [("ann", event) for event in award(definitions().active, characters["ann"], given)]

    def foreign(characters: Mapping[str, Character | None], _now: datetime) -> Sequence[tuple[str, Event]]:
        given = Award("bob", "", "not asked for", 5)
        return [("bob", event) for event in award(definitions().active, None, given)]

    bad = [
        replace(Request("ann").command(), decide=decide, key=Request("ann", key=name).command().key)
        for name, decide in {"fault": fault, "refused": refused, "foreign": foreign}.items()
    ]
    good = [Request(f"p{n}", experience=n + 1, key=f"k{n}").command() for n in range(9)]
    too_many = Request("ann", "points", points=10**6, key="points").command()
    commands = [*good[:3], *bad, too_many, *good[3:]]
    outcomes = await asyncio.gather(*map(one.run, commands), return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, bytes)] == [b"2 2"] * 9
    errors = [type(outcome) for outcome in outcomes[3:7]]
    assert errors == [
        ZeroDivisionError,
        asyncpg.UntranslatableCharacterError,
        LookupError,
        FailedPrecondition,
    ]
    assert await value(database, "SELECT count(*) FROM progression.idempotency_keys") == 9
    assert await experience(database, "ann") == 200_000
    await check(database)


async def test_a_batch_is_six_round_trips(one: Ledger, database: Database) -> None:
    """BEGIN and COMMIT among them; one more when there are events to look up. However many commands."""
    sent: list[str] = []
    requests = [Request(f"c{n}", experience=10**6, mastery=99, key=f"k{n}") for n in range(256)]
    await ask(one, Request("c0", experience=1, mastery=9, key="first"))
    async with one._database.connection() as connection:
        connection.add_query_logger(lambda record: sent.append(record.query))
    await ask(one, *requests)
    assert (len(sent), sent[0], sent[-1]) == (6, "BEGIN;", "COMMIT;")
    assert await value(database, "SELECT count(*) FROM progression.characters") == 256
    sent.clear()
    await ask(one, replace(requests[0], key="", event="e"), replace(requests[1], key="again"))
    assert len(sent) == 7


# -- repetitions ----------------------------------------------------------------------------------------


async def test_a_key_has_one_effect_and_one_answer(one: Ledger, two: Ledger, database: Database) -> None:
    """In one batch, in later ones, in another process."""
    request = Request("ann", experience=100, key="k")
    assert await ask(one, request, request, request) == [b"2 2"] * 3
    assert await ask(one, Request("ann", experience=5), request) == [b"3 1", b"2 2"]
    assert await ask(two, request, Request("ann", experience=5)) == [b"2 2", b"4 1"]
    assert await experience(database, "ann") == 110


async def test_a_key_with_another_request(one: Ledger, two: Ledger, database: Database) -> None:
    request = Request("ann", experience=100, key="k")
    other = Request("bob", experience=100, key="k")
    first = await ask(one, request, other)
    assert first[0] == b"2 2"
    again = await ask(two, other, request)
    assert [reason(first[1]), reason(again[0])] == ["IDEMPOTENCY_KEY_REUSED"] * 2
    assert again[1] == b"2 2"
    assert await experience(database, "bob") == 0


async def test_an_event_is_applied_once(one: Ledger, two: Ledger, database: Database) -> None:
    """In one batch, in later ones, in another process; and one that was refused is still new."""
    before = PROGRESSION_LEDGER_RERUNS.labels("inbox")._value.get()
    event = Request("ann", experience=100, event="e-1")
    assert await ask(one, event, event) == [b"2 2", b""]
    assert await ask(one, event) == await ask(two, event) == [b""]
    early = Request("ann", "points", points=1, event="e-2")
    assert reason((await ask(one, early))[0]) == "POINTS_INSUFFICIENT"
    assert await ask(one, Request("ann", experience=300_000), early) == [b"3 1", b"4 1"]
    assert await ask(two, early) == [b""]
    assert await experience(database, "ann") == 300_100
    assert PROGRESSION_LEDGER_RERUNS.labels("inbox")._value.get() == before


async def test_a_refused_request_does_not_keep_its_key(one: Ledger) -> None:
    points = Request("ann", "points", points=1, key="k")
    await ask(one, Request("ann", experience=1))
    assert reason((await ask(one, points))[0]) == "POINTS_INSUFFICIENT"
    assert await ask(one, Request("ann", experience=300_000), points) == [b"3 1", b"4 1"]


# -- at the same time -----------------------------------------------------------------------------------


def deadlocks() -> float:
    return float(DATABASE_RETRIES.labels("40P01")._value.get())


async def test_32_clients_of_two_processes_repeat_each_other(
    one: Ledger, two: Ledger, database: Database
) -> None:
    """Everybody sends all of the same requests, each in an order of its own, half of them to each process;
    characters begin meanwhile."""
    requests = [
        Request(
            f"c{n % 12}", experience=1000 + n, mastery=1 + n % 3, key="" if n % 3 else f"k{n}", event=f"e{n}"
        )
        for n in range(48)
    ]
    before = deadlocks()
    answers: dict[Request, Counter[bytes | BaseException]] = {request: Counter() for request in requests}

    async def client(number: int) -> None:
        turned = requests[number:] + requests[:number]
        for start in range(0, len(turned), 8):
            some = turned[start : start + 8]
            for request, answer in zip(some, await ask((one, two)[number % 2], *some), strict=True):
                answers[request][answer] += 1

    await asyncio.gather(*map(client, range(32)))
    for request, given_ in answers.items():
        first = [answer for answer in given_ if answer]
        assert len(first) == 1, (request, given_)
        assert given_.total() == 32
    wanted: Counter[str] = Counter()
    for request in requests:
        wanted[request.character_id] += request.experience
    for character_id, total in wanted.items():
        assert await experience(database, character_id) == total
    assert deadlocks() == before
    await check(database)


async def test_two_processes_want_the_same_characters(one: Ledger, two: Ledger, database: Database) -> None:
    """At first they all begin, then they are there. Careless locks would wait for each other."""
    before = deadlocks()
    for turn in range(12):
        requests = [Request(f"c{turn // 6}-{n}", experience=10) for n in range(100)]
        answers = await asyncio.gather(ask(one, *requests), ask(two, *reversed(requests)))
        assert all(isinstance(answer, bytes) for each in answers for answer in each)
    assert await value(database, "SELECT sum(base_experience) FROM progression.characters") == 12 * 2000
    assert deadlocks() == before
    await check(database)


KINDS = st.sampled_from(["award", "award", "award", "points", "respec", "reset"])
REQUESTS = st.builds(
    Request,
    character_id=st.sampled_from(["ann", "bob", "cid", "dan"]),
    kind=KINDS,
    experience=st.sampled_from([0, 1, 99, 146_600, 10**6, 10**9, 10**24]),
    mastery=st.sampled_from([0, 7, 900]),
    points=st.integers(1, 150),
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[int, Request]]]:
    """Rounds of what is asked at the same time: the number of a process, and a request. Some come again."""
    requests = draw(st.lists(REQUESTS, min_size=20, max_size=60))
    how = st.sampled_from(["", "key", "event"])
    requests = [_named(request, draw(how), n) for n, request in enumerate(requests)]
    again = draw(
        st.lists(st.sampled_from([each for each in requests if each.key or each.event] or [requests[0]]))
    )
    asked = draw(st.permutations([*requests, *again]))
    placed = [(draw(st.integers(0, 1)), request) for request in asked]
    size = draw(st.integers(1, 25))
    return [placed[start : start + size] for start in range(0, len(placed), size)]


def _named(request: Request, how: str, number: int) -> Request:
    key = f"k{number}" if how == "key" else ""
    event = f"e{number}" if how == "event" else ""
    return replace(request, key=key, event=event)


async def test_any_history_is_remembered_to_equality(one: Ledger, two: Ledger, database: Database) -> None:
    """Repetitions, refusals and all; and whoever was answered finds it in the events."""
    ledgers = (one, two)
    loop = asyncio.get_running_loop()

    async def played(history: list[list[tuple[int, Request]]]) -> None:
        async with database.connection() as connection:
            await connection.execute(
                "TRUNCATE progression.event_store, progression.idempotency_keys, progression.inbox, "
                "progression.outbox, progression.characters, progression.paragon_levels, "
                "progression.prestige_data, progression.mastery_data, progression.rewards, "
                "progression.level_statistics"
            )
        done: dict[str, set[bytes]] = {}
        events = 0
        for round_ in history:
            calls = (ledgers[process].run(request.command()) for process, request in round_)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for (_, request), answer in zip(round_, answers, strict=True):
                if not isinstance(answer, bytes):
                    assert isinstance(answer, FailedPrecondition | NotFound), answer
                    continue
                seen = done.setdefault(request.key or request.event, set())
                fresh = bool(answer) and (answer not in seen or not (request.key or request.event))
                if request.key or request.event:
                    seen.add(answer)
                if fresh:
                    events += int(answer.split()[1])
        assert all(len(answers - {b""}) <= 1 for name, answers in done.items() if name)
        assert await value(database, "SELECT count(*) FROM progression.event_store") == events
        await check(database)

    def play(history: list[list[tuple[int, Request]]]) -> None:
        asyncio.run_coroutine_threadsafe(played(history), loop).result(60)

    tried = settings(max_examples=12)(given(histories())(play))
    await asyncio.to_thread(tried)


# -- faults ---------------------------------------------------------------------------------------------


async def test_too_many_that_wait_are_turned_away(database_url: str, database: Database) -> None:
    async with ledger(database_url, waiting=5, batch=2) as running:
        outcomes = await ask(running, *(Request(f"c{n}", experience=1) for n in range(20)))
    done = [outcome for outcome in outcomes if isinstance(outcome, bytes)]
    shed = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
    assert len(done) == 5
    assert len(shed) == 15
    assert {(each.reason, bool(each.retry_after_s)) for each in shed} == {("LEDGER_OVERLOADED", True)}
    assert await value(database, "SELECT count(*) FROM progression.characters") == 5


async def test_much_at_once_is_spread_over_transactions(database_url: str, database: Database) -> None:
    """Four commands of ten events each, where there is room for sixteen; then for few characters."""

    def many(name: str) -> Command:
        def decide(characters: Mapping[str, Character | None], now: datetime) -> Sequence[tuple[str, Event]]:
            character, events = characters[name], []
            for _ in range(9):
                for event in award(definitions().active, character, Award(name, "", "test", 1)):
                    character = applied(character, name, event, now)
                    events.append((name, event))
            return events

        return replace(Request(name).command(), decide=decide)

    async with ledger(database_url, batch=4) as running:
        commands = [many(f"c{n}") for n in range(4)]
        assert await asyncio.gather(*map(running.run, commands)) == [b"10 10"] * 4
        transactions = "SELECT count(DISTINCT xmin::text) FROM progression.event_store"
        assert await value(database, transactions) == 2
        wide = [replace(each, character_ids=(*each.character_ids, *"abcdefg")) for each in commands]
        wide = [replace(each, answer=lambda _characters, recorded: b"%d" % len(recorded)) for each in wide]
        assert await asyncio.gather(*map(running.run, wide)) == [b"9"] * 4
        assert await value(database, transactions) == 4
    await check(database)


async def test_whoever_stops_waiting_spoils_nothing(one: Ledger, database: Database) -> None:
    requests = [Request(f"c{n}", experience=10, key=f"k{n}") for n in range(6)]
    async with database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE progression.event_store")
        tasks = [asyncio.create_task(one.run(request.command())) for request in requests]
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass
        for task in tasks[::2]:
            task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1::2] == [b"2 2"] * 3
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert await ask(one, *requests) == [b"2 2"] * 6
    assert await value(database, "SELECT sum(base_experience) FROM progression.characters") == 60


async def test_closing_finishes_what_waits(database_url: str, database: Database) -> None:
    async with ledger(database_url, batch=3) as running:
        calls = [
            asyncio.create_task(running.run(Request(f"c{n}", experience=1).command())) for n in range(10)
        ]
        await asyncio.sleep(0)
        await running.close()
        assert await asyncio.gather(*calls) == [b"2 2"] * 10
        with pytest.raises(Unavailable) as late:
            await running.run(Request("late", experience=1).command())
        assert late.value.reason == "LEDGER_CLOSED"


async def test_an_answer_that_is_lost_is_asked_for_again(
    one: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit happened and nobody heard of it; then one that did not happen."""
    real = one._database.transaction
    request = Request("ann", experience=10, key="k")

    async def deaf(work: Any) -> Any:
        await real(work)
        raise DatabaseUnavailable

    async def dead(work: Any) -> Any:
        raise DatabaseUnavailable

    for fault in (deaf, dead):
        with monkeypatch.context() as patched:
            patched.setattr(one._database, "transaction", fault)
            outcomes = await ask(one, request, Request("bob", experience=1, key=fault.__name__))
            assert [reason(outcome) for outcome in outcomes] == ["DATABASE_UNAVAILABLE"] * 2
    assert await ask(one, request) == [b"2 2"]
    assert await experience(database, "ann") == 10
    assert await experience(database, "bob") == 1
    await check(database)


async def test_a_server_that_takes_no_writes_is_nobodys_fault(one: Ledger, database: Database) -> None:
    """Everybody is told to come again, after one attempt."""
    sent: list[str] = []

    async def writable(yes: bool) -> None:
        async with one._database.connection() as connection:
            await connection.execute(f"SET default_transaction_read_only = {'off' if yes else 'on'}")
            connection.add_query_logger(lambda record: sent.append(record.query))

    requests = [Request(f"c{n}", experience=1, key=f"k{n}") for n in range(16)]
    await writable(False)
    sent.clear()
    assert {reason(outcome) for outcome in await ask(one, *requests)} == {"LEDGER_UNAVAILABLE"}
    assert sum(query.startswith("BEGIN") for query in sent) == 1
    await writable(True)
    assert await ask(one, *requests) == [b"2 2"] * 16
    await check(database)


async def test_a_listener_that_fails_keeps_nobody_waiting(one: Ledger) -> None:
    def broken(_characters: Mapping[str, Character]) -> None:
        raise ZeroDivisionError

    one.listeners.append(broken)
    assert await ask(one, Request("ann", experience=1)) == [b"2 2"]

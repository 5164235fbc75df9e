"""What is owed is paid once: whoever claims, wherever, however often; and the books always balance."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import pytest

from services.chassis import clock
from services.chassis.db import Database, DatabaseUnavailable
from services.chassis.errors import FailedPrecondition, NotFound
from services.chassis.metrics import DATABASE_RETRIES
from services.gamification.batch import Batch, Command, Loaded, Turn
from services.gamification.committer import Committer
from services.gamification.counters import shard
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.domain.definitions import Amount
from services.gamification.domain.grants import grant_id
from services.gamification.domain.player import Player, Transfer
from services.gamification.store import Asked, PlayerStore
from tests.support.committers import check, claim, committer, define, give, record, revoke

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
USERS = ("ann", "bob", "cid", "dan", "eve")


@pytest.fixture(autouse=True)
async def _defined(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)
    await define(database, "metric", id="kills", aggregation="AGGREGATION_SUM")
    await define(database, "metric", id="weapons", aggregation="AGGREGATION_DISTINCT")
    await define(database, "reward", id="gold", type="REWARD_TYPE_CURRENCY", value="7", currency="gold")
    await define(
        database,
        "reward",
        id="hat",
        type="REWARD_TYPE_COSMETIC",
        items=[{"id": "hat", "type": "cosmetic", "quantity": "1"}],
    )
    kills = {"metric": "kills", "operator": "OPERATOR_GTE"}
    day = {"timeframe": {"calendar": "CALENDAR_DAY"}}
    for id_, requirement in {
        "many": kills | {"threshold": "40"},
        "daily": kills | {"threshold": "15"} | day,
        "armed": {"metric": "weapons", "operator": "OPERATOR_GTE", "threshold": "3"},
    }.items():
        await define(
            database,
            "achievement",
            id=id_,
            title=id_,
            type="ACHIEVEMENT_TYPE_MILESTONE",
            points=10,
            requirements=[requirement],
            rewards=[{"id": "gold"}],
            is_enabled=True,
        )


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Committer]:
    async with committer(database_url) as running:
        yield running


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Committer]:
    """Another process's."""
    async with committer(database_url) as running:
        yield running


async def value(database: Database, query: str, *arguments: object) -> Any:
    async with database.connection() as connection:
        return await connection.fetchval(query, *arguments)


async def balances(database: Database) -> dict[str, int]:
    """By account and asset, without those that are empty."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT account, asset, amount FROM gamification.balances")
    return {f"{row['account']} {row['asset']}": row["amount"] for row in rows if row["amount"]}


# -- claims ---------------------------------------------------------------------------------------------


async def test_64_claims_at_once_pay_once(one: Committer, two: Committer, database: Database) -> None:
    id_ = (await one.run(give("ann", "gold", "gift"))).decode()
    commands = [claim("ann", id_, key="k" if n % 4 == 0 else "") for n in range(64)]
    calls = (((one, two)[n % 2]).run(command) for n, command in enumerate(commands))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    paid = [each for each in outcomes if isinstance(each, bytes)]
    refused = [each for each in outcomes if isinstance(each, FailedPrecondition)]
    assert len(paid) + len(refused) == 64
    # One pays; those with its key, if it had one, have its answer.
    assert len(paid) in (1, 16)
    assert set(paid) == {f"{id_}:claim:0".encode()}
    assert {each.reason for each in refused} == {"GRANT_CLAIMED"}
    assert await balances(database) == {"player:ann currency:gold": 7}
    await check(database)


async def test_a_grant_of_somebody_else_is_as_unknown_as_none(one: Committer, database: Database) -> None:
    id_ = (await one.run(give("ann", "gold", "gift"))).decode()
    for asked in (id_, grant_id("bob", "support", "none", "gold", 1)):
        with pytest.raises(NotFound) as refused:
            await one.run(claim("bob", asked))
        assert refused.value.reason == "GRANT_NOT_FOUND"
    assert await balances(database) == {"escrow:ann currency:gold": 7}


async def test_revoking_takes_back_what_was_paid_and_no_more(
    one: Committer, two: Committer, database: Database
) -> None:
    """Of a cosmetic that was there, nothing was paid; another process has to know that."""
    first, second = [(await one.run(give("ann", "hat", name))).decode() for name in ("first", "second")]
    assert await one.run(claim("ann", first)) == f"{first}:claim:0".encode()
    assert await one.run(claim("ann", second)) == f"{second}:burn:0".encode()
    assert await balances(database) == {"player:ann item:hat": 1}
    assert await two.run(revoke("ann", second)) == b""
    assert await balances(database) == {"player:ann item:hat": 1}
    assert await two.run(revoke("ann", first)) == f"{first}:burn:0".encode()
    assert await balances(database) == {}
    await check(database)


async def test_a_grant_that_changed_behind_the_lock_is_not_settled(
    one: Committer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared and set by the database itself, whoever broke the rules; nothing of the command is left."""
    id_ = (await one.run(give("ann", "gold", "gift"))).decode()
    real = one._store.writing

    def stale(changes: Any, now: datetime) -> Any:
        changes.settled = {
            name: (type(before).EXPIRED, grant) for name, (before, grant) in changes.settled.items()
        }
        return real(changes, now)

    monkeypatch.setattr(one._store, "writing", stale)
    with pytest.raises(asyncpg.NotNullViolationError):
        await one.run(claim("ann", id_, key="k"))
    monkeypatch.undo()
    assert await balances(database) == {"escrow:ann currency:gold": 7}
    assert await value(database, "SELECT count(*) FROM gamification.idempotency_keys") == 0
    await check(database)


async def test_a_balance_below_zero_cannot_be_written(one: Committer, database: Database) -> None:
    """Even if a rule wanted it. Whoever waits beside it is not harmed, and the ledger has nothing of it."""
    id_ = (await one.run(give("ann", "gold", "gift"))).decode()
    await one.run(claim("ann", id_))

    def too_much(turn: Turn) -> bytes:
        amount = Amount("currency:gold", 8)
        burn = Transfer(f"{id_}:burn:0", "burn", "player:ann", "burn", amount, id_, "ann", turn.now)
        turn.player("ann").transfers.append(burn)
        return b"?"

    calls = (one.run(Command(("ann",), too_much, "service:test")), one.run(record("bob", "kills", 5)))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(outcomes[0], asyncpg.CheckViolationError)
    assert outcomes[1] == b"counted"
    assert await balances(database) == {"player:ann currency:gold": 7}
    await check(database)


async def test_the_ledger_is_never_changed(one: Committer, database: Database) -> None:
    await one.run(give("ann", "gold", "gift"))
    for statement in (
        "UPDATE gamification.transfers SET amount = 8",
        "DELETE FROM gamification.transfers",
        "TRUNCATE gamification.transfers",
    ):
        with pytest.raises(asyncpg.RaiseError):
            await value(database, statement)
    await check(database)


# -- several processes ----------------------------------------------------------------------------------


def story(seed: int) -> list[Command]:
    """What many clients ask for, some of it more than once. What comes of all of it is the same in any
    order, but for claims: each is asked for after what it claims is there."""
    draw = random.Random(seed)
    commands: list[Command] = []
    for n in range(300):
        user_id = draw.choice(USERS)
        at = NOON - timedelta(minutes=draw.randrange(5 * 24 * 60))
        name = draw.choice((f"r{n}", f"r{n}", ""))
        if draw.random() < 0.3:
            member = draw.choice("abcde")
            commands.append(record(user_id, "weapons", at=at, member=member, record_id=name))
        else:
            commands.append(record(user_id, "kills", draw.randrange(1, 9), at=at, record_id=name))
        if name:
            commands += [commands[-1]] * draw.choice((0, 0, 1, 2))
        if draw.random() < 0.1:
            commands += [give(user_id, draw.choice(("gold", "hat")), f"s{n % 20}")] * 2
    return commands


async def test_32_clients_of_two_processes_come_to_what_one_does_alone(
    one: Committer, two: Committer, database: Database
) -> None:
    """All of the state, as it is read back, against the same commands one after the other in memory."""
    before = deadlocks()
    commands = story(7)
    alone = await serially(database, commands)
    draw = random.Random(8)
    draw.shuffle(commands)
    refusals = await at_once((one, two), commands)
    assert refusals == Counter()
    claims = [claim(grant.user_id, grant.id) for grant in alone.loaded.grants.values()] * 2
    draw.shuffle(claims)
    refusals = await at_once((one, two), claims)
    assert refusals == Counter({"GRANT_CLAIMED": len(claims) // 2})
    for command in claims:
        run(alone, command)
    assert await readable(database) == said(alone.loaded.players.values())
    moved = {
        f"{account} {asset}": amount
        for user in alone.loaded.balances.values()
        for (account, asset), amount in user.items()
        if amount
    }
    assert await balances(database) == moved
    assert deadlocks() == before
    await check(database)


async def at_once(committers: Sequence[Committer], commands: Sequence[Command]) -> Counter[str]:
    """By 32 clients; why commands were refused."""
    refused: Counter[str] = Counter()

    async def client(number: int) -> None:
        running = committers[number % len(committers)]
        for start in range(number * 4, len(commands), 32 * 4):
            calls = map(running.run, commands[start : start + 4])
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(outcome, FailedPrecondition):
                    refused[outcome.reason] += 1
                else:
                    assert isinstance(outcome, bytes), outcome

    await asyncio.gather(*map(client, range(32)))
    return refused


async def serially(database: Database, commands: Sequence[Command]) -> Batch:
    async with database.connection() as connection:
        shelf = await DefinitionsStore().present(connection)
    empty = Loaded({}, {}, {user_id: {} for user_id in USERS}, {}, {}, set(), set())
    batch = Batch(empty, shelf.catalogue, NOON, b"e" * 32)
    for command in commands:
        run(batch, command)
    return batch


def run(batch: Batch, command: Command) -> None:
    try:
        batch.apply(batch.decide(command))
    except FailedPrecondition as refused:
        assert refused.reason == "GRANT_CLAIMED"


async def readable(database: Database) -> dict[str, object]:
    """What a process that has nothing in memory reads."""
    store = PlayerStore()
    nothing: frozenset[Any] = frozenset()
    users = frozenset(USERS)
    asked = Asked(users, nothing, nothing, nothing, nothing, nothing, nothing)
    async with database.connection() as connection, connection.transaction():
        heads = await store.lock(connection, users)
        loaded, _ = await store.load(connection, asked, {}, list(heads.values()))
    return said(loaded.players.values())


def said(players: Any) -> dict[str, object]:
    """All of it that does not depend on the order in which things are told."""

    def of(player: Player) -> object:
        return (
            player.accumulators,
            {
                id_: (it.cycle, it.version, it.progress, it.completions, set(it.met))
                for id_, it in player.achievements.items()
            },
            player.closings,
            (player.notified, player.achievements_completed, player.achievement_points),
        )

    return {player.user_id: of(player) for player in players}


_SLOWLY = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON gamification.players FOR EACH ROW EXECUTE FUNCTION slowly();
CREATE TRIGGER slowly BEFORE INSERT ON gamification.analytics FOR EACH ROW EXECUTE FUNCTION slowly();
"""


async def test_two_processes_want_the_same_new_players(
    one: Committer, two: Committer, database: Database
) -> None:
    """In opposite orders, and each takes its time: careless inserts would wait for each other. The slower
    one finds that they are there, and runs again."""
    async with database.connection() as connection:
        await connection.execute(_SLOWLY)
    before = deadlocks()
    commands = [record(f"u{n}", "kills", 1) for n in range(30)]
    calls = [*map(one.run, commands), *map(two.run, reversed(commands))]
    assert set(await asyncio.gather(*calls)) == {b"counted"}
    total = "SELECT sum(sum) FROM gamification.accumulators WHERE window_key = 'ever' AND metric = 'kills'"
    assert await value(database, total) == 60
    counted = "SELECT sum(count) FROM gamification.analytics WHERE subject = 'players'"
    assert await value(database, counted) == 30
    assert deadlocks() == before
    await check(database)


async def test_two_processes_count_the_same_things(
    one: Committer, two: Committer, database: Database
) -> None:
    """Of different players, who share rows of the analytics and come to them in opposite orders."""
    async with database.connection() as connection:
        await connection.execute(_SLOWLY)
    before = deadlocks()
    there, back = of_shards("a", range(8)), of_shards("b", range(7, -1, -1))
    calls = [one.run(record(user_id, "kills", 100)) for user_id in there]
    calls += [two.run(record(user_id, "kills", 100)) for user_id in back]
    assert set(await asyncio.gather(*calls)) == {b"counted"}
    counted = "SELECT sum(count) FROM gamification.analytics WHERE subject = $1 AND measure = $2"
    assert await value(database, counted, "achievement:many", "completed") == 16
    assert await value(database, counted, "reward:gold", "granted") == 32
    assert deadlocks() == before
    await check(database)


def of_shards(name: str, shards: Iterable[int]) -> list[str]:
    """A user of each."""
    return [next(each for n in count() if shard(each := f"{name}{n}") == wanted) for wanted in shards]


def deadlocks() -> float:
    return float(DATABASE_RETRIES.labels("40P01")._value.get())


async def test_a_new_definition_counts_from_the_next_batch_in_every_process(
    one: Committer, two: Committer, database: Database
) -> None:
    """Each has the older ones in memory."""
    for running in (one, two):
        await running.run(record("ann", "kills", 1))
        with pytest.raises(NotFound):
            await running.run(record("ann", "wins", 1))
    await define(database, "metric", id="wins", aggregation="AGGREGATION_COUNT")
    assert [await running.run(record("ann", "wins", 1)) for running in (one, two)] == [b"unused"] * 2
    await define(
        database,
        "achievement",
        id="winner",
        title="Winner",
        type="ACHIEVEMENT_TYPE_MILESTONE",
        requirements=[{"metric": "wins", "operator": "OPERATOR_GTE", "threshold": "2"}],
        rewards=[{"id": "gold"}],
        is_enabled=True,
    )
    assert [await running.run(record("ann", "wins", 1)) for running in (one, two)] == [b"counted"] * 2
    assert await balances(database) == {"escrow:ann currency:gold": 7}


async def test_an_answer_that_is_lost_is_asked_for_again(
    one: Committer, two: Committer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit happened and nobody heard of it; then one that did not happen. What this process then has
    in memory is neither's."""
    ids = [(await one.run(give("ann", "gold", name))).decode() for name in ("first", "second")]
    real = one._database.transaction

    async def deaf(work: Any) -> Any:
        await real(work)
        raise DatabaseUnavailable

    async def dead(work: Any) -> Any:
        raise DatabaseUnavailable

    for fault, id_ in ((deaf, ids[0]), (dead, ids[1])):
        with monkeypatch.context() as patched:
            patched.setattr(one._database, "transaction", fault)
            with pytest.raises(DatabaseUnavailable):
                await one.run(claim("ann", id_, key=id_))
    assert await balances(database) == {"player:ann currency:gold": 7, "escrow:ann currency:gold": 7}
    for running in (two, one):
        for id_ in ids:
            assert await running.run(claim("ann", id_, key=id_)) == f"{id_}:claim:0".encode()
    assert await balances(database) == {"player:ann currency:gold": 14}
    await check(database)


async def test_what_an_earlier_cycle_counted_is_forgotten(
    one: Committer, two: Committer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a daily quest would leave something behind each day, for ever. Cycles begin one a batch, several in
    one, and in another process; each is completed as if the earlier ones had never been."""
    some = [{"metric": "weapons", "operator": "OPERATOR_GTE", "threshold": "2"}]
    await define(
        database,
        "achievement",
        id="again",
        title="Again",
        type="ACHIEVEMENT_TYPE_MILESTONE",
        requirements=some,
        repeat={"cooldown": "1s"},
        is_enabled=True,
    )
    await define(
        database,
        "quest",
        id="daily",
        title="Daily",
        type="QUEST_TYPE_DAILY",
        steps=[{"id": "two", "order": 1, "requirements": some}],
        repeat={"cooldown": "1s"},
        auto_start=True,
        is_active=True,
    )

    def day(number: int) -> list[Command]:
        at = NOON + timedelta(days=number)
        return [record("ann", "weapons", at=at, member=member) for member in "ab"]

    for number in range(6):
        monkeypatch.setattr(clock, "now", lambda number=number: NOON + timedelta(days=number))
        for command in day(number):
            await (one, two)[number % 2].run(command)
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(days=20))
    together = [command for number in range(6, 12) for command in day(number)]
    await asyncio.gather(*map(one.run, together))
    for table in ("achievement_progress", "quest_progress"):
        query = f"SELECT completions FROM gamification.{table} WHERE cycle = 12"
        assert await value(database, query) == 12
    scopes = "SELECT array_agg(scope ORDER BY scope) FROM gamification.accumulators WHERE scope <> ''"
    left = ["achievement:again:12", "quest:daily:12:1"]
    assert await value(database, scopes) == left
    kept = one._memory._kept["ann"][0].accumulators
    assert sorted(key.scope for key in kept if key.scope) == left
    await check(database)

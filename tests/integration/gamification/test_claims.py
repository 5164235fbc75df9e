"""A grant is paid once: by however many at once, in whatever order, and however often it is asked for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from services.chassis.db import Database
from services.chassis.errors import DomainError
from services.gamification import rows
from services.gamification.batch import Command
from services.gamification.changes import Changes
from services.gamification.committer import Committer
from services.gamification.domain import grants
from services.gamification.domain.ledger import MOST
from services.gamification.domain.player import Draft, GrantStatus, Player
from services.gamification.store import PlayerStore
from tests.support.committers import check, claim, committer, define, give, record, revoke

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LEDGER_STAYS = "the ledger is never changed"
FROM = " FROM gamification.transfers"
Outcome = bytes | BaseException


@pytest.fixture
async def one(database_url: str, database: Database) -> AsyncIterator[Committer]:
    title = {"id": "champion", "type": "cosmetic.title", "quantity": "1"}
    potions = [{"weight": "1", "item": "potion", "min": "1", "max": "3"}, {"weight": "1"}]
    gold = [{"currency": "gold", "min": "10", "max": "50", "step": "10"}]
    await define(database, "reward", id="gold", type="REWARD_TYPE_CURRENCY", value="100", currency="gold")
    await define(database, "reward", id="title", type="REWARD_TYPE_COSMETIC", items=[title])
    await define(
        database,
        "reward",
        id="chest",
        type="REWARD_TYPE_LOOT",
        loot={"guaranteed": gold, "weighted": potions, "rolls": 3},
    )
    await define(database, "metric", id="kills", aggregation="AGGREGATION_COUNT")
    for kills in (1, 5, 20, 24):
        enough = {"metric": "kills", "operator": "OPERATOR_GTE", "threshold": str(kills)}
        await define(
            database,
            "achievement",
            id=f"hunter.{kills}",
            title="Hunter",
            type="ACHIEVEMENT_TYPE_MILESTONE",
            is_enabled=True,
            requirements=[enough],
            rewards=[{"id": "gold"}, {"id": "chest"}],
        )
    async with committer(database_url) as running:
        yield running


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Committer]:
    """Another process's."""
    async with committer(database_url) as running:
        yield running


async def granted(running: Committer, user_id: str, reward_id: str, source_id: str = "first") -> str:
    return (await running.run(give(user_id, reward_id, source_id))).decode()


async def all_at_once(committers: list[Committer], commands: list[Command]) -> list[Outcome]:
    """By turns to each committer."""
    calls = (committers[n % len(committers)].run(command) for n, command in enumerate(commands))
    return await asyncio.gather(*calls, return_exceptions=True)


def reasons(outcomes: list[Outcome]) -> Counter[str]:
    """Of those that were refused; empty: of those that were not."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, DomainError):
            raise outcome
    return Counter(each.reason if isinstance(each, DomainError) else "" for each in outcomes)


async def has(database: Database, user_id: str, account: str = "player") -> dict[str, int]:
    async with database.connection() as connection:
        found = await connection.fetch(
            "SELECT asset, amount FROM gamification.balances WHERE account = $1 AND amount <> 0",
            f"{account}:{user_id}",
        )
    return {row["asset"]: row["amount"] for row in found}


async def count(database: Database, what: str, *arguments: object) -> int:
    async with database.connection() as connection:
        found: int = await connection.fetchval(f"SELECT count(*) FROM gamification.{what}", *arguments)
    return found


# -- at once --------------------------------------------------------------------------------------------


async def test_64_claims_of_one_grant_pay_once(database: Database, one: Committer, two: Committer) -> None:
    grant_id = await granted(one, "ada", "chest")
    owed = await has(database, "ada", "escrow")
    outcomes = await all_at_once([one, two], [claim("ada", grant_id) for _ in range(64)])
    assert reasons(outcomes) == {"": 1, "GRANT_CLAIMED": 63}
    assert await has(database, "ada") == owed
    assert await has(database, "ada", "escrow") == {}
    assert await count(database, "transfers WHERE kind = 'claim'") == len(owed)
    assert await count(database, "outbox") == 2, "granted and claimed"
    await check(database)


async def test_64_claims_with_one_key_have_one_answer(
    database: Database, one: Committer, two: Committer
) -> None:
    grant_id = await granted(one, "ada", "gold")
    outcomes = await all_at_once([one, two], [claim("ada", grant_id, key="k") for _ in range(64)])
    assert set(outcomes) == {f"{grant_id}:claim:0".encode()}
    assert await has(database, "ada") == {"currency:gold": 100}
    await check(database)


async def test_64_at_once_owe_one_grant_to_a_player_that_there_was_not(
    database: Database, one: Committer, two: Committer
) -> None:
    outcomes = await all_at_once([one, two], [give("ada", "chest", "first") for _ in range(64)])
    assert len(set(outcomes)) == 1
    assert await count(database, "grants") == await count(database, "players") == 1
    await check(database)


async def test_a_claim_and_a_revocation_at_once_are_never_both_in_effect(
    database: Database, one: Committer, two: Committer
) -> None:
    grant_ids = [await granted(one, "ada", "gold", str(n)) for n in range(16)]
    commands = [make("ada", grant_id) for grant_id in grant_ids for make in (claim, revoke, claim, revoke)]
    random.Random(5).shuffle(commands)
    found = reasons(await all_at_once([one, two], commands))
    assert found[""] >= 16, "each was revoked, and some were claimed before"
    assert set(found) <= {"", "GRANT_CLAIMED", "GRANT_REVOKED"}
    assert await count(database, "grants WHERE status = 'revoked'") == 16
    claimed = await count(database, "grants WHERE claimed_at IS NOT NULL")
    assert found[""] == 16 + claimed
    assert await count(database, "transfers WHERE kind = 'claim'") == claimed
    assert await count(database, "transfers WHERE kind = 'burn'") == claimed
    assert await count(database, "transfers WHERE kind = 'revoke'") == 16 - claimed
    assert await has(database, "ada") == await has(database, "ada", "escrow") == {}
    await check(database)


async def test_of_one_cosmetic_by_many_ways_one_is_paid(
    database: Database, one: Committer, two: Committer
) -> None:
    grant_ids = [await granted(one, "ada", "title", str(n)) for n in range(8)]
    outcomes = await all_at_once([one, two], [claim("ada", grant_id) for grant_id in grant_ids])
    assert reasons(outcomes) == {"": 8}
    assert await has(database, "ada") == {"item:champion": 1}
    assert await count(database, "transfers WHERE kind = 'burn'") == 7
    paying = await paid_by(database)
    others = [revoke("ada", grant_id) for grant_id in grant_ids if grant_id != paying]
    assert set(await all_at_once([one, two], others)) == {b""}, "what paid nothing takes nothing back"
    assert await has(database, "ada") == {"item:champion": 1}
    await one.run(revoke("ada", paying))
    assert await has(database, "ada") == {}
    await check(database)


async def paid_by(database: Database) -> str:
    """The grant that paid."""
    async with database.connection() as connection:
        found: str = await connection.fetchval(
            "SELECT grant_id FROM gamification.transfers WHERE kind = 'claim'"
        )
    return found


# -- again, and in any order ----------------------------------------------------------------------------


async def test_what_is_delivered_again_and_out_of_order_changes_nothing(
    database: Database, one: Committer, two: Committer
) -> None:
    """Of 23 kills; which of them came first, and how often each was told, is all the same."""
    kills = [record("ada", "kills", record_id=f"kill-{n}") for n in range(23)]
    order = random.Random(7)
    for _ in range(3):
        order.shuffle(kills)
        reasons(await all_at_once([one, two], kills))
    async with database.connection() as connection:
        grant_ids = [row["id"] for row in await connection.fetch("SELECT id FROM gamification.grants")]
    first = await state(database)
    assert len(grant_ids) == 2 * 3, "all but the one of 24 kills"
    claims = [claim("ada", grant_id, key=grant_id) for grant_id in grant_ids] * 3
    order.shuffle(claims)
    assert reasons(await all_at_once([one, two], claims)) == {"": 3 * len(grant_ids)}
    assert await has(database, "ada") == first["escrow"]
    assert await has(database, "ada", "escrow") == {}
    settled = await state(database)
    reasons(await all_at_once([one, two], [*claims, *kills]))
    assert await state(database) == settled
    await check(database)


async def state(database: Database) -> dict[str, object]:
    """What may not change."""
    found: dict[str, object] = {
        "player": await has(database, "ada"),
        "escrow": await has(database, "ada", "escrow"),
    }
    for table in ("grants", "transfers", "notifications", "outbox"):
        found[table] = await count(database, table)
    return found


# -- what the tables refuse -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gamification.transfers SET amount = amount + 1",
        "UPDATE gamification.transfers SET to_account = 'player:eve'",
        "DELETE FROM gamification.transfers",
        "TRUNCATE gamification.transfers",
        "DELETE FROM gamification.transfers WHERE false",
    ],
)
async def test_the_ledger_is_never_changed(database: Database, one: Committer, statement: str) -> None:
    await granted(one, "ada", "gold")
    async with database.connection() as connection:
        with pytest.raises(asyncpg.RaiseError, match=LEDGER_STAYS):
            await connection.execute(statement)
    assert await count(database, "transfers") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gamification.balances SET amount = -1",
        "UPDATE gamification.grants SET status = 'paid'",
        "INSERT INTO gamification.transfers SELECT 'x', kind, 'a', 'a', asset, 1, grant_id, user_id, at"
        + FROM,
        "INSERT INTO gamification.transfers SELECT 'x', kind, 'a', 'b', asset, 0, grant_id, user_id, at"
        + FROM,
        "INSERT INTO gamification.transfers SELECT 'x', 'gift', 'a', 'b', asset, 1, grant_id, user_id, at"
        + FROM,
    ],
)
async def test_what_cannot_be_is_refused_by_the_tables(
    database: Database, one: Committer, statement: str
) -> None:
    await granted(one, "ada", "gold")
    async with database.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(statement)


async def test_the_same_transfer_is_never_made_twice(database: Database, one: Committer) -> None:
    await granted(one, "ada", "gold")
    async with database.connection() as connection:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                "INSERT INTO gamification.transfers SELECT * FROM gamification.transfers"
            )


async def test_a_balance_that_would_leave_64_bits_is_refused(database: Database, one: Committer) -> None:
    grant_id = await granted(one, "ada", "gold")
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO gamification.balances VALUES ('player:ada', 'currency:gold', 'ada', '', $1)",
            MOST - 99,
        )
    assert reasons(await all_at_once([one], [claim("ada", grant_id)])) == {"BALANCE_TOO_HIGH": 1}
    assert await has(database, "ada", "escrow") == {"currency:gold": 100}


async def test_a_grant_is_settled_by_compare_and_set(database: Database, one: Committer) -> None:
    """Were a lock ever passed by, a grant that is no longer what was decided on fails the transaction."""
    grant_id = await granted(one, "ada", "gold")
    async with database.connection() as connection:
        (row,) = await connection.fetch("SELECT * FROM gamification.grants")
        owed = rows.grant(row)
        draft = Draft(Player("ada"), {grant_id: owed}, {("escrow:ada", "currency:gold"): 100})
        grants.claim(draft, grant_id, NOON)
        changes = Changes(transfers=draft.transfers)
        changes.grant(replace(owed, status=GrantStatus.REVOKED), draft.grants[grant_id])
        statement = PlayerStore().writing(changes, NOON)
        assert statement is not None
        with pytest.raises(asyncpg.NotNullViolationError):
            await connection.execute(statement.text, *statement.arguments)
    assert await has(database, "ada", "escrow") == {"currency:gold": 100}
    assert await count(database, "transfers") == 1

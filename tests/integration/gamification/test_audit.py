"""`audit` finds nothing in what the rules made, and everything that somebody else made of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss
from services.gamification.audit import Audit, audit, audited
from services.gamification.settings import GamificationSettings
from tests.support.committers import claim, committer, define, give, revoke
from tests.support.process import start

OWED = {
    "pending": "chest",
    "claimed": "chest",
    "taken_back": "chest",
    "revoked": "gold",
    "hat": "hat",
    "second_hat": "hat",
}
"""Rewards by what they are owed for."""


@pytest.fixture
async def history(database_url: str, database: Database) -> dict[str, str]:
    """Bob's grants by what became of them; ada has the same."""
    hat = {"id": "hat", "type": "cosmetic", "quantity": "1"}
    loot = {
        "guaranteed": [{"currency": "gold", "min": "1", "max": "1000000000000"}],
        "weighted": [{"weight": "3", "item": "potion", "min": "1", "max": "9"}, {"weight": "1"}],
        "rolls": 4,
    }
    await define(database, "reward", id="gold", type="REWARD_TYPE_CURRENCY", value="100", currency="gold")
    await define(database, "reward", id="hat", type="REWARD_TYPE_COSMETIC", items=[hat])
    await define(database, "reward", id="chest", type="REWARD_TYPE_LOOT", loot=loot)
    async with committer(database_url) as running:
        for user_id in ("ada", "bob"):
            ids = await asyncio.gather(*(running.run(give(user_id, OWED[name], name)) for name in OWED))
            made = {name: id_.decode() for name, id_ in zip(OWED, ids, strict=True)}
            claimed = ("claimed", "taken_back", "hat", "second_hat")
            await asyncio.gather(*(running.run(claim(user_id, made[name])) for name in claimed))
            taken = ("taken_back", "revoked")
            await asyncio.gather(*(running.run(revoke(user_id, made[name])) for name in taken))
    return made


def nobody(_done: int, _all: int) -> None:
    """Looks at the progress."""


async def found(database: Database) -> Audit:
    async with database.connection() as connection:
        return await audited(connection, nobody)


def lines(audit: Audit) -> list[str]:
    return [f"{each.subject}: {each.what}" for each in audit.differences]


async def tamper(connection: Connection, statement: str) -> None:
    """As somebody with all rights could."""
    await connection.execute("ALTER TABLE gamification.transfers DISABLE TRIGGER USER")
    done = await connection.execute(statement)
    await connection.execute("ALTER TABLE gamification.transfers ENABLE TRIGGER USER")
    assert not done.endswith(" 0"), "nothing was changed"


async def test_what_the_rules_made_is_found_to_be_right(database: Database, history: dict[str, str]) -> None:
    counted = await found(database)
    assert lines(counted) == []
    assert (counted.grants, counted.draws, counted.differing) == (12, 6, 0)
    async with database.connection() as connection:
        for name in ("transfers", "balances"):
            rows = await connection.fetchval(f"SELECT count(*) FROM gamification.{name}")
            assert getattr(counted, name) == rows > 0
    assert counted.assets == 3


async def test_with_nothing_there_nothing_differs(database: Database) -> None:
    assert await found(database) == Audit()


BOBS_HAT = "account = 'player:bob' AND asset = 'item:hat'"
BOB = "g.user_id = 'bob' AND g.source_id = "
CASES: dict[str, tuple[str, list[str]]] = {
    "a balance": (
        f"UPDATE gamification.balances SET amount = amount + 1 WHERE {BOBS_HAT}",
        [
            "player:bob item:hat: the balance is 2, its entries come to 1",
            "item:hat: all accounts come to 1 together, not to 0",
        ],
    ),
    "a balance from nowhere": (
        "INSERT INTO gamification.balances VALUES ('player:eve', 'currency:gold', 'eve', '', 5)",
        [
            "player:eve currency:gold: the balance is 5, its entries come to 0",
            "currency:gold: all accounts come to 5 together, not to 0",
        ],
    ),
    "a lost balance": (
        f"DELETE FROM gamification.balances WHERE {BOBS_HAT}",
        [
            "player:bob item:hat: the balance is 0, its entries come to 1",
            "item:hat: all accounts come to -1 together, not to 0",
        ],
    ),
    "a lost transfer": (
        f"DELETE FROM gamification.transfers t USING gamification.grants g WHERE t.grant_id = g.id"
        f" AND t.kind = 'revoke' AND {BOB}'revoked'",
        ["REVOKED: has no transfer REVOKED:revoke:0", "escrow:bob currency:gold: the balance is "],
    ),
    "a changed transfer": (
        f"UPDATE gamification.transfers t SET to_account = 'player:eve' FROM gamification.grants g"
        f" WHERE t.grant_id = g.id AND t.kind = 'claim' AND {BOB}'hat'",
        [
            "HAT: transfer HAT:claim:0 is 1 of item:hat from escrow:bob to player:eve,"
            " not 1 of item:hat from escrow:bob to player:bob",
            "player:bob item:hat: the balance is 1, its entries come to 0",
            "player:eve item:hat: the balance is 0, its entries come to 1",
        ],
    ),
    "a second payment": (
        f"INSERT INTO gamification.transfers SELECT g.id || ':claim:7', 'claim', 'issuer', 'player:bob',"
        f" 'currency:gold', 1, g.id, 'bob', g.granted_at FROM gamification.grants g WHERE {BOB}'hat'",
        ["HAT: has a transfer HAT:claim:7 too many", "player:bob currency:gold: the balance is "],
    ),
    "a transfer of no grant": (
        "INSERT INTO gamification.transfers"
        " VALUES ('stray', 'claim', 'issuer', 'burn', 'item:hat', 1, 'g-none', 'bob', now())",
        ["stray: is of grant g-none, which there is not"],
    ),
    "a claim that did not pay": (
        f"UPDATE gamification.grants g SET status = 'claimed', claimed_at = granted_at WHERE {BOB}'pending'",
        ["PENDING: has no transfer PENDING:claim:0"],
    ),
    "a revocation that took nothing": (
        f"UPDATE gamification.grants g SET status = 'revoked', revoked_at = granted_at WHERE {BOB}'hat'",
        ["HAT: has no transfer HAT:burn:0"],
    ),
    "a revocation undone": (
        f"UPDATE gamification.grants g SET status = 'claimed' WHERE {BOB}'taken_back'",
        ["TAKEN_BACK: has a transfer TAKEN_BACK:burn:0 too many"],
    ),
    "a claim that nobody knows of": (
        f"UPDATE gamification.grants g SET claimed_at = NULL WHERE {BOB}'hat'",
        ["HAT: is claimed, and nobody knows when", "HAT: has a transfer HAT:claim:0 too many"],
    ),
    "a seed": (
        "UPDATE gamification.grants g SET seed = set_byte(seed, 0, 255 - get_byte(seed, 0))"
        f" WHERE {BOB}'pending'",
        ["PENDING: pays "],
    ),
    "no seed": (
        f"UPDATE gamification.grants g SET seed = '' WHERE {BOB}'pending'",
        ["PENDING: must have a seed"],
    ),
    "a seed of nothing": (
        f"UPDATE gamification.grants g SET seed = 'x' WHERE {BOB}'hat'",
        ["HAT: has a seed, but nothing is drawn for it"],
    ),
    "contents": (
        f"UPDATE gamification.grants g SET contents = jsonb_set(contents, '{{0,1}}', '2') WHERE {BOB}'hat'",
        ["HAT: pays 2 of item:hat, not 1 of item:hat", "HAT: transfer HAT:grant:0 is 1 of item:hat"],
    ),
    "another owner": (
        f"UPDATE gamification.grants g SET cycle = 2 WHERE {BOB}'hat'",
        ["HAT: must be named g-"],
    ),
    "a reward": (
        "DELETE FROM gamification.definitions WHERE id = 'hat'",
        ["HAT: is of version 1 of reward hat, which there is not"],
    ),
    "the chances": (
        "UPDATE gamification.definitions"
        " SET document = jsonb_set(document, '{loot,guaranteed,0,min}', '\"7\"') WHERE id = 'chest'",
        ["PENDING: pays ", "CLAIMED: pays ", "TAKEN_BACK: pays "],
    ),
}


async def test_what_somebody_changed_is_found(database: Database, history: dict[str, str]) -> None:
    for case, (statement, expected) in CASES.items():
        async with database.connection() as connection:
            transaction = connection.transaction(isolation="repeatable_read")
            await transaction.start()
            await tamper(connection, statement)
            counted = await audited(connection, nobody)
            await transaction.rollback()
        assert counted.differing == len(counted.differences) > 0, case
        for beginning in expected:
            wanted = beginning
            for name in sorted(history, key=len, reverse=True):
                wanted = wanted.replace(name.upper(), history[name])
            assert any(line.startswith(wanted) for line in lines(counted)), (case, wanted, lines(counted))
    assert lines(await found(database)) == [], "each case was undone"


def settings(database_url: str) -> GamificationSettings:
    return GamificationSettings(database_url=database_url)  # type: ignore[arg-type]


async def test_the_command_says_what_it_counted(
    database_url: str, history: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await audit(settings(database_url), as_json=True)
    printed = capsys.readouterr()
    counted: dict[str, Any] = json.loads(printed.out)
    assert (counted["grants"], counted["differing"], counted["differences"]) == (12, 0, [])
    assert "audited 12 of 12 grants\n" in printed.err


async def test_the_command_fails_when_something_differs(
    database_url: str, database: Database, history: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with database.connection() as connection:
        await tamper(connection, CASES["a balance"][0])
    with pytest.raises(DataLoss):
        await audit(settings(database_url), as_json=False)
    assert capsys.readouterr().out.splitlines() == CASES["a balance"][1]
    process = await start("audit", "--json", service="gamification", DATABASE_URL=database_url)
    printed, _ = await process.communicate()
    assert process.returncode == 1
    assert json.loads(printed)["differences"][0] == {
        "subject": "player:bob item:hat",
        "what": "the balance is 2, its entries come to 1",
    }


async def test_an_audit_locks_nobody_out(
    database: Database, database_url: str, history: dict[str, str]
) -> None:
    """While it goes on, players claim; it sees all as of when it began."""
    async with committer(database_url) as running, database.connection() as connection:
        claimed: list[bytes] = []
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        await connection.fetchval("SELECT count(*) FROM gamification.grants")
        claimed.append(await running.run(claim("bob", history["pending"])))
        counted = await audited(connection, nobody)
        await transaction.rollback()
    assert claimed
    assert lines(counted) == []

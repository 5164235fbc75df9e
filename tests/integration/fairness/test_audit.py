"""`audit` finds nothing in what the service did, and whatever somebody else made of it."""

from __future__ import annotations

import json

import pytest

from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss
from services.fairness.audit import Audit, audit, audited
from services.fairness.settings import FairnessSettings
from tests.support.judged import block, decide, define, judge, rows, unblock


@pytest.fixture
async def flag(database: Database, database_url: str) -> str:
    """The id of one of two, after some history."""
    await define(database)
    async with judge(database_url) as one:
        await one.hear("e1", "p", value=11)
        await one.hear("e2", "q", value=6)
        await one.hear("e3", "q", value=6)
        await one.run(block("p"))
        await one.run(unblock("p"))
        [row] = await rows(database, "SELECT id FROM fairness.flags WHERE player_id = 'q'")
        await one.run(decide("q", row["id"]))
    return str(row["id"])


async def found(database: Database) -> Audit:
    async with database.connection() as connection:
        return await audited(connection)


async def test_what_the_service_did_is_right(
    database: Database, database_url: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = FairnessSettings(database_url=database_url)  # type: ignore[arg-type]
    capsys.readouterr()
    await audit(settings, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "lines": 12,
        "flags": 2,
        "sanctions": 5,
        "differing": 0,
        "differences": [],
    }


TAMPERED = {
    # What is done, `{flag}` being a flag, and what is told of it.
    "a line is changed": (
        "UPDATE fairness.audit SET details = replace(details, 'Too', 'too') WHERE sequence = 2",
        "line 2: is not what was hashed",
    ),
    "its time is changed": (
        "UPDATE fairness.audit SET at = at + '1us'::interval WHERE sequence = 7",
        "line 7: is not what was hashed",
    ),
    "it is hashed anew": (
        "UPDATE fairness.audit SET hash = previous WHERE sequence = 5",
        "line 6: does not hold the hash of the line before",
    ),
    "it is taken out": ("DELETE FROM fairness.audit WHERE sequence = 3", "line 4: follows line 2"),
    "the last one is taken out": (
        "DELETE FROM fairness.audit WHERE sequence = 12",
        "the log: the log ends with line 11, not with line 12 as it did",
    ),
    "two are exchanged": (
        "UPDATE fairness.audit SET sequence = CASE sequence WHEN 4 THEN 90 ELSE 4 END "
        "WHERE sequence IN (4, 5); UPDATE fairness.audit SET sequence = 5 WHERE sequence = 90",
        "line 4: does not hold the hash of the line before",
    ),
    "evidence is changed": (
        "UPDATE fairness.evidence SET evidence = (SELECT evidence FROM fairness.evidence e "
        "WHERE e.flag_id <> '{flag}') WHERE flag_id = '{flag}'",
        "{flag}: has other evidence than the log says",
    ),
    "evidence is broken": (
        "UPDATE fairness.evidence SET evidence = set_byte(evidence, 40, 255) WHERE flag_id = '{flag}'",
        "{flag}: has evidence that",
    ),
    "evidence is taken away": (
        "DELETE FROM fairness.evidence WHERE flag_id = '{flag}'",
        "{flag}: has no evidence",
    ),
    "a flag is taken away": (
        "DELETE FROM fairness.evidence WHERE flag_id = '{flag}'; "
        "DELETE FROM fairness.flags WHERE id = '{flag}'",
        "{flag}: is in the log, and nowhere else",
    ),
    "a decision is undone": (
        "UPDATE fairness.flags SET state = 'confirmed' WHERE id = '{flag}'",
        "{flag}: is confirmed, and dismissed by the log",
    ),
    "a restriction is ended": (
        "UPDATE fairness.sanctions SET ended_at = since WHERE ended_at IS NULL",
        "has ended, and not by the log",
    ),
    "a restriction goes on": (
        "UPDATE fairness.sanctions SET ended_at = NULL WHERE flag_id = ''",
        "has ended by the log, and has not",
    ),
    "a restriction is put in": (
        "INSERT INTO fairness.sanctions SELECT 's-0', player_id, state, hidden_since, boards, reason, "
        "automated, since, until, flag_id, NULL FROM fairness.sanctions WHERE flag_id = ''",
        "s-0: is not in the log",
    ),
}


_TABLES = ("evidence", "flags", "sanctions", "audit")


async def test_what_somebody_else_did_is_found(database: Database, flag: str) -> None:
    async with database.connection() as connection:
        for table in _TABLES:
            await connection.execute(f"CREATE TABLE {table} AS TABLE fairness.{table}")
    for what, texts in TAMPERED.items():
        statements, expected = (text.replace("{flag}", flag) for text in texts)
        await by_force(database, statements)
        told = [f"{each.subject}: {each.what}" for each in (await found(database)).differences]
        assert any(expected in each for each in told), (what, told)
        restored = (
            f"DELETE FROM fairness.{table}; INSERT INTO fairness.{table} TABLE {table}" for table in _TABLES
        )
        await by_force(database, "; ".join(restored))
        assert not (await found(database)).differences, what


async def by_force(database: Database, statements: str) -> None:
    """As somebody with all rights could."""

    async def tamper(connection: Connection) -> None:
        await connection.execute("SET LOCAL session_replication_role = replica")
        for statement in statements.split("; "):
            done = await connection.execute(statement)
            assert not done.endswith(" 0") or done == "DELETE 0", "nothing was changed"

    await database.transaction(tamper)


async def test_a_difference_ends_the_audit_with_an_error(
    database: Database, database_url: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE fairness.sanctions SET ended_at = NULL WHERE flag_id = ''")
    settings = FairnessSettings(database_url=database_url)  # type: ignore[arg-type]
    capsys.readouterr()
    with pytest.raises(DataLoss):
        await audit(settings, as_json=False)
    assert capsys.readouterr().out.endswith("has ended by the log, and has not\n")

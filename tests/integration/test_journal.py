"""The journal in a real PostgreSQL: the fence, lost answers, damage."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from services.chassis.db import Database
from services.chassis.errors import DataLoss, Unavailable
from services.combat.durability.journal_store import PostgresJournal, _columns
from services.combat.ports import Save, Segment
from tests.support.waiting import eventually

COMMAND_S = 0.3


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.connect(database_url, size=2, wait_s=2, command_s=5)
    yield opened
    await opened.close()


@pytest.fixture
async def journal(database_url: str, database: Database) -> AsyncIterator[PostgresJournal]:
    opened = PostgresJournal(database_url, database, wait_s=2, command_s=COMMAND_S)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_user(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else at the same database."""
    connection = await asyncpg.connect(database_url)
    for session_id in ("a", "b", "c"):
        await connection.execute(
            """INSERT INTO gameplay.combat_sessions (
                id, name, type, status, max_players, min_players, player_count, created_at, map_id,
                game_mode, ruleset_name, ruleset_version, tick_rate, spectator_delay_s, owner, epoch
            ) VALUES ($1, '', 'duel', 'ACTIVE', 2, 1, 0, now(), 'yard', 'duel', 'default', 1, 30, 0, 'w', 7)
            """,
            session_id,
        )
    yield connection
    await connection.close()


def segment(session_id: str, first: int, last: int, **changes: Any) -> Segment:
    made = Segment(session_id, 7, first, last, last * 2, last * 100, f"{session_id}{first}-{last}".encode())
    return replace(made, **changes)


@asynccontextmanager
async def held_up(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Commits of session a wait meanwhile."""
    async with connection.transaction():
        await connection.execute("UPDATE gameplay.combat_sessions SET player_count = 1 WHERE id = 'a'")
        yield


async def waiting_for_a_row(connection: asyncpg.Connection) -> bool:
    found = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid())"
    )
    return bool(found)


async def position(connection: asyncpg.Connection, session_id: str) -> tuple[int, int, int]:
    row = await connection.fetchrow(
        "SELECT journal_sequence, journal_tick, journal_time_us FROM gameplay.combat_sessions WHERE id = $1",
        session_id,
    )
    assert row is not None
    return tuple(row)


async def test_what_is_committed_is_read_back(
    journal: PostgresJournal, postgres_user: asyncpg.Connection
) -> None:
    written = [segment("a", 1, 4), segment("b", 1, 1, payload=os.urandom(1 << 20))]
    assert await journal.commit("w", written) == frozenset()
    more = segment("a", 5, 9)
    assert await journal.commit("w", [more]) == frozenset()
    assert await journal.read("a", 0, 10) == [written[0], more]
    assert await journal.read("b", 0, 10) == [written[1]]
    assert await journal.read("a", 3, 10) == [written[0], more]
    assert await journal.read("a", 4, 10) == [more]
    assert await journal.read("a", 0, 1) == [written[0]]
    assert await journal.read("a", 9, 10) == []
    assert await position(postgres_user, "a") == (9, 18, 900)
    checksum = await postgres_user.fetchval(
        "SELECT checksum FROM gameplay.combat_segments WHERE session_id = 'b'"
    )
    assert checksum == zlib.crc32(written[1].payload)


@pytest.mark.parametrize(
    ("owner", "stale"),
    [
        ("other", segment("a", 1, 3)),
        ("w", segment("a", 1, 3, epoch=6)),
        ("w", segment("a", 2, 3)),
        ("w", segment("nobody", 1, 3)),
    ],
    ids=["another owner", "an older epoch", "a gap", "no such session"],
)
@pytest.mark.usefixtures("postgres_user")
async def test_the_fence(journal: PostgresJournal, owner: str, stale: Segment) -> None:
    assert await journal.commit(owner, [stale]) == {stale.session_id}
    assert await journal.read(stale.session_id, 0, 10) == []


@pytest.mark.usefixtures("postgres_user")
async def test_a_fenced_session_does_not_keep_others_from_being_written(journal: PostgresJournal) -> None:
    save = Save(2, 4, b"whole")
    lost = segment("b", 1, 2, epoch=6, save=save)
    assert await journal.commit("w", [segment("a", 1, 2), lost, segment("c", 1, 2)]) == {"b"}
    assert [len(await journal.read(name, 0, 10)) for name in "abc"] == [1, 0, 1]
    assert await journal.save_before("b") is None


@pytest.mark.usefixtures("postgres_user")
async def test_a_commit_that_is_repeated_is_committed_once(journal: PostgresJournal) -> None:
    written = [segment("a", 1, 2, save=Save(2, 4, b"whole")), segment("b", 1, 2)]
    assert await journal.commit("w", written) == frozenset()
    assert await journal.commit("w", written) == frozenset()
    assert len(await journal.read("a", 0, 10)) == 1
    assert await journal.commit("w", [*written, segment("c", 1, 1)]) == frozenset()
    assert len(await journal.read("c", 0, 10)) == 1


async def test_an_attempt_that_was_given_up_and_still_goes_through_counts(
    journal: PostgresJournal, postgres_user: asyncpg.Connection
) -> None:
    written = [segment("a", 1, 2)]
    async with held_up(postgres_user):
        with pytest.raises(Unavailable):
            await journal.commit("w", written)
        again = asyncio.create_task(journal.commit("w", written))
        await eventually(lambda: waiting_for_a_row(postgres_user))
    assert await again == frozenset()
    assert len(await journal.read("a", 0, 10)) == 1


async def test_a_connection_that_broke_is_replaced(
    journal: PostgresJournal, postgres_user: asyncpg.Connection
) -> None:
    assert await journal.commit("w", [segment("a", 1, 1)]) == frozenset()
    async with held_up(postgres_user):
        cut = asyncio.create_task(journal.commit("w", [segment("a", 2, 2)]))
        await eventually(lambda: waiting_for_a_row(postgres_user))
        await postgres_user.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
        )
        with pytest.raises(Unavailable):
            await cut
    assert await journal.commit("w", [segment("a", 2, 2)]) == frozenset()
    assert len(await journal.read("a", 0, 10)) == 2


async def test_a_server_that_refuses_to_write_is_no_answer(
    journal: PostgresJournal, postgres_user: asyncpg.Connection
) -> None:
    name = await postgres_user.fetchval("SELECT current_database()")
    await postgres_user.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(Unavailable) as refused:
        await journal.commit("w", [segment("a", 1, 1)])
    assert refused.value.reason == "JOURNAL_UNAVAILABLE"
    await postgres_user.execute("SET default_transaction_read_only = off")
    await postgres_user.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await journal.commit("w", [segment("a", 1, 1)]) == frozenset()


@pytest.mark.usefixtures("postgres_user")
async def test_the_newest_save_before_a_tick(journal: PostgresJournal) -> None:
    saves = [Save(last, last * 2, os.urandom(9000)) for last in (1, 2, 3)]
    for save in saves:
        assert not await journal.commit("w", [segment("a", save.sequence, save.sequence, save=save)])
    assert await journal.save_before("a") == saves[2]
    assert await journal.save_before("a", 5) == saves[1]
    assert await journal.save_before("a", 4) == saves[1]
    assert await journal.save_before("a", 1) is None
    assert await journal.save_before("b") is None


async def test_damage_is_named(journal: PostgresJournal, postgres_user: asyncpg.Connection) -> None:
    for number in (1, 2, 3):
        assert not await journal.commit("w", [segment("a", number, number, payload=bytes(5000))])
    await postgres_user.execute(
        "UPDATE gameplay.combat_segments SET payload = set_byte(payload, 4321, 1) WHERE first_sequence = 2"
    )
    with pytest.raises(DataLoss, match="session a is damaged: the segment from record 2 on") as damaged:
        await journal.read("a", 0, 10)
    assert damaged.value.reason == "JOURNAL_DAMAGED"
    assert damaged.value.metadata == {"session_id": "a", "sequence": "2"}
    assert len(await journal.read("a", 2, 10)) == 1
    await postgres_user.execute("DELETE FROM gameplay.combat_segments WHERE first_sequence = 2")
    with pytest.raises(DataLoss, match="record 2 on is missing"):
        await journal.read("a", 1, 10)


async def test_a_commit_goes_to_disk_whatever_the_servers_default(
    journal: PostgresJournal, postgres_user: asyncpg.Connection
) -> None:
    assert await postgres_user.fetchval("SHOW synchronous_commit") == "off"
    await journal.commit("w", [segment("a", 1, 1)])
    assert journal._connection is not None
    assert await journal._connection.fetchval("SHOW synchronous_commit") == "on"


async def test_a_commit_never_reads_all_sessions(
    journal: PostgresJournal, postgres_user: asyncpg.Connection
) -> None:
    """Whatever statistics there are: these tables have none, and few rows."""
    await journal.commit("w", [segment("a", 1, 1)])
    assert journal._connection is not None
    statement = f"EXPLAIN {journal._sql['commit']}"
    arguments = _columns([segment("a", 2, 2), segment("b", 1, 1)])
    plan = "\n".join(row[0] for row in await journal._connection.fetch(statement, "w", *arguments))
    assert "Index Scan using combat_sessions_pkey on combat_sessions" in plan
    assert "Seq Scan" not in plan

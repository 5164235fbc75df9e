"""Partitions of the journal: made before they are needed, dropped when nobody needs them any more.

Days are those of the rows' `created_at`, in UTC. A row whose day has no partition is in the default one, and
stays there: nothing is ever moved. Each step is a transaction of its own that waits for a lock at most
LOCK_MS, because commits queue behind whoever waits for one; a step that does not get it is left for the next
time.
"""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from functools import partial

import asyncpg
import structlog

from services.chassis.db import Connection, Database

_log = structlog.get_logger()
TABLES = ("combat_segments", "combat_saves")
LOCK_MS = 100
# Rows of the default partition that one run deletes at most: they are found by reading all of it.
DELETED_AT_ONCE = 10_000
# Sessions whose journal must stay: live ones, and those that are over and not counted yet, unless counting
# has failed.
_NEEDED = """(
    session.status IN ('WAITING', 'ACTIVE')
    OR NOT session.projected AND NOT EXISTS (
        SELECT FROM gameplay.combat_projections AS projection
        WHERE projection.session_id = session.id AND projection.parked_at IS NOT NULL
    )
)"""
# Of the transactions below, so that two processes never do the same.
_LOCK = 0x61726A72


async def maintain(database: Database, today: date, days: int) -> None:
    """Makes the partitions of today and tomorrow, and drops what is more than `days` days old.

    A partition with rows of a session that still lives, or is not counted yet, stays whole. To be called
    about once an hour.

    Raises:
        Unavailable: the database does not answer.
    """
    cutoff = today - timedelta(days=days)
    for table in TABLES:
        partitions = await _partitions(database, table)
        for day in (today, today + timedelta(days=1)):
            if _name(table, day) not in partitions:
                await _step(database, partial(_make, table=table, day=day))
        for name in partitions:
            old = _day(name, table)
            if old is not None and old < cutoff:
                await _step(database, partial(_drop, name=name, day=old))
        await _step(database, partial(_delete, table=table, cutoff=cutoff))


async def _step(database: Database, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def locked(connection: Connection) -> None:
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            await work(connection)

    try:
        await database.transaction(locked)
    except asyncpg.LockNotAvailableError:
        _log.info("partition is in use; next time")


async def _partitions(database: Database, table: str) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT relid::regclass::text AS name FROM pg_partition_tree($1::regclass) WHERE isleaf",
            f"gameplay.{table}",
        )
    return sorted(row["name"].rpartition(".")[2] for row in rows)


async def _make(connection: Connection, table: str, day: date) -> None:
    """Attached, not created in place: that would lock the whole table, this only the default partition."""
    name = _name(table, day)
    try:
        async with connection.transaction():
            await connection.execute(
                f"CREATE TABLE gameplay.{name} (LIKE gameplay.{table} INCLUDING DEFAULTS INCLUDING STORAGE)"
            )
            await connection.execute(
                f"ALTER TABLE gameplay.{table} ATTACH PARTITION gameplay.{name}"
                f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            )
    except asyncpg.CheckViolationError:
        return  # the day has rows in the default partition: the rest of it will be there too
    _log.info("partition made", name=name)


async def _drop(connection: Connection, name: str, day: date) -> None:
    needed = await connection.fetchval(
        f"""SELECT EXISTS (
            SELECT FROM gameplay.combat_sessions AS session
            WHERE {_NEEDED}
              AND EXISTS (SELECT FROM gameplay.{name} AS kept WHERE kept.session_id = session.id)
        )"""
    )
    if needed:
        _log.info("partition is old, but a session needs it", name=name)
        return
    await connection.execute(f"DROP TABLE gameplay.{name}")
    _log.info("partition dropped", name=name, day=str(day))


async def _delete(connection: Connection, table: str, cutoff: date) -> None:
    """What the default partition holds of days before `cutoff`."""
    await connection.execute(
        f"""DELETE FROM gameplay.{table}_default
        WHERE ctid = ANY (ARRAY(
            SELECT kept.ctid
            FROM gameplay.{table}_default AS kept
            LEFT JOIN gameplay.combat_sessions AS session
              ON session.id = kept.session_id AND {_NEEDED}
            WHERE kept.created_at < $1 AND session.id IS NULL
            LIMIT {DELETED_AT_ONCE}
        ))""",
        datetime.combine(cutoff, time()),
    )


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _day(name: str, table: str) -> date | None:
    """None: the default partition, or one that somebody else made."""
    try:
        return datetime.strptime(name.removeprefix(f"{table}_"), "%Y%m%d").date()
    except ValueError:
        return None

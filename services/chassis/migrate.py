"""Applies `sql/migrations/NNNN_words.sql` of a service, in order, each once; refuses an unknown schema."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.chassis.db import Connection

_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+$")
_SCHEMA = re.compile(r"^[a-z_]+$")


class SchemaError(Exception):
    """The database's schema is not what this program was written for."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum` is of its text: an applied migration must never change."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def read(folder: Path) -> list[Migration]:
    """The migrations of a folder, numbered 1, 2, 3 ... without a gap.

    Raises:
        SchemaError: a file name or number is wrong.
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.match(path.stem)
        if match is None:
            raise SchemaError(f"{path.name}: a migration is named NNNN_words.sql")
        found.append(Migration(int(match[1]), path.stem, path.read_text()))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaError(f"{folder}: migrations must be numbered 0001, 0002 ... without gaps")
    return found


async def migrate(connection: asyncpg.Connection, schema: str, migrations: list[Migration]) -> list[str]:
    """Brings `schema` up to date in one transaction and returns the names applied.

    Two processes may call it at once: an advisory lock lets one work and the other find nothing to do.
    """
    _named(schema)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"migrate {schema}")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (version INTEGER PRIMARY KEY, "
            "name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
        )
        pending = await _pending(connection, schema, migrations)
        for migration in pending:
            await connection.execute(migration.text)
            await connection.execute(
                f"INSERT INTO {schema}.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    return [migration.name for migration in pending]


async def check(
    connection: asyncpg.Connection | Connection, schema: str, migrations: list[Migration]
) -> None:
    """Raises SchemaError unless every migration, and no other, has been applied."""
    _named(schema)
    if await connection.fetchval("SELECT to_regclass($1)", f"{schema}.schema_migrations") is None:
        raise SchemaError(f"schema {schema} does not exist yet: run `migrate`")
    pending = await _pending(connection, schema, migrations)
    if pending:
        raise SchemaError(f"schema {schema} lacks {pending[0].name}: run `migrate`")


async def _pending(
    connection: asyncpg.Connection | Connection, schema: str, migrations: list[Migration]
) -> list[Migration]:
    rows = await connection.fetch(
        f"SELECT version, name, checksum FROM {schema}.schema_migrations ORDER BY version"
    )
    if len(rows) > len(migrations):
        raise SchemaError(f"schema {schema} is newer than this program: it has {rows[-1]['name']}")
    for row, migration in zip(rows, migrations, strict=False):
        if (row["version"], row["checksum"]) != (migration.version, migration.checksum):
            raise SchemaError(f"schema {schema}: {row['name']} was applied with another content")
    return migrations[len(rows) :]


def _named(schema: str) -> None:
    if not _SCHEMA.match(schema):
        raise ValueError(f"not a schema name: {schema!r}")

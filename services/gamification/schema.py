"""The schema of this service, and what makes it."""

from pathlib import Path

from services.chassis import migrate

SCHEMA = "gamification"
SQL = Path(__file__).parent / "sql"


def migrations() -> list[migrate.Migration]:
    return migrate.read(SQL / "migrations")

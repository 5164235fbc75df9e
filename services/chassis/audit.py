"""What commands find that compare what is stored with what it should be."""

import argparse
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from services.chassis import migrate
from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss
from services.chassis.settings import Settings

_SHOWN = 1000
"""Differences that are told one by one. More are only counted."""
_STATEMENT_S = 3600
"""How long one statement may run: it may have to read all that there is."""
_log = structlog.get_logger()


class Difference(NamedTuple):
    """`subject`: what is not as it should be."""

    subject: str
    what: str


@dataclass(slots=True)
class Findings:
    """What is not as it should be. Services add how many of each they looked at."""

    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    """The first ones."""

    def differs(self, subject: str, what: str) -> None:
        self.differing += 1
        if len(self.differences) < _SHOWN:
            self.differences.append(Difference(subject, what))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object")


@asynccontextmanager
async def opened(
    settings: Settings, schema: str, migrations: list[migrate.Migration]
) -> AsyncIterator[Connection]:
    """A connection for an audit of a database that has the schema; statements may take long."""
    url, wait_s = settings.database_url.get_secret_value(), settings.database_wait_s
    database = await Database.connect(url, size=1, wait_s=wait_s, command_s=_STATEMENT_S)
    try:
        async with database.connection() as connection:
            await migrate.check(connection, schema, migrations)
            yield connection
    finally:
        await database.close()


def tell(found: Findings, *, as_json: bool, wrong: str) -> None:
    """Prints what was found and logs the counts.

    Raises:
        DataLoss, which says what is `wrong`: AUDIT_DIFFERS.
    """
    counts = dataclasses.asdict(found)
    del counts["differences"]
    counts["differing"] = counts.pop("differing")  # behind what was looked at
    if as_json:
        print(json.dumps(counts | {"differences": [each._asdict() for each in found.differences]}))
    else:
        for each in found.differences:
            print(f"{each.subject}: {each.what}")
    _log.info("audited", **counts)
    if found.differing:
        raise DataLoss(wrong, reason="AUDIT_DIFFERS")

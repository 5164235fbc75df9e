"""Fairness: `python -m services.fairness.main serve | migrate | check | audit | report`."""

import sys
from collections.abc import Sequence

import structlog

from services.chassis import migrate, program
from services.chassis.audit import options as audit_options
from services.chassis.db import connected, opened
from services.chassis.program import Command, Options
from services.chassis.server import run
from services.fairness import audit, report
from services.fairness.detectors import DetectorStore, read
from services.fairness.schema import SCHEMA, migrations
from services.fairness.settings import FairnessSettings
from services.fairness.wiring import built, detector_commands

_log = structlog.get_logger()


async def serve(settings: FairnessSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: FairnessSettings) -> None:
    """Brings the schema up to date, and installs detectors of DATA_DIR that are not there yet."""
    detectors = read(settings.data_dir)
    async with connected(settings) as connection:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
    async with opened(settings) as database:
        installed = await detector_commands(database, DetectorStore(), settings).install(detectors)
    _log.info("schema is up to date", applied=applied, detectors_installed=installed)


async def check(settings: FairnessSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema, detectors."""
    read(settings.data_dir)
    async with opened(settings) as database, database.connection() as connection:
        await migrate.check(connection, SCHEMA, migrations())
        await DetectorStore().present(connection)
    _log.info("ready to serve")


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "migrate": migrate_schema,
    "check": check,
    "audit": audit.audit,
    "report": report.report,
}
OPTIONS: dict[str, Options] = {"audit": audit_options, "report": report.options}


def main(arguments: Sequence[str] | None = None) -> int:
    return program.main("fairness", __doc__, FairnessSettings, COMMANDS, OPTIONS, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())

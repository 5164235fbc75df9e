"""Gamification: `python -m services.gamification.main serve | migrate | check | audit | new-key`."""

import sys
from collections.abc import Sequence

import structlog

from services.chassis import migrate, program
from services.chassis.audit import options as audit_options
from services.chassis.db import connected, opened
from services.chassis.program import Command
from services.chassis.redis import warn_when_away
from services.chassis.server import run
from services.gamification import audit, keys_cli
from services.gamification.definition_commands import DefinitionCommands, read, written
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.schema import SCHEMA, migrations
from services.gamification.settings import GamificationSettings
from services.gamification.shelf import Shelf
from services.gamification.wiring import built

_log = structlog.get_logger()


async def serve(settings: GamificationSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: GamificationSettings) -> None:
    """Brings the schema up to date, and installs definitions of DATA_DIR that are not there yet."""
    async with connected(settings) as connection:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
    async with opened(settings) as database:
        installed = await DefinitionCommands(database, DefinitionsStore()).install(settings.data_dir)
    _log.info("schema is up to date", applied=applied, definitions_installed=len(installed))


async def check(settings: GamificationSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema, definitions. Says whether Redis is
    there."""
    written(read(settings.data_dir), Shelf())
    async with opened(settings) as database, database.connection() as connection:
        await migrate.check(connection, SCHEMA, migrations())
        await DefinitionsStore().present(connection)
    await warn_when_away(settings, settings.cache_timeout_s, "reads come from postgresql")
    _log.info("ready to serve")


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "migrate": migrate_schema,
    "check": check,
    "audit": audit.audit,
    "new-key": keys_cli.new_key,
}
OPTIONS = {"audit": audit_options, "new-key": keys_cli.options}


def main(arguments: Sequence[str] | None = None) -> int:
    return program.main("gamification", __doc__, GamificationSettings, COMMANDS, OPTIONS, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())

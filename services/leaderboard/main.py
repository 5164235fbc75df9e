"""Leaderboards: `python -m services.leaderboard.main serve | migrate | check | rebuild`."""

import sys
from collections.abc import Sequence

import structlog

from services.chassis import migrate, program
from services.chassis.db import connected, opened
from services.chassis.program import Command
from services.chassis.redis import connect_redis, warn_when_away
from services.chassis.server import run
from services.leaderboard.boards import Boards, read
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.places import Place
from services.leaderboard.rebuild import Rebuilder
from services.leaderboard.schema import SCHEMA, migrations
from services.leaderboard.settings import LeaderboardSettings
from services.leaderboard.standings import Away, name
from services.leaderboard.wiring import built, connect_standings

_PATIENCE_S = 10.0
"""With Redis, where no player waits for an answer."""
_log = structlog.get_logger()


async def serve(settings: LeaderboardSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: LeaderboardSettings) -> None:
    """Brings the schema up to date, and installs boards of DATA_DIR that are not there yet."""
    boards = read(settings.data_dir)
    async with connected(settings) as connection:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
    async with opened(settings) as database:
        installed = await Boards(database, CatalogueStore()).install(boards)
    _log.info("schema is up to date", applied=applied, boards_installed=installed)


async def check(settings: LeaderboardSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema, boards. Says whether Redis is
    there."""
    read(settings.data_dir)
    async with opened(settings) as database, database.connection() as connection:
        await migrate.check(connection, SCHEMA, migrations())
        await CatalogueStore().present(connection)
    await warn_when_away(settings, settings.redis_timeout_s, "ranks come from postgresql")
    _log.info("ready to serve")


async def rebuild(settings: LeaderboardSettings) -> None:
    """Puts the order of every period that is not final into Redis anew, from PostgreSQL; processes may go on
    meanwhile."""
    async with opened(settings) as database, connect_redis(settings, _PATIENCE_S) as redis:
        standings = connect_standings(redis, settings)
        try:
            await Rebuilder(database, CatalogueStore(), standings).rebuild(_say)
        except Away as error:
            raise ConnectionError("redis is away: nothing can be put there") from error


def _say(place: Place, entries: int) -> None:
    print(f"{name(place)}: {entries}")


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "migrate": migrate_schema,
    "check": check,
    "rebuild": rebuild,
}


def main(arguments: Sequence[str] | None = None) -> int:
    return program.main("leaderboard", __doc__, LeaderboardSettings, COMMANDS, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())

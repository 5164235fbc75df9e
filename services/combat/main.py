"""A combat worker: `python -m services.combat.main serve | project | rebuild | migrate | check`."""

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog
from arenamesh.combat.v1 import service_pb2

from services.chassis import migrate, program
from services.chassis.admin import Check
from services.chassis.background import background, keep_house
from services.chassis.db import Database, connected
from services.chassis.interceptors import standard
from services.chassis.metrics import ARENAS, COMBAT
from services.chassis.program import Command
from services.chassis.redis import connect_redis, warn_when_away
from services.chassis.server import Server, run
from services.combat import project as projecting
from services.combat.catalogue import Catalogue, load_catalogue
from services.combat.durability import contract
from services.combat.durability.journal_store import PostgresJournal
from services.combat.live.matches import Matches
from services.combat.live.ownership_store import PostgresOwnership
from services.combat.live.play import Play, limits
from services.combat.live.sessions import Sessions
from services.combat.live.sweeper import Sweeper
from services.combat.replay.archive import Archive
from services.combat.replay.evidence import Evidence
from services.combat.replay.proof import Prover
from services.combat.replay.spectate import Spectate
from services.combat.replay.stream import Audience, Replay
from services.combat.schema import SCHEMA, migrations
from services.combat.servicer import CombatServicer
from services.combat.settings import CombatSettings
from services.combat.statistics.queries import Statistics
from services.combat.store import SessionStore

SERVICE = service_pb2.DESCRIPTOR.services_by_name["CombatService"]
ERROR_DOMAIN = "combat.arenamesh"
_log = structlog.get_logger()


@asynccontextmanager
async def built(settings: CombatSettings) -> AsyncIterator[Server]:
    """A worker, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    catalogue = load_catalogue(settings.data_dir)
    database = await Database.of(settings)
    redis = connect_redis(settings, settings.bus_timeout_s)
    store = SessionStore()
    journal = PostgresJournal(
        settings.database_url.get_secret_value(),
        database,
        wait_s=settings.database_wait_s,
        command_s=settings.database_command_s,
    )
    ownership = PostgresOwnership(
        settings.database_url.get_secret_value(),
        database,
        store,
        wait_s=settings.database_wait_s,
        lease_s=settings.lease_s,
        orphan_s=settings.orphan_s,
    )
    archive = Archive(
        database,
        store,
        journal,
        catalogue,
        limit=settings.max_playbacks,
        player_delay_s=settings.player_spectate_delay_s,
    )
    audience = Audience(limits(settings))
    matches = Matches(ownership, journal, catalogue, settings)
    sweeper = Sweeper(matches, ownership, settings.sweep_s)
    sessions = Sessions(database, store, matches, catalogue, settings)
    ARENAS.sources.add(matches.totals)

    async def drain() -> None:
        sweeper.stop()
        sessions.stop()
        await matches.drain()
        audience.drain()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        await matches.start()
        sweeper.start()
        sessions.start()
        servicer = CombatServicer(
            sessions=sessions,
            play=Play(sessions, journal, settings),
            spectate=Spectate(
                sessions,
                archive,
                audience,
                limit=settings.max_spectators,
                poll_s=settings.spectate_poll_s,
            ),
            replay=Replay(archive, audience),
            prover=Prover(archive),
            evidence=Evidence(archive, scan=settings.verdict_scan),
            statistics=Statistics(database),
        )
        async with background(partial(keep_house, database, SCHEMA, settings)):
            yield Server(
                settings=settings,
                services=[(SERVICE, servicer)],
                interceptors=standard(
                    settings,
                    error_domain=ERROR_DOMAIN,
                    longer_s={"VerifyReplay": settings.verify_timeout_s},
                    service_metrics=COMBAT,
                ),
                checks={"postgresql": Check(database.ping), "redis": Check(redis.ping, required=False)},
                on_drain=drain,
            )
    finally:
        ARENAS.sources.discard(matches.totals)
        await drain()
        await journal.close()
        await redis.aclose()
        await database.close()


async def serve(settings: CombatSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: CombatSettings) -> None:
    """Brings the schema up to date."""
    async with connected(settings) as connection:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
        await contract.write(connection)
    _log.info("schema is up to date", applied=applied)


async def check(settings: CombatSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema. Says whether Redis is there."""
    Catalogue(settings.data_dir)
    async with connected(settings) as connection:
        await migrate.check(connection, SCHEMA, migrations())
    await warn_when_away(settings, settings.bus_timeout_s, "combat does without")
    _log.info("ready to serve")


async def project(settings: CombatSettings) -> None:
    """Counts journals, tells their events, keeps their partitions; until SIGTERM or SIGINT."""
    await projecting.project(settings)


async def rebuild(settings: CombatSettings, session: str) -> None:
    """Counts statistics again; tells nobody anything."""
    await projecting.rebuild(settings, session)


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "project": project,
    "migrate": migrate_schema,
    "check": check,
    "rebuild": rebuild,
}


def _rebuild_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", default="", metavar="ID", help="only this one; default: all")


def main(arguments: Sequence[str] | None = None) -> int:
    return program.main(
        "combat", __doc__, CombatSettings, COMMANDS, {"rebuild": _rebuild_options}, arguments=arguments
    )


if __name__ == "__main__":
    sys.exit(main())

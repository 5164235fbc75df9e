"""A combat worker: `python -m services.combat.main serve | project | rebuild | migrate | check`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import structlog
from arenamesh.combat.v1 import service_pb2
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import logging, migrate
from services.chassis.admin import Check
from services.chassis.auth import Verifier
from services.chassis.db import Database
from services.chassis.errors import DomainError
from services.chassis.interceptors import standard
from services.chassis.metrics import ARENAS, COMBAT
from services.chassis.migrate import SchemaError
from services.chassis.server import Server, run
from services.chassis.settings import SettingsError
from services.combat import contract
from services.combat import project as projecting
from services.combat.archive import Archive
from services.combat.catalogue import Catalogue
from services.combat.evidence import Evidence
from services.combat.journal_store import PostgresJournal
from services.combat.matches import Matches
from services.combat.ownership_store import PostgresOwnership
from services.combat.play import Play, limits
from services.combat.proof import Prover
from services.combat.replay import Audience, Replay
from services.combat.servicer import CombatServicer
from services.combat.sessions import Sessions
from services.combat.settings import CombatSettings
from services.combat.spectate import Spectate
from services.combat.statistics import Statistics
from services.combat.store import SCHEMA, SessionStore, migrations
from services.combat.sweeper import Sweeper

SERVICE = service_pb2.DESCRIPTOR.services_by_name["CombatService"]
ERROR_DOMAIN = "combat.arenamesh"
_log = structlog.get_logger()


@asynccontextmanager
async def built(settings: CombatSettings) -> AsyncIterator[Server]:
    """A worker, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    catalogue = Catalogue(settings.data_dir)
    database = await Database.of(settings)
    redis = _redis(settings)
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
        yield Server(
            settings=settings,
            service=SERVICE,
            servicer=CombatServicer(
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
            ),
            interceptors=standard(
                error_domain=ERROR_DOMAIN,
                verifier=Verifier(settings.jwt_secret.get_secret_value()),
                request_timeout_s=settings.request_timeout_s,
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


def _redis(settings: CombatSettings) -> Redis:
    """Nothing of a match is there, so nothing waits for it for long."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=settings.bus_timeout_s,
        socket_connect_timeout=settings.bus_timeout_s,
    )


async def serve(settings: CombatSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: CombatSettings) -> None:
    """Brings the schema up to date."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
        await contract.write(connection)
    finally:
        await connection.close()
    _log.info("schema is up to date", applied=applied)


async def check(settings: CombatSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema. Says whether Redis is there."""
    Catalogue(settings.data_dir)
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        await migrate.check(connection, SCHEMA, migrations())
    finally:
        await connection.close()
    async with _redis(settings) as redis:
        try:
            await redis.ping()
        except RedisError as error:
            _log.warning("redis is away: combat does without", error=repr(error))
    _log.info("ready to serve")


async def project(settings: CombatSettings) -> None:
    """Counts journals, tells their events, keeps their partitions; until SIGTERM or SIGINT."""
    await projecting.project(settings)


COMMANDS = {"serve": serve, "project": project, "migrate": migrate_schema, "check": check}


def main() -> int:
    parser = argparse.ArgumentParser(prog="services.combat.main", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, each in COMMANDS.items():
        commands.add_parser(name, help=each.__doc__)
    again = commands.add_parser("rebuild", help="Counts statistics again; tells nobody anything.")
    again.add_argument("--session", default="", metavar="ID", help="only this one; default: all")
    arguments = parser.parse_args()
    command = COMMANDS.get(arguments.command) or partial(projecting.rebuild, session_id=arguments.session)
    try:
        settings = CombatSettings.load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.configure(settings.log_level, service="combat", worker=settings.worker_name)
    try:
        asyncio.run(command(settings))
    except (SchemaError, DomainError, OSError, asyncpg.PostgresError, RuntimeError, ValueError) as error:
        _log.error("cannot go on", error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The progression service: `python -m services.progression.main serve | migrate | check`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog
from arenamesh.progression.v1 import service_pb2
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import logging, migrate
from services.chassis.admin import Check
from services.chassis.auth import Verifier
from services.chassis.db import Database
from services.chassis.errors import DomainError
from services.chassis.interceptors import standard
from services.chassis.metrics import PROGRESSION
from services.chassis.migrate import SchemaError
from services.chassis.server import Server, run
from services.chassis.settings import SettingsError
from services.progression.schema import SCHEMA, migrations
from services.progression.servicer import ProgressionServicer
from services.progression.settings import ProgressionSettings

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ProgressionService"]
ERROR_DOMAIN = "progression.arenamesh"
_log = structlog.get_logger()


@asynccontextmanager
async def built(settings: ProgressionSettings) -> AsyncIterator[Server]:
    """A server, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    database = await Database.of(settings)
    redis = _redis(settings)
    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        yield Server(
            settings=settings,
            service=SERVICE,
            servicer=ProgressionServicer(),
            interceptors=standard(
                error_domain=ERROR_DOMAIN,
                verifier=Verifier(settings.jwt_secret.get_secret_value()),
                request_timeout_s=settings.request_timeout_s,
                service_metrics=PROGRESSION,
            ),
            checks={"postgresql": Check(database.ping), "redis": Check(redis.ping, required=False)},
        )
    finally:
        await redis.aclose()
        await database.close()


def _redis(settings: ProgressionSettings) -> Redis:
    """Nothing is only there, so nothing waits for it for long."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=settings.cache_timeout_s,
        socket_connect_timeout=settings.cache_timeout_s,
    )


async def serve(settings: ProgressionSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: ProgressionSettings) -> None:
    """Brings the schema up to date."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
    finally:
        await connection.close()
    _log.info("schema is up to date", applied=applied)


async def check(settings: ProgressionSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema. Says whether Redis is there."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        await migrate.check(connection, SCHEMA, migrations())
    finally:
        await connection.close()
    async with _redis(settings) as redis:
        try:
            await redis.ping()
        except RedisError as error:
            _log.warning("redis is away: reads come from postgresql", error=repr(error))
    _log.info("ready to serve")


COMMANDS = {"serve": serve, "migrate": migrate_schema, "check": check}


def main() -> int:
    parser = argparse.ArgumentParser(prog="services.progression.main", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, each in COMMANDS.items():
        commands.add_parser(name, help=each.__doc__)
    arguments = parser.parse_args()
    try:
        settings = ProgressionSettings.load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.configure(settings.log_level, service="progression", worker=settings.worker_name)
    try:
        asyncio.run(COMMANDS[arguments.command](settings))
    except (SchemaError, DomainError, OSError, asyncpg.PostgresError, RuntimeError, ValueError) as error:
        _log.error("cannot go on", error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Progression: `python -m services.progression.main serve | migrate | check | rebuild | remap`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import structlog
from arenamesh.progression.v1 import service_pb2
from redis.exceptions import RedisError

from services.chassis import logging, migrate
from services.chassis.admin import Check
from services.chassis.auth import Verifier
from services.chassis.bus import connect
from services.chassis.bus.port import Subscription
from services.chassis.db import Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.errors import DomainError
from services.chassis.interceptors import standard
from services.chassis.metrics import PROGRESSION
from services.chassis.migrate import SchemaError
from services.chassis.outbox import Outbox
from services.chassis.relay import Relay, RelayLimits
from services.chassis.server import Server, run
from services.chassis.settings import SettingsError
from services.chassis.singleton import Singleton
from services.progression.background import background, keep_house
from services.progression.cache import Cache
from services.progression.commands import Commands
from services.progression.connections import connect_redis, installed
from services.progression.heard import Heard
from services.progression.history import History
from services.progression.ledger import Ledger
from services.progression.operations import rebuild, remap
from services.progression.reader import Reader
from services.progression.schema import SCHEMA, migrations
from services.progression.servicer import ProgressionServicer
from services.progression.settings import ProgressionSettings
from services.progression.statistics import Statistics
from services.progression.told import tell
from services.progression.watch import Hub, Watch
from services.progression.write_through import WriteThrough

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ProgressionService"]
ERROR_DOMAIN = "progression.arenamesh"
_STANDBY_S = 2.0
_log = structlog.get_logger()


@asynccontextmanager
async def built(settings: ProgressionSettings) -> AsyncIterator[Server]:
    """A server, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
        ValueError: a data file is wrong, or DEFINITION is not among them.
    """
    definitions = installed(settings)
    database = await Database.of(settings)
    ledgers = await Database.dedicated(settings)
    redis = connect_redis(settings)
    bus = connect(settings)
    cache = Cache(redis, seconds=settings.cache_seconds, retry_s=settings.cache_retry_s)
    writing = WriteThrough(cache)
    reader = Reader(database, cache, batch=settings.read_batch)
    history = History(database)
    hub = Hub(redis, history, limit=settings.max_watchers, poll_s=settings.watch_poll_s)
    ledger = Ledger(
        ledgers, definitions, tell=tell, batch=settings.ledger_batch, waiting=settings.ledger_waiting
    )
    ledger.listeners += [writing.told, hub.told]
    relay = Relay(database, Outbox(SCHEMA), bus, RelayLimits.of(settings))
    relays = Singleton(settings.database_url.get_secret_value(), f"relay {SCHEMA}", standby_s=_STANDBY_S)
    subscriptions: list[Subscription] = []

    async def drain() -> None:
        hub.drain()
        await asyncio.gather(*(each.close() for each in subscriptions))
        await ledger.close()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        ledger.start()
        heard = Heard(ledger, definitions)
        subscriptions += await heard.subscribe(bus, DeadLetters(SCHEMA).sink(database))
        async with background(
            partial(relays.run, relay.run),
            hub.poll,
            hub.listen,
            cache.recover,
            partial(keep_house, database, settings),
        ):
            yield Server(
                settings=settings,
                service=SERVICE,
                servicer=ProgressionServicer(
                    definitions=definitions,
                    commands=Commands(ledger, definitions, writing),
                    reader=reader,
                    history=history,
                    statistics=Statistics(database, seconds=settings.statistics_seconds),
                    watch=Watch(
                        hub,
                        reader,
                        history,
                        definitions,
                        batch=settings.watch_batch,
                        write_s=settings.watch_write_s,
                    ),
                ),
                interceptors=standard(
                    error_domain=ERROR_DOMAIN,
                    verifier=Verifier(settings.jwt_secret.get_secret_value()),
                    request_timeout_s=settings.request_timeout_s,
                    service_metrics=PROGRESSION,
                ),
                checks={"postgresql": Check(database.ping), "redis": Check(redis.ping, required=False)},
                on_drain=drain,
            )
    finally:
        await drain()
        await bus.close()
        await redis.aclose()
        await ledgers.close()
        await database.close()


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
    installed(settings)
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        await migrate.check(connection, SCHEMA, migrations())
    finally:
        await connection.close()
    async with connect_redis(settings) as redis:
        try:
            await redis.ping()
        except RedisError as error:
            _log.warning("redis is away: reads come from postgresql", error=repr(error))
    _log.info("ready to serve")


COMMANDS = {"serve": serve, "migrate": migrate_schema, "check": check, "rebuild": rebuild}


def main() -> int:
    parser = argparse.ArgumentParser(prog="services.progression.main", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, each in COMMANDS.items():
        commands.add_parser(name, help=each.__doc__)
    moved = commands.add_parser("remap", help=remap.__doc__)
    moved.add_argument(
        "--dry-run", action="store_true", help="change nothing; print what levels would change"
    )
    arguments = parser.parse_args()
    command = COMMANDS.get(arguments.command) or partial(remap, dry_run=arguments.dry_run)
    try:
        settings = ProgressionSettings.load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.configure(settings.log_level, service="progression", worker=settings.worker_name)
    try:
        asyncio.run(command(settings))
    except (SchemaError, DomainError, OSError, asyncpg.PostgresError, RuntimeError, ValueError) as error:
        _log.error("cannot go on", error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

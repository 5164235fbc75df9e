"""Progression: `python -m services.progression.main serve | migrate | check | rebuild | remap`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog
from arenamesh.progression.v1 import service_pb2

from services.chassis import migrate, program
from services.chassis.admin import Check
from services.chassis.background import background, keep_house
from services.chassis.bus import connect
from services.chassis.bus.port import Subscription
from services.chassis.db import Database, connected
from services.chassis.dead_letters import DeadLetters
from services.chassis.interceptors import standard
from services.chassis.metrics import PROGRESSION, PROGRESSION_WATCHERS
from services.chassis.program import Command
from services.chassis.redis import connect_redis, warn_when_away
from services.chassis.relay import relay
from services.chassis.server import Server, run
from services.chassis.wake import Hub
from services.chassis.write_through import WriteThrough
from services.progression.cache import cache, versions
from services.progression.commands import Commands
from services.progression.definitions import installed
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
from services.progression.watch import Watch

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ProgressionService"]
ERROR_DOMAIN = "progression.arenamesh"
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
    redis = connect_redis(settings, settings.cache_timeout_s)
    bus = connect(settings)
    cached = cache(redis, seconds=settings.cache_seconds, retry_s=settings.cache_retry_s)
    writing = WriteThrough(cached.put)
    reader = Reader(database, cached, batch=settings.read_batch)
    history = History(database)
    hub = Hub(
        redis,
        channel=cached.changes,
        versions=history.versions,
        limit=settings.max_watchers,
        poll_s=settings.watch_poll_s,
        streams=PROGRESSION_WATCHERS,
    )
    ledger = Ledger(
        ledgers, definitions, tell=tell, batch=settings.ledger_batch, waiting=settings.ledger_waiting
    )
    ledger.listeners += [writing.told, lambda characters: hub.told(versions(characters))]
    subscriptions: list[Subscription] = []

    async def drain() -> None:
        hub.drain()
        await asyncio.gather(*(each.close() for each in subscriptions))
        await ledger.close()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        ledger.start()
        servicer = ProgressionServicer(
            definitions=definitions,
            commands=Commands(ledger, definitions, writing),
            reader=reader,
            history=history,
            statistics=Statistics(database, seconds=settings.statistics_seconds),
            watch=Watch(
                hub, reader, history, definitions, batch=settings.watch_batch, write_s=settings.watch_write_s
            ),
        )
        heard = Heard(ledger, definitions)
        subscriptions += await heard.subscribe(bus, DeadLetters(SCHEMA).sink(database))
        async with background(
            partial(relay, database, SCHEMA, bus, settings),
            hub.poll,
            hub.listen,
            cached.recover,
            partial(keep_house, database, SCHEMA, settings),
        ):
            yield Server(
                settings=settings,
                services=[(SERVICE, servicer)],
                interceptors=standard(settings, error_domain=ERROR_DOMAIN, service_metrics=PROGRESSION),
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
    async with connected(settings) as connection:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
    _log.info("schema is up to date", applied=applied)


async def check(settings: ProgressionSettings) -> None:
    """Whether `serve` would start: settings, data files, database, schema. Says whether Redis is there."""
    installed(settings)
    async with connected(settings) as connection:
        await migrate.check(connection, SCHEMA, migrations())
    await warn_when_away(settings, settings.cache_timeout_s, "reads come from postgresql")
    _log.info("ready to serve")


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "migrate": migrate_schema,
    "check": check,
    "rebuild": rebuild,
    "remap": remap,
}


def _remap_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing; print what levels would change"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    return program.main(
        "progression", __doc__, ProgressionSettings, COMMANDS, {"remap": _remap_options}, arguments=arguments
    )


if __name__ == "__main__":
    sys.exit(main())

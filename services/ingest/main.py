"""Ingest: `python -m services.ingest.main serve | migrate | check`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog
from arenamesh.liveops.v1 import ingest_service_pb2

from services.chassis import migrate, program
from services.chassis.admin import Check
from services.chassis.background import background, keep_house
from services.chassis.bus import connect
from services.chassis.bus.port import Subscription
from services.chassis.db import Database, connected
from services.chassis.dead_letters import DeadLetters
from services.chassis.interceptors import standard
from services.chassis.metrics import INGEST
from services.chassis.program import Command
from services.chassis.redis import connect_redis, warn_when_away
from services.chassis.relay import relay
from services.chassis.server import Server, run
from services.ingest import keys
from services.ingest.committer import Committer
from services.ingest.event_types import EventTypes
from services.ingest.heard import Heard
from services.ingest.housekeeping import forget
from services.ingest.intake import Intake, Limits
from services.ingest.limits import LocalRates, Rates, SharedRates
from services.ingest.refused import Refused
from services.ingest.schema import SCHEMA, migrations
from services.ingest.servicer import IngestServicer
from services.ingest.settings import IngestSettings
from services.ingest.shapes import Shapes, Times
from services.ingest.signatures import Verifier
from services.ingest.store import IngestStore

SERVICE = ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"]
ERROR_DOMAIN = "ingest.arenamesh"
_log = structlog.get_logger()


@asynccontextmanager
async def built(settings: IngestSettings) -> AsyncIterator[Server]:
    """A server, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    database = await Database.of(settings)
    committing = await Database.dedicated(settings)
    redis = connect_redis(settings, settings.redis_timeout_s)
    bus = connect(settings)
    refused = Refused(database, every_s=settings.refused_s, most=settings.refused_players)
    committer = Committer(
        committing,
        Rates(SharedRates(redis), LocalRates(settings.local_rates), retry_s=settings.redis_retry_s),
        refused,
        producer=settings.rate("producer"),
        player=settings.rate("player"),
        pause_s=settings.throttle_pause_s,
        batch=settings.commit_batch,
        waiting=settings.commit_waiting,
        every_s=settings.commit_every_s,
    )
    types = EventTypes(database, most=settings.max_event_types, poll_s=settings.types_poll_s)
    store = IngestStore()
    subscriptions: list[Subscription] = []

    async def drain() -> None:
        await asyncio.gather(*(each.close() for each in subscriptions))
        await committer.close()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        await types.refresh()
        committer.start()
        subscriptions.append(await Heard(database, store).subscribe(bus, DeadLetters(SCHEMA).sink(database)))
        intake = Intake(
            committer,
            _verifier(settings),
            Shapes(types.schemas, _times(settings)),
            Limits(settings.max_body_bytes, settings.max_batch_bytes),
        )
        async with background(
            partial(relay, database, SCHEMA, bus, settings),
            types.poll,
            refused.run,
            partial(forget, database, store, settings),
            partial(keep_house, database, SCHEMA, settings),
        ):
            yield Server(
                settings=settings,
                services=[(SERVICE, IngestServicer(intake, types, database, store))],
                interceptors=standard(settings, error_domain=ERROR_DOMAIN, service_metrics=INGEST),
                checks={"postgresql": Check(database.ping), "redis": Check(redis.ping, required=False)},
                on_drain=drain,
            )
    finally:
        await drain()
        await refused.tell()
        await bus.close()
        await redis.aclose()
        await committing.close()
        await database.close()


def _verifier(settings: IngestSettings) -> Verifier:
    found = keys.parse(settings.ingest_keys.get_secret_value(), settings.hmac_secret.get_secret_value())
    return Verifier(found, body_signatures=settings.allows_body_signatures)


def _times(settings: IngestSettings) -> Times:
    behind = timedelta(days=settings.max_behind_days) if settings.max_behind_days else None
    return Times(timedelta(seconds=settings.max_ahead_s), behind)


async def serve(settings: IngestSettings) -> None:
    """Until SIGTERM or SIGINT."""
    async with built(settings) as server:
        await run(server)


async def migrate_schema(settings: IngestSettings) -> None:
    """Brings the schema up to date."""
    async with connected(settings) as connection:
        applied = await migrate.migrate(connection, SCHEMA, migrations())
    _log.info("schema is up to date", applied=applied)


async def check(settings: IngestSettings) -> None:
    """Whether `serve` would start: settings, keys, database, schema. Says whether Redis is there."""
    async with connected(settings) as connection:
        await migrate.check(connection, SCHEMA, migrations())
    await warn_when_away(settings, settings.redis_timeout_s, "each process limits by itself")
    _log.info("ready to serve")


COMMANDS: dict[str, Command] = {"serve": serve, "migrate": migrate_schema, "check": check}


def main(arguments: Sequence[str] | None = None) -> int:
    return program.main("ingest", __doc__, IngestSettings, COMMANDS, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())

"""What a serving process is made of, and how it is wired. No logic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from arenamesh.liveops.v1 import fairness_service_pb2

from services.chassis import migrate
from services.chassis.admin import Check
from services.chassis.background import background, keep_house
from services.chassis.bus import connect
from services.chassis.bus.port import Subscription
from services.chassis.db import Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.interceptors import standard
from services.chassis.metrics import FAIRNESS
from services.chassis.relay import relay
from services.chassis.server import Server
from services.chassis.singleton import Singleton
from services.fairness.commands import Commands
from services.fairness.committer import Committer
from services.fairness.detector_commands import DetectorCommands
from services.fairness.detectors import Detectors, DetectorStore
from services.fairness.domain.happened import Limits
from services.fairness.heard import Heard
from services.fairness.peer_book import PeerBook
from services.fairness.queries import Queries
from services.fairness.schema import SCHEMA, migrations
from services.fairness.servicer import FairnessServicer
from services.fairness.settings import FairnessSettings
from services.fairness.sweeper import Sweeper
from services.fairness.translate_evidence import encode

SERVICE = fairness_service_pb2.DESCRIPTOR.services_by_name["FairnessService"]
ERROR_DOMAIN = "fairness.arenamesh"


def detector_commands(
    database: Database, store: DetectorStore, settings: FairnessSettings
) -> DetectorCommands:
    return DetectorCommands(
        database,
        store,
        promotion_observations=settings.promotion_observations,
        most=settings.max_detectors,
    )


@asynccontextmanager
async def built(settings: FairnessSettings) -> AsyncIterator[Server]:
    """A server, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    database = await Database.of(settings)
    committing = await Database.dedicated(settings)
    bus = connect(settings)
    store = DetectorStore()
    detectors = Detectors(database, store)
    peers = PeerBook(database, store, every_s=settings.peers_s)
    limits = Limits(timedelta(seconds=settings.dismissed_s), timedelta(days=settings.appeal_days))
    committer = Committer(
        committing,
        store,
        peers.peers,
        encode,
        limits,
        batch=settings.commit_batch,
        waiting=settings.commit_waiting,
    )
    sweeping = Singleton.of(settings, f"sweeper {SCHEMA}")
    keep = timedelta(days=settings.observation_days)
    sweeper = Sweeper(database, committer, every_s=settings.sweep_s, keep=keep)
    subscriptions: list[Subscription] = []

    async def drain() -> None:
        await asyncio.gather(*(each.close() for each in subscriptions))
        await committer.close()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        await detectors.current()
        await peers.read()
        committer.start()
        subscriptions += await Heard(committer, detectors).subscribe(bus, DeadLetters(SCHEMA).sink(database))
        servicer = FairnessServicer(
            detectors, detector_commands(database, store, settings), Commands(committer), Queries(database)
        )
        async with background(
            partial(relay, database, SCHEMA, bus, settings),
            partial(sweeping.run, sweeper.run),
            peers.run,
            partial(keep_house, database, SCHEMA, settings),
        ):
            yield Server(
                settings=settings,
                services=[(SERVICE, servicer)],
                interceptors=standard(settings, error_domain=ERROR_DOMAIN, service_metrics=FAIRNESS),
                checks={"postgresql": Check(database.ping)},
                on_drain=drain,
            )
    finally:
        await drain()
        await bus.close()
        await committing.close()
        await database.close()

"""What a serving process is made of, and how it is wired. No logic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from arenamesh.liveops.v1 import leaderboard_service_pb2
from redis.asyncio import Redis

from services.chassis import migrate
from services.chassis.admin import Check
from services.chassis.background import background, keep_house
from services.chassis.bus import connect
from services.chassis.bus.port import Subscription
from services.chassis.db import Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.interceptors import standard
from services.chassis.metrics import LEADERBOARD
from services.chassis.redis import connect_redis
from services.chassis.server import Server
from services.chassis.singleton import Singleton
from services.leaderboard.archive import Archive
from services.leaderboard.boards import Boards
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.commands import Commands
from services.leaderboard.committer import Committer
from services.leaderboard.finaliser import Finaliser
from services.leaderboard.heard import Heard
from services.leaderboard.housekeeping import forget
from services.leaderboard.periods import Periods
from services.leaderboard.rankings import Rankings
from services.leaderboard.rebuild import Rebuilder
from services.leaderboard.schema import SCHEMA, migrations
from services.leaderboard.servicer import LeaderboardServicer
from services.leaderboard.settings import LeaderboardSettings
from services.leaderboard.standings import Standings
from services.leaderboard.watch import Watch, telling, watch_hub

SERVICE = leaderboard_service_pb2.DESCRIPTOR.services_by_name["LeaderboardService"]
ERROR_DOMAIN = "leaderboard.arenamesh"


def connect_standings(redis: Redis, settings: LeaderboardSettings) -> Standings:
    return Standings(redis, retry_s=settings.redis_retry_s, keep_s=settings.final_hours * 3600)


@asynccontextmanager
async def built(settings: LeaderboardSettings) -> AsyncIterator[Server]:
    """A server, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    database = await Database.of(settings)
    committing = await Database.dedicated(settings)
    redis = connect_redis(settings, settings.redis_timeout_s)
    bus = connect(settings)
    catalogue = CatalogueStore()
    boards = Boards(database, catalogue)
    standings = connect_standings(redis, settings)
    rankings, periods = Rankings(standings, Archive(database)), Periods(database)
    rebuilder = Rebuilder(database, catalogue, standings)
    finaliser = Finaliser(database, every_s=settings.finalise_s)
    finalising = Singleton.of(settings, f"finaliser {SCHEMA}")
    hub = watch_hub(redis, limit=settings.max_watchers, poll_s=settings.watch_poll_s)
    committer = Committer(
        committing,
        catalogue,
        standings,
        worker=settings.worker_name,
        batch=settings.commit_batch,
        waiting=settings.commit_waiting,
    )
    committer.listeners.append(telling(hub, redis))
    subscriptions: list[Subscription] = []

    async def drain() -> None:
        hub.drain()
        await asyncio.gather(*(each.close() for each in subscriptions))
        await committer.close()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        await boards.current()
        await rebuilder.catch_up()
        committer.start()
        heard = Heard(committer, boards)
        subscriptions += await heard.subscribe(bus, DeadLetters(SCHEMA).sink(database))
        watch = Watch(
            hub,
            boards,
            rankings,
            periods,
            every_s=settings.watch_every_s,
            write_s=settings.watch_write_s,
        )
        servicer = LeaderboardServicer(boards, Commands(committer, boards), rankings, periods, watch)
        async with background(
            standings.recover,
            rebuilder.run,
            partial(finalising.run, finaliser.run),
            hub.poll,
            hub.listen,
            partial(forget, database, settings),
            partial(keep_house, database, SCHEMA, settings),
        ):
            yield Server(
                settings=settings,
                services=[(SERVICE, servicer)],
                interceptors=standard(settings, error_domain=ERROR_DOMAIN, service_metrics=LEADERBOARD),
                checks={"postgresql": Check(database.ping), "redis": Check(redis.ping, required=False)},
                on_drain=drain,
            )
    finally:
        await drain()
        await bus.close()
        await redis.aclose()
        await committing.close()
        await database.close()

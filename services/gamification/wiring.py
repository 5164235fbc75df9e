"""What a serving process is made of, and how it is wired. No logic."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from arenamesh.gamification.v1 import (
    achievement_service_pb2,
    metric_service_pb2,
    notification_service_pb2,
    quest_service_pb2,
    reward_service_pb2,
)

from services.chassis import migrate
from services.chassis.admin import Check
from services.chassis.background import background, keep_house
from services.chassis.bus import connect
from services.chassis.bus.port import Subscription
from services.chassis.db import Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.interceptors import standard
from services.chassis.metrics import GAMIFICATION
from services.chassis.redis import connect_redis
from services.chassis.relay import relay
from services.chassis.server import Server
from services.chassis.singleton import Singleton
from services.chassis.write_through import WriteThrough
from services.gamification.commands import Commands
from services.gamification.committer import Committer
from services.gamification.definition_commands import DefinitionCommands
from services.gamification.definitions_store import Definitions, DefinitionsStore
from services.gamification.feed import Feed, FeedStore, feed_hub, telling
from services.gamification.heard import Heard
from services.gamification.players import Players, cache
from services.gamification.queries import Queries
from services.gamification.receipts import KeyRing
from services.gamification.schema import SCHEMA, migrations
from services.gamification.servicers.achievements import AchievementServicer
from services.gamification.servicers.metrics import MetricServicer
from services.gamification.servicers.notifications import NotificationServicer
from services.gamification.servicers.quests import QuestServicer
from services.gamification.servicers.rewards import RewardServicer
from services.gamification.settings import GamificationSettings
from services.gamification.sweeper import Sweeper

ACHIEVEMENTS = achievement_service_pb2.DESCRIPTOR.services_by_name["AchievementService"]
METRICS = metric_service_pb2.DESCRIPTOR.services_by_name["MetricService"]
NOTIFICATIONS = notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"]
QUESTS = quest_service_pb2.DESCRIPTOR.services_by_name["QuestService"]
REWARDS = reward_service_pb2.DESCRIPTOR.services_by_name["RewardService"]
ERROR_DOMAIN = "gamification.arenamesh"


@asynccontextmanager
async def built(settings: GamificationSettings) -> AsyncIterator[Server]:
    """A server, wired and not yet started; what it holds is released at the end.

    Raises:
        SchemaError: the database is not migrated, or newer.
    """
    database = await Database.of(settings)
    committing = await Database.dedicated(settings)
    redis = connect_redis(settings, settings.cache_timeout_s)
    bus = connect(settings)
    cached = cache(redis, seconds=settings.cache_seconds, retry_s=settings.cache_retry_s)
    versions = WriteThrough[int](cached.outdate)
    store = DefinitionsStore()
    feeds = FeedStore(database, page=settings.stream_batch, batch=settings.stream_read_batch)
    hub = feed_hub(
        redis,
        feeds,
        limit=settings.max_streams,
        each=settings.max_streams_per_user,
        poll_s=settings.stream_poll_s,
    )
    committer = Committer(
        committing,
        store,
        batch=settings.commit_batch,
        waiting=settings.commit_waiting,
        remembered=settings.commit_remembered,
    )

    def outdated(_notified: Mapping[str, int], changed: Mapping[str, int]) -> None:
        versions.told(changed)

    committer.listeners += [outdated, telling(hub, redis)]
    sweeper = Sweeper(
        database,
        committer,
        every_s=settings.sweep_s,
        grace=timedelta(seconds=settings.quest_grace_s),
        keep_notifications=timedelta(days=settings.notification_days),
    )
    sweeping = Singleton.of(settings, f"sweeper {SCHEMA}")
    definitions = Definitions(database, store)
    keys = KeyRing.of(settings)
    subscriptions: list[Subscription] = []

    async def drain() -> None:
        hub.drain()
        await asyncio.gather(*(each.close() for each in subscriptions))
        await committer.close()

    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        await definitions.current()
        committer.start()
        heard = Heard(committer, definitions.current)
        subscriptions += await heard.subscribe(bus, DeadLetters(SCHEMA).sink(database))
        feed = Feed(hub, feeds, write_s=settings.stream_write_s)
        players = Players(database, cached, batch=settings.read_batch)
        commands = Commands(committer, versions, keys)
        writing = DefinitionCommands(database, store)
        queries = Queries(database)
        async with background(
            partial(relay, database, SCHEMA, bus, settings),
            partial(sweeping.run, sweeper.run),
            hub.poll,
            hub.listen,
            cached.recover,
            partial(keep_house, database, SCHEMA, settings),
        ):
            yield Server(
                settings=settings,
                services=[
                    (ACHIEVEMENTS, AchievementServicer(definitions, writing, commands, players)),
                    (QUESTS, QuestServicer(definitions, writing, commands, players)),
                    (REWARDS, RewardServicer(writing, commands, queries, keys)),
                    (METRICS, MetricServicer(definitions, writing, commands, queries)),
                    (NOTIFICATIONS, NotificationServicer(feed)),
                ],
                interceptors=standard(settings, error_domain=ERROR_DOMAIN, service_metrics=GAMIFICATION),
                checks={"postgresql": Check(database.ping), "redis": Check(redis.ping, required=False)},
                on_drain=drain,
            )
    finally:
        await drain()
        await bus.close()
        await redis.aclose()
        await committing.close()
        await database.close()

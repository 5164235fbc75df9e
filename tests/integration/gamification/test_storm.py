"""kill -9 of a service process, of PostgreSQL and of Redis, which is the bus, in a storm of records, events
and claims: nothing is lost or doubled, and the books balance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
from arenamesh.events.v1.combat_pb2 import CombatKill
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.gamification.v1 import (
    metric_pb2,
    metric_service_pb2,
    metric_service_pb2_grpc,
    reward_pb2,
    reward_service_pb2,
    reward_service_pb2_grpc,
)

from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from tests.support import redis, storms
from tests.support.buses import make
from tests.support.committers import check, define
from tests.support.postgres import Postgres
from tests.support.tokens import game_server, operator, player
from tests.support.waiting import eventually

CLIENTS = 16
USERS = 6
AFTER = 60
"""Rounds of a client that are acknowledged between two faults."""
GOLD = 7


class Process:
    """Stubs of one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.metrics: metric_service_pb2_grpc.MetricServiceAsyncStub = (
            metric_service_pb2_grpc.MetricServiceStub(channel)
        )
        self.rewards: reward_service_pb2_grpc.RewardServiceAsyncStub = (
            reward_service_pb2_grpc.RewardServiceStub(channel)
        )


@dataclass(kw_only=True)
class Storm(storms.Storm[Process]):
    """What was acknowledged."""

    bus: Bus
    kills: Counter[str] = field(default_factory=Counter)
    """By user, of acknowledged records and of events that the bus has taken."""
    granted: set[str] = field(default_factory=set)
    claimed: dict[str, str] = field(default_factory=dict)
    """Users by grant."""
    events: list[str] = field(default_factory=list)
    duplicates: int = 0
    """Records that had been counted, though nobody had heard of it."""

    async def round(self, servers: Iterator[Process], number: int, turn: int) -> None:
        """A record, a grant, and the claim of it; every fourth round an event, too."""
        user_id, key = f"u{(number + turn) % USERS}", f"{number}-{turn}"
        await self._record(servers, user_id, key, 1 + turn % 3)
        await self._claim(servers, user_id, await self._give(servers, user_id, key), key)
        if turn % 4 == 0:
            await self._publish(user_id, key)

    async def _record(self, servers: Iterator[Process], user_id: str, key: str, kills: int) -> None:
        """Without a key of its own: the record's id alone has to do."""
        record = metric_pb2.MetricRecord(user_id=user_id, metric="kills", value=kills, event_id=key)
        request = metric_service_pb2.RecordMetricsRequest(records=[record])
        answer = await self.asked(
            servers,
            lambda server, timeout: server.metrics.RecordMetrics(
                request, metadata=game_server(), timeout=timeout
            ),
        )
        [outcome] = answer.outcomes
        self.duplicates += outcome == metric_pb2.RECORD_OUTCOME_DUPLICATE
        assert outcome in (metric_pb2.RECORD_OUTCOME_COUNTED, metric_pb2.RECORD_OUTCOME_DUPLICATE)
        self.kills[user_id] += kills

    async def _give(self, servers: Iterator[Process], user_id: str, key: str) -> str:
        request = reward_service_pb2.DistributeRewardRequest(
            id="gold", user_id=user_id, source=reward_pb2.REWARD_SOURCE_SUPPORT, source_id=key
        )
        answer = await self.asked(
            servers,
            lambda server, timeout: server.rewards.DistributeReward(
                request, metadata=operator(), timeout=timeout
            ),
        )
        self.granted.add(answer.distribution.id)
        return answer.distribution.id

    async def _claim(self, servers: Iterator[Process], user_id: str, grant_id: str, key: str) -> None:
        request = reward_service_pb2.ClaimRewardRequest(id=grant_id, request_id=key)
        answer = await self.asked(
            servers,
            lambda server, timeout: server.rewards.ClaimReward(
                request, metadata=player(user_id), timeout=timeout
            ),
        )
        assert [each.amount.quantity for each in answer.transfers] == [GOLD]
        assert answer.receipt
        assert self.claimed.setdefault(grant_id, user_id) == user_id

    async def _publish(self, user_id: str, key: str) -> None:
        envelope = Envelope(id=f"kill-{key}", source="arenamesh/combat", type="combat.kill", subject="s")
        envelope.time.GetCurrentTime()
        envelope.data.Pack(CombatKill(session_id="s", killer_id=user_id, victim_id="nobody"))
        message = Message(envelope.id, envelope.subject, envelope.SerializeToString())
        await self.told(self.bus, "game.combat.events", message)
        self.events.append(envelope.id)
        self.kills[user_id] += 1


async def defined(database: Database) -> None:
    """Three achievements of one metric, of records and of events."""
    source = {
        "event": "combat.kill",
        "user": "killer_id",
        "filters": [{"field": "friendly", "operator": "OPERATOR_EQ", "values": ["false"]}],
    }
    await define(database, "metric", id="kills", aggregation="AGGREGATION_SUM", sources=[source])
    await define(database, "reward", id="gold", type="REWARD_TYPE_CURRENCY", value=str(GOLD), currency="gold")
    for id_, threshold in {"first": 1, "some": 25, "many": 200}.items():
        await define(
            database,
            "achievement",
            id=id_,
            title=id_,
            type="ACHIEVEMENT_TYPE_MILESTONE",
            points=5,
            requirements=[{"metric": "kills", "operator": "OPERATOR_GTE", "threshold": str(threshold)}],
            rewards=[{"id": "gold"}],
            is_enabled=True,
        )


async def test_nothing_is_lost_or_doubled(postgres: Postgres, database_url: str) -> None:
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10)
    await defined(database)
    await database.close()
    async with AsyncExitStack() as running:
        bus_server = running.enter_context(redis.server(durable=True))
        variables = {
            "DATABASE_URL": database_url,
            "REDIS_URL": bus_server.url,
            "DATABASE_OPEN_S": "0.1",
            "BUS_LEASE_S": "2",
        }
        first, channels = await storms.two(running, "gamification", **variables)
        bus = make("redis", bus_server.url)
        running.push_async_callback(bus.close)
        storm = Storm([Process(channel) for channel in channels], bus=bus)
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(storm.client(number))
            await storm.more(AFTER)
            first.kill()
            await storm.more(AFTER)
            bus_server.kill()
            await asyncio.to_thread(bus_server.start)
            await storm.more(AFTER)
            before = storm.refused
            postgres.kill()
            await asyncio.to_thread(postgres.start)
            await storm.more(AFTER)
            storm.stopping = True
        assert storm.refused > before > 0
        assert storm.duplicates > 0
        await remembered(storm, database_url)


async def remembered(storm: Storm, database_url: str) -> None:
    """What was acknowledged, and nothing else."""
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10)

    async def rows(query: str, *arguments: object) -> list[Any]:
        async with database.connection() as connection:
            return list(await connection.fetch(query, *arguments))

    async def all_heard() -> bool:
        seen = await rows(
            "SELECT count(*) FROM gamification.inbox WHERE consumer_group = 'gamification' "
            "AND event_id = ANY($1::text[])",
            storm.events,
        )
        return bool(seen[0][0] == len(storm.events))

    try:
        await eventually(all_heard)
        kills = await rows(
            "SELECT user_id, sum FROM gamification.accumulators "
            "WHERE scope = '' AND metric = 'kills' AND window_key = 'ever'"
        )
        assert {row["user_id"]: int(row["sum"]) for row in kills} == storm.kills
        paid = await rows("SELECT id, user_id, source FROM gamification.grants WHERE status = 'claimed'")
        assert {row["id"]: row["user_id"] for row in paid} == storm.claimed
        gold = await rows(
            "SELECT user_id, amount FROM gamification.balances WHERE account LIKE 'player:%' AND amount > 0"
        )
        expected = Counter(storm.claimed.values())
        assert {row["user_id"]: row["amount"] for row in gold} == {
            user_id: GOLD * claims for user_id, claims in expected.items()
        }
        # What nobody asked for by name: each achievement, once, when its kills were reached.
        earned = await rows(
            "SELECT user_id, array_agg(source_id ORDER BY source_id) AS ids FROM gamification.grants "
            "WHERE source = 'achievement' GROUP BY user_id"
        )
        thresholds = {"first": 1, "some": 25, "many": 200}
        assert {row["user_id"]: row["ids"] for row in earned} == {
            user_id: sorted(id_ for id_, least in thresholds.items() if total >= least)
            for user_id, total in storm.kills.items()
        }
        await check(database)
    finally:
        await database.close()

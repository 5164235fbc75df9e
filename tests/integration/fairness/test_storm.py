"""kill -9 of a service process and of PostgreSQL in a storm of events and of what operators do: whatever was
acknowledged happened once, the log is whole, and others hear of everything in order."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from arenamesh.events.v1.combat_pb2 import CombatPlayerSummary
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import fairness_service_pb2, fairness_service_pb2_grpc

from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from tests.support import judged, redis, storms
from tests.support.buses import make
from tests.support.judged import define, rows
from tests.support.postgres import Postgres
from tests.support.tokens import operator
from tests.support.waiting import eventually

CLIENTS = 8
PLAYERS = 4
AFTER = 24
"""Rounds of a client that are acknowledged between two faults."""

Servers = Iterator["fairness_service_pb2_grpc.FairnessServiceAsyncStub"]


@dataclass(kw_only=True)
class Storm(storms.Storm["fairness_service_pb2_grpc.FairnessServiceAsyncStub"]):
    """What was acknowledged."""

    IMPATIENT_S = (0.003, 0.008, 0.02)
    bus: Bus
    events: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """That the bus has taken, by player."""
    blocked: Counter[str] = field(default_factory=Counter)
    """How often, by player."""

    async def round(self, servers: Servers, number: int, turn: int) -> None:
        """An event, sent twice; every third one a block, which is lifted."""
        player_id, key = f"p{(number + turn) % PLAYERS}", f"{number}-{turn}"
        await self._publish(player_id, key)
        if turn % 3 == 0:
            await self._block(servers, player_id, key)

    async def _publish(self, player_id: str, key: str) -> None:
        envelope = Envelope(id=key, source="test", type="combat.player_summary", subject=player_id)
        envelope.time.GetCurrentTime()
        envelope.data.Pack(CombatPlayerSummary(session_id="s", player_id=player_id, shots=1))
        message = Message(key, player_id, envelope.SerializeToString())
        await self.told(self.bus, "game.combat.events", message, times=2)
        self.events[player_id].add(key)

    async def _block(self, servers: Servers, player_id: str, key: str) -> None:
        block = fairness_service_pb2.BlockPlayerRequest(player_id=player_id, reason=key, request_id=key)
        await self.asked(
            servers, lambda server, timeout: server.BlockPlayer(block, metadata=operator(), timeout=timeout)
        )
        self.blocked[player_id] += 1
        lift = fairness_service_pb2.UnblockPlayerRequest(player_id=player_id, reason=key, request_id=key)
        await self.asked(
            servers, lambda server, timeout: server.UnblockPlayer(lift, metadata=operator(), timeout=timeout)
        )


async def test_nothing_is_lost_or_doubled(postgres: Postgres, database_url: str) -> None:
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10)
    await define(database, hold=None, bound={"most": "5", "per": "600s"})
    await database.close()
    async with AsyncExitStack() as running:
        bus_server = running.enter_context(redis.server())
        variables = {
            "DATABASE_URL": database_url,
            "REDIS_URL": bus_server.url,
            "DATABASE_OPEN_S": "0.1",
            "BUS_LEASE_S": "2",
        }
        first, channels = await storms.two(running, "fairness", **variables)
        bus = make("redis", bus_server.url)
        running.push_async_callback(bus.close)
        storm = Storm([fairness_service_pb2_grpc.FairnessServiceStub(each) for each in channels], bus=bus)
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(storm.client(number))
            await storm.more(AFTER)
            first.kill()
            await storm.more(AFTER)
            before = storm.refused
            postgres.kill()
            await asyncio.to_thread(postgres.start)
            await storm.more(AFTER)
            storm.stopping = True
        assert storm.refused > before > 0
        await remembered(storm, database_url)


async def remembered(storm: Storm, database_url: str) -> None:
    """What was acknowledged, and nothing else."""
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10)
    events = {event for each in storm.events.values() for event in each}

    async def all_heard() -> bool:
        seen = await rows(database, "SELECT event_id FROM fairness.inbox")
        return {row["event_id"] for row in seen} == events

    try:
        await eventually(all_heard)
        observed = defaultdict(list)
        for row in await rows(database, "SELECT player_id, event_id FROM fairness.observations ORDER BY 2"):
            observed[row["player_id"]].append(row["event_id"])
        assert observed == {player_id: sorted(each) for player_id, each in storm.events.items()}
        blocked = await rows(
            database,
            "SELECT player_id, count(*) AS n FROM fairness.sanctions WHERE flag_id = '' AND NOT automated "
            "GROUP BY player_id",
        )
        assert {row["player_id"]: row["n"] for row in blocked} == storm.blocked
        flags = await rows(database, "SELECT player_id FROM fairness.flags ORDER BY 1")
        assert [row["player_id"] for row in flags] == [f"p{n}" for n in range(PLAYERS)]
        await judged.check(database)
    finally:
        await database.close()

"""kill -9 of a service process and of PostgreSQL in a storm of awards: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
from arenamesh.progression.v1 import service_pb2, service_pb2_grpc

from services.chassis.db import Database
from tests.support.ledgers import check
from tests.support.postgres import Postgres
from tests.support.storms import MAY_BE_TOLD, two
from tests.support.tokens import game_server

CLIENTS = 24
CHARACTERS = 6
AFTER = 300
"""Awards that are acknowledged between two faults."""


@dataclass
class Storm:
    """Clients that award until they are told to stop, and ask again for whatever got no answer."""

    stubs: list[service_pb2_grpc.ProgressionServiceAsyncStub]
    stopping: bool = False
    awarded: dict[str, int] = field(default_factory=dict)
    """Experience by character, of acknowledged awards."""
    answers: dict[tuple[str, int], str] = field(default_factory=dict)
    """Keys by character and version."""
    repeated: int = 0
    refused: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def client(self, number: int) -> None:
        servers = itertools.cycle(self.stubs[number % 2 :] + self.stubs[: number % 2])
        server = next(servers)
        for turn in itertools.count():
            if self.stopping:
                return
            key, name, experience = f"{number}-{turn}", f"c{turn % CHARACTERS}", 1 + number * 1000 + turn
            award = service_pb2.ExperienceAward(character_id=name, source="storm", experience=experience)
            request = service_pb2.AwardExperienceRequest(awards=[award], request_id=key)
            while (answer := await self._answer(server, request)) is None:
                server = next(servers)
            await self._note(name, answer.results[0].version, key, experience)

    async def _answer(
        self,
        server: service_pb2_grpc.ProgressionServiceAsyncStub,
        request: service_pb2.AwardExperienceRequest,
    ) -> service_pb2.AwardExperienceResponse | None:
        try:
            return await server.AwardExperience(request, metadata=game_server(), timeout=3)
        except grpc.aio.AioRpcError as error:
            assert error.code() in MAY_BE_TOLD, error
            self.repeated += 1
            return None

    async def _note(self, name: str, version: int, key: str, experience: int) -> None:
        assert self.answers.setdefault((name, version), key) == key
        self.awarded[name] = self.awarded.get(name, 0) + experience
        async with self._more:
            self._more.notify_all()

    async def more(self, awards: int) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.answers) + awards
        async with self._more:
            await self._more.wait_for(lambda: len(self.answers) >= wanted)


async def test_nothing_is_lost_or_doubled(postgres: Postgres, database_url: str, redis_url: str) -> None:
    variables = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "DATABASE_OPEN_S": "0.1"}
    async with AsyncExitStack() as running:
        first, channels = await two(running, "progression", **variables)
        storm = Storm([service_pb2_grpc.ProgressionServiceStub(channel) for channel in channels])
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(storm.client(number))
            await storm.more(AFTER)
            first.kill()
            await storm.more(AFTER)
            before = storm.repeated
            postgres.kill()
            await asyncio.to_thread(postgres.start)
            await storm.more(AFTER)
            storm.stopping = True
        assert storm.repeated > before > 0
    await remembered(storm, database_url)


async def remembered(storm: Storm, database_url: str) -> None:
    """What was acknowledged, and nothing else."""
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10)
    try:
        async with database.connection() as connection:
            totals = await connection.fetch(
                "SELECT character_id, base_experience + experience AS total, version "
                "FROM progression.characters JOIN progression.paragon_levels USING (character_id)"
            )
        assert {row["character_id"]: int(row["total"]) for row in totals} == storm.awarded
        # One event to begin with, and one for each award.
        assert sum(row["version"] - 1 for row in totals) == len(storm.answers)
        await check(database)
    finally:
        await database.close()

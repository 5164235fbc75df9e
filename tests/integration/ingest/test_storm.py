"""kill -9 of processes, of Redis and of PostgreSQL while many send: what was answered is there, once, and
told once."""

from __future__ import annotations

import asyncio
import itertools
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from google.api import httpbody_pb2  # type: ignore[import-untyped]

from services.chassis.db import Database
from tests.support import redis
from tests.support.ingest import TAKEN, body, signature
from tests.support.postgres import Postgres
from tests.support.process import serving
from tests.support.storms import MAY_BE_TOLD, PATIENT_S

CLIENTS = 24
AFTER = 100
"""Events that are answered between two faults."""
IMPATIENT_S = (0.005, 0.015, 0.05)
"""About as long as an answer takes, on whatever machine."""


@dataclass
class Storm:
    """Clients that send until they are told to stop, and again whatever got no answer."""

    stubs: list[ingest_service_pb2_grpc.IngestServiceAsyncStub]
    stopping: bool = False
    answered: dict[str, str] = field(default_factory=dict)
    """Ids by key."""
    again: int = 0
    without_database: int = 0
    duplicates: int = 0
    """Answers of what had been accepted, though nobody had heard of it."""
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def client(self, number: int) -> None:
        for turn in itertools.count():
            if self.stopping:
                return
            key = f"{number}-{turn}"
            sent = body(f"s{number}", xp=turn + 1)
            # Some do not wait for their first answer.
            timeout_s = IMPATIENT_S[(number + turn) // 3 % 3] if (number + turn) % 3 == 0 else PATIENT_S
            answer = await self._post(number, sent, key, timeout_s)
            assert self.answered.setdefault(key, answer.event_id) == answer.event_id
            self.duplicates += answer.duplicate
            async with self._more:
                self._more.notify_all()

    async def _post(
        self, number: int, sent: bytes, key: str, timeout_s: float
    ) -> ingest_service_pb2.PostEventResponse:
        request = ingest_service_pb2.PostEventRequest(body=httpbody_pb2.HttpBody(data=sent))
        headers = (("x-signature", signature(sent)), ("idempotency-key", key))
        for attempt in itertools.count(number):
            server = self.stubs[attempt % len(self.stubs)]
            try:
                return await server.PostEvent(request, metadata=headers, timeout=timeout_s)
            except grpc.aio.AioRpcError as error:
                assert error.code() in MAY_BE_TOLD, error
                self.again += 1
                self.without_database += "database does not answer" in (error.details() or "")
                await asyncio.sleep(0.02)  # as a client does
            timeout_s = PATIENT_S
        raise AssertionError

    async def more(self) -> None:
        """Until enough more is answered."""
        wanted = len(self.answered) + AFTER
        async with self._more:
            await self._more.wait_for(lambda: len(self.answered) >= wanted)


async def test_what_was_answered_is_there_once(postgres: Postgres, database_url: str) -> None:
    async with AsyncExitStack() as running:
        rates = running.enter_context(redis.server())

        async def started() -> tuple[Process, ingest_service_pb2_grpc.IngestServiceAsyncStub]:
            process, ports = await running.enter_async_context(
                serving(
                    service="ingest",
                    DATABASE_URL=database_url,
                    REDIS_URL=rates.url,
                    BUS_KIND="inmem",
                    DATABASE_OPEN_S="0.1",
                    PLAYER_RATE="1000",
                    PLAYER_BURST="1000",
                )
            )
            channel = await running.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}")
            )
            return process, ingest_service_pb2_grpc.IngestServiceStub(channel)

        (first, one), (second, two) = await asyncio.gather(started(), started())
        storm = Storm([one, two])
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(storm.client(number))
            await storm.more()
            first.kill()
            await storm.more()
            rates.kill()
            await storm.more()
            await asyncio.to_thread(rates.start)
            before = storm.without_database
            postgres.kill()
            await asyncio.to_thread(postgres.start)
            await storm.more()
            assert storm.without_database > before
            second.kill()
            _, three = await started()
            storm.stubs[:] = [three]
            await storm.more()
            storm.stopping = True
    assert storm.again > 0
    assert storm.duplicates > 0
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10)
    try:
        await remembered(storm, database)
    finally:
        await database.close()


async def remembered(storm: Storm, database: Database) -> None:
    """What was answered, and nothing else."""
    async with database.connection() as connection:
        kept = await connection.fetch("SELECT id, player_id, body FROM ingest.events")
        told = await connection.fetch(f"SELECT event_id, envelope FROM ingest.outbox {TAKEN}")
        keys = await connection.fetch("SELECT key, event_id FROM ingest.claims WHERE scope = 'key/default'")
    assert sorted(row["id"] for row in kept) == sorted(storm.answered.values())
    assert {row["key"]: row["event_id"] for row in keys} == storm.answered
    assert sorted(row["event_id"] for row in told) == sorted(storm.answered.values())
    assert {Envelope.FromString(row["envelope"]).id for row in told} == set(storm.answered.values())
    assert len({row["body"] for row in kept}) == len(kept)

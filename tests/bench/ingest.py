"""Signed events a second that are durable, and how long they take.

On this machine: the ingest process alone, PostgreSQL with its durable settings, Redis, Envoy, and this
process, which makes the load on the same cores. An event comes as from a studio's own system: a POST of its
own over HTTP/1.1 through the edge, signed, with an idempotency key; and straight to the process as the call
that the edge makes of it. Lists are signed as one body; a game server's events come with its token.

The open loops offer their rate whatever happens, and the wait for an answer begins when its call is due.
Every event has a time of its own, to the millisecond. Afterwards PostgreSQL must hold exactly the ids that
were answered, each with the time of the event that it was answered for, and everything must have been told to
the bus, or the bench fails. Rates of producers and players are asked for as always, and are out of the way.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]
from arenamesh.liveops.v1 import event_pb2, ingest_service_pb2
from google.api import httpbody_pb2  # type: ignore[import-untyped]

from services.chassis.outbox import Outbox
from services.ingest.keys import DEVELOPMENT_SECRET
from services.ingest.schema import SCHEMA
from tests.bench.callers import Make, Request
from tests.bench.durable import START_S, settle
from tests.bench.http1 import Web
from tests.bench.report import Row
from tests.bench.routes import Level, Routes, Running, channels, closed, mesh

SERVICE = "/arenamesh.liveops.v1.IngestService/"
PLAYERS = 10_000
BATCH = 100
RATES = (500.0, 1_000.0, 2_000.0)
CLIENTS = (1, 64, 256)
BATCH_CLIENTS = (1, 8)
CONNECTIONS = 256
LONG_S = 2.5
FIRST_MS = 1_730_560_000_000
# Nobody is over these; that they are asked for is measured, what happens over them is not.
ENVIRONMENT = {"PRODUCER_RATE": "1000000", "PRODUCER_BURST": "1000000", "PLAYER_BURST": "100000"}
# Of ten events.
PAYLOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("progression", {"deltaXp": 25}),) * 4,
    *(("score", {"score": 1200}),) * 3,
    *(("boss_kill", {"bossId": "hydra", "bossLevel": 60}),) * 2,
    ("drop_claimed", {"itemId": "scale", "quantity": 2}),
)

WIDE = True


class Work:
    """Makes requests, and keeps what was answered."""

    def __init__(self) -> None:
        self.accepted: dict[str, int] = {}
        """When it happened, in milliseconds, by the event's id."""
        self._numbers = itertools.count()

    def posted(self) -> Request:
        """One, as the edge takes it."""
        body, at = self._one()
        return Request("/events", body, partial(self._answered, at), _signed(body, at))

    def called(self) -> Request:
        """One, as the edge passes it on."""
        body, at = self._one()
        asked = ingest_service_pb2.PostEventRequest(body=_body(body))

        def settle(answer: bytes) -> None:
            self._accept(ingest_service_pb2.PostEventResponse.FromString(answer).event_id, at)

        return Request(SERVICE + "PostEvent", asked.SerializeToString(), settle, _signed(body, at))

    def posted_list(self) -> Request:
        body, times = self._list()

        def settle(answer: bytes) -> None:
            found = json.loads(answer)["results"]
            self._accept_all([(each["event_id"], each["outcome"]) for each in found], times)

        return Request("/events:batch", body, settle, _signed(body, times[0]))

    def called_list(self) -> Request:
        body, times = self._list()
        asked = ingest_service_pb2.PostEventsRequest(body=_body(body))

        def settle(answer: bytes) -> None:
            self._accept_results(ingest_service_pb2.PostEventsResponse.FromString(answer).results, times)

        return Request(SERVICE + "PostEvents", asked.SerializeToString(), settle, _signed(body, times[0]))

    def submitted(self) -> Request:
        """BATCH of them, with a token."""
        asked = ingest_service_pb2.SubmitEventsRequest()
        times = []
        for number in itertools.islice(self._numbers, BATCH):
            type_, payload = PAYLOADS[number % len(PAYLOADS)]
            event = asked.events.add(type=type_, player_id=_player(number), key=f"key-{number}")
            event.ts.FromMilliseconds(FIRST_MS + number)
            event.payload.update(payload)
            times.append(FIRST_MS + number)

        def settle(answer: bytes) -> None:
            self._accept_results(ingest_service_pb2.SubmitEventsResponse.FromString(answer).results, times)

        return Request(SERVICE + "SubmitEvents", asked.SerializeToString(), settle)

    def _one(self) -> tuple[bytes, int]:
        number = next(self._numbers)
        return json.dumps(_event(number)).encode(), FIRST_MS + number

    def _list(self) -> tuple[bytes, list[int]]:
        numbers = list(itertools.islice(self._numbers, BATCH))
        body = json.dumps([_event(number) for number in numbers]).encode()
        return body, [FIRST_MS + number for number in numbers]

    def _answered(self, at: int, answer: bytes) -> None:
        self._accept(json.loads(answer)["event_id"], at)

    def _accept_results(self, results: Sequence[event_pb2.EventResult], times: Sequence[int]) -> None:
        name = event_pb2.EventOutcome.Name
        self._accept_all([(each.event_id, name(each.outcome)) for each in results], times)

    def _accept_all(self, results: Sequence[tuple[str, str]], times: Sequence[int]) -> None:
        for (event_id, outcome), at in zip(results, times, strict=True):
            # Again only after a call that had no answer: which was accepted, if it came.
            if outcome not in ("EVENT_OUTCOME_ACCEPTED", "EVENT_OUTCOME_DUPLICATE"):
                raise RuntimeError(f"an event was not accepted: {outcome}")
            self._accept(event_id, at)

    def _accept(self, event_id: str, at: int) -> None:
        if self.accepted.setdefault(event_id, at) != at:
            raise RuntimeError(f"{event_id} was answered for two events")


def _event(number: int) -> dict[str, object]:
    type_, payload = PAYLOADS[number % len(PAYLOADS)]
    return {"type": type_, "playerId": _player(number), "ts": FIRST_MS + number, "payload": payload}


def _player(number: int) -> str:
    # Far from each other one after the other, as players are.
    return f"p{number * 7919 % PLAYERS}"


def _signed(body: bytes, at: int) -> tuple[tuple[str, str], ...]:
    mac = hmac.digest(DEVELOPMENT_SECRET.encode(), body, hashlib.sha256).hex()
    return ("x-signature", f"sha256={mac}"), ("idempotency-key", f"bench-{at}")


def _body(content: bytes) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="application/json", data=content)


# ---- proof --------------------------------------------------------------------------------------

HELD = """
    SELECT id, (extract(epoch FROM happened_at) * 1000)::bigint AS at FROM ingest.events
"""
TOLD = """
    SELECT event_id FROM ingest.outbox WHERE event_id NOT LIKE 'refused-%'
"""


async def proved(database: str, work: Work) -> list[Row]:
    """What was answered is in PostgreSQL, and nothing else; how long until all of it was told.

    Raises:
        RuntimeError: it is not so.
    """
    connection = await asyncpg.connect(database)
    try:
        held = {row["id"]: row["at"] for row in await connection.fetch(HELD)}
        told = sorted(row["event_id"] for row in await connection.fetch(TOLD))
        if held != work.accepted or told != sorted(held):
            wrong = set(held.items()) ^ set(work.accepted.items())
            raise RuntimeError(f"PostgreSQL does not hold what was answered; {len(wrong):,} differ")
        begun = time.perf_counter()
        outbox = Outbox(SCHEMA)
        async with asyncio.timeout(START_S):
            while (await outbox.waiting(connection, await outbox.checkpoint(connection)))[0]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
    return [
        Row(case="all", metric="answered and in PostgreSQL", value=len(held), unit="events"),
        Row(case="all", metric="until the last was told", value=time.perf_counter() - begun, unit="s"),
    ]


def memory(running: Running) -> list[Row]:
    """What each process holds. Not PostgreSQL's: each of its processes counts what all of them share."""
    return [
        Row(case=part, metric="memory", value=psutil.Process(pid).memory_info().rss / 2**20, unit="MiB")
        for part, pid in running.parts.items()
        if part != "postgres"
    ]


# ---- measuring ----------------------------------------------------------------------------------


@asynccontextmanager
async def webs(target: str, count: int) -> AsyncIterator[list[Web]]:
    opened = [await Web.open(target) for _ in range(count)]
    try:
        yield opened
    finally:
        for web in opened:
            web.close()


def at_rate(rate: float) -> Level:
    return Level(f"at {rate:,.0f}/s", CONNECTIONS, lambda callers: callers.at_rate(rate), seconds=LONG_S)


async def measured(running: Running) -> list[Row]:
    work = Work()
    await settle(running.database)
    rows: list[Row] = []
    async with (
        webs(running.edge, CONNECTIONS) as web,
        channels(running.edge, max(BATCH_CLIENTS)) as edge,
        channels(running.process, CONNECTIONS) as direct,
    ):
        signed = Routes(running, {"edge": web, "direct": direct})
        one: dict[str, Make] = {"edge": work.posted, "direct": work.called}
        for level in (*map(closed, CLIENTS), *map(at_rate, RATES)):
            rows += await signed.measured("event", one, level)
        many: dict[str, Make] = {"edge": work.posted_list, "direct": work.called_list}
        typed = Routes(running, {"edge": edge, "direct": direct})
        for level in map(closed, BATCH_CLIENTS):
            rows += await signed.measured(f"{BATCH} in a list", many, level)
            rows += await typed.measured(f"{BATCH} submitted", work.submitted, level)
    rows += memory(running)
    return rows + await proved(running.database, work)


def run() -> list[Row]:
    with mesh("ingest", **ENVIRONMENT) as running:
        return asyncio.run(measured(running))

"""Two processes behind the edge, and one of them dies."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from operator import ge
from pathlib import Path

from arenamesh.client import Backoff, MetricRecord, connect
from arenamesh.client.gamification import Gamification
from arenamesh.gamification.v1 import achievement_pb2, metric_pb2, requirement_pb2

from services.chassis import auth
from tests.support import edge as edges
from tests.support.process import serving

CLIENTS = 8
# Acknowledged of every client, before and after the death.
CALLS = 10
SHOTS = metric_pb2.Metric(id="shots", aggregation=metric_pb2.AGGREGATION_COUNT)
# Completed by every shot.
EACH = achievement_pb2.Achievement(
    id="each",
    title="Each",
    type=achievement_pb2.ACHIEVEMENT_TYPE_SKILL,
    requirements=[
        requirement_pb2.Requirement(metric="shots", operator=requirement_pb2.OPERATOR_GTE, threshold=1)
    ],
    is_enabled=True,
    repeat=achievement_pb2.Repeat(),
)


class Storm:
    """Players of whom somebody records and reads in turn, and whom somebody listens to."""

    def __init__(self) -> None:
        self.acknowledged = [0] * CLIENTS
        self.told = [0] * CLIENTS
        self.stopping = False
        self._news = asyncio.Condition()

    async def client(self, number: int, server: Gamification) -> None:
        """Every call is answered; nothing is counted twice, and what is acknowledged is counted."""
        user, count = f"user-{number}", 0
        while not self.stopping:
            outcomes = await server.metrics.record(MetricRecord(user_id=user, metric="shots"))
            assert outcomes == [metric_pb2.RECORD_OUTCOME_COUNTED]
            count = self.acknowledged[number] = count + 1
            seen = await server.achievements.progress("each", user)
            # A process that died with a commit may not have told of it; the next change does.
            assert count - 1 <= seen.completions <= count
            await self._note()
        assert seen.completions == count

    async def listener(self, number: int, server: Gamification) -> None:
        """Everything is told once, in order."""
        async with aclosing(server.subscribe(f"user-{number}", after_sequence=0)) as answers:
            async for answer in answers:
                if answer.HasField("event"):
                    self.told[number] += 1
                    assert answer.event.sequence == self.told[number]
                    assert answer.event.data["achievement_id"] == "each"
                    await self._note()

    async def more(self, calls: int) -> None:
        """Until every client has so many more acknowledged."""
        wanted = [count + calls for count in self.acknowledged]
        async with self._news:
            await self._news.wait_for(lambda: all(map(ge, self.acknowledged, wanted)))

    async def all_told(self) -> None:
        """Until everything that was acknowledged is told. No more than that may be."""
        async with self._news:
            await self._news.wait_for(lambda: all(map(ge, self.told, self.acknowledged)))
        assert self.told == self.acknowledged

    async def _note(self) -> None:
        async with self._news:
            self._news.notify_all()


async def test_nobody_notices_that_one_of_them_was_killed(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    """Reads are tried elsewhere by the edge, writes repeated by the client happen once, streams go on."""
    variables = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "JWT_SECRET": edges.SECRET}
    token = auth.mint(edges.SECRET, subject="the test", role=auth.Role.SERVICE)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        (victim, one), (_, two) = await asyncio.gather(
            *(enter(serving(service="gamification", **variables)) for _ in range(2))
        )
        edge = await enter(edges.running(tmp_path))
        edge.route_to("gamification", {"one": one["port"], "two": two["port"]})
        await edge.until_healthy(2, "gamification")
        quick = Backoff(first_s=0.01, max_s=0.2, attempts=40)
        server = (await enter(connect(edge.address, token=token, backoff=quick))).gamification
        await server.metrics.define(SHOTS)
        await server.achievements.create(EACH)
        storm = Storm()
        async with asyncio.timeout(60), asyncio.TaskGroup() as listening:
            listeners = [listening.create_task(storm.listener(n, server)) for n in range(CLIENTS)]
            async with asyncio.TaskGroup() as calling:
                for number in range(CLIENTS):
                    calling.create_task(storm.client(number, server))
                await storm.more(CALLS)
                victim.kill()
                await storm.more(CALLS)
                storm.stopping = True
            await storm.all_told()
            for listener in listeners:
                listener.cancel()

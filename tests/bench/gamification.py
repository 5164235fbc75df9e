"""Metric events, claims and notifications a second, and how long they take.

On this machine: the gamification process with the definitions that it comes with, PostgreSQL
with its durable settings, Redis, Envoy, and this process, which makes the load on the same cores. Calls go
through the edge and straight to the process, in turn.

Events are records of RecordMetrics, of a mix as a match has it, each with an event id: so each is looked up,
counted in every window that an achievement or quest wants, and noted as seen. Every claim is of a grant of
its own. A notification is timed from when its reward was asked for until it arrives at its subscriber through
the edge, which is longer than from its commit; and from when the request was answered, which is shorter.

Afterwards every metric, claim and notification in PostgreSQL must be exactly what was acknowledged, and the
ledger must sum to zero, or the bench fails.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import asyncpg
from arenamesh.gamification.v1 import (
    metric_pb2,
    metric_service_pb2,
    notification_service_pb2,
    reward_pb2,
    reward_service_pb2,
)

from tests.bench.callers import Callers, Request, Round
from tests.bench.durable import START_S, settle
from tests.bench.report import Row
from tests.bench.routes import Level, Routes, Running, channels, closed, figures, mesh
from tests.bench.subscribers import Subscribers
from tests.bench.unary import Channel
from tests.support.mesh import token

METRICS = "/arenamesh.gamification.v1.MetricService/"
REWARDS = "/arenamesh.gamification.v1.RewardService/"
PLAYERS = 2_000
# Of each player before anything is measured: the first ones unlock most, and start what starts by itself.
FIRST_EVENTS = 20
BATCH = 100
# Of ten events: so many kills, assists, kills by a hit on the head, wins, matches.
MIX = {"kills": 5, "assists": 2, "headshot_kills": 1, "wins": 1, "matches": 1}
EVENT_CLIENTS = (1, 256)
BATCH_CLIENTS = (1, 8)
CLAIM_CLIENTS = (1, 64)
EVENT_RATE = 500.0
CLAIM_RATE = 500.0
RATE_CONNECTIONS = 64
LONG_S = 2.5
CONNECTIONS = 256
SUBSCRIBERS = 1_000
STREAMS_A_CONNECTION = 50
NOTIFICATION_RATE = 200.0
NOTIFICATIONS_S = 5.0
DISTRIBUTING = 64
# A purse and a drawn crate, in turn.
PAID = ("purse.small", "crate.common")
# Grants that wait before claims are measured. When all are claimed, a round ends.
OWED = 10_000

WIDE = True


class Work:
    """Makes requests, and counts what was acknowledged."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.claimed = 0
        self.owed: list[str] = []
        """Ids of grants that nobody has claimed."""
        self._chance = random.Random(1)
        self._events = itertools.count()
        self._mix = [metric for metric, count in MIX.items() for _ in range(count)]
        self._distributions = itertools.count()

    def event(self) -> Request:
        return self._recording(1)

    def events(self) -> Request:
        """BATCH of them, as of a few matches."""
        return self._recording(BATCH)

    def distribution(self, user_id: str = "") -> Request:
        number = next(self._distributions)
        asked = reward_service_pb2.DistributeRewardRequest(
            id=PAID[number % len(PAID)],
            user_id=user_id or f"hero-{self._chance.randrange(PLAYERS)}",
            source=reward_pb2.REWARD_SOURCE_EVENT,
            source_id=f"bench-{number}",
            request_id=f"distribution-{number}",
        )

        def settle(answer: bytes) -> None:
            distributed = reward_service_pb2.DistributeRewardResponse.FromString(answer).distribution
            self.owed.append(distributed.id)

        return Request(REWARDS + "DistributeReward", asked.SerializeToString(), settle)

    def claim(self) -> Request | None:
        if not self.owed:
            return None
        grant_id = self.owed.pop()
        asked = reward_service_pb2.ClaimRewardRequest(id=grant_id, request_id=f"claim-{grant_id}")

        def settle(answer: bytes) -> None:
            self.claimed += 1

        return Request(REWARDS + "ClaimReward", asked.SerializeToString(), settle)

    def _recording(self, count: int) -> Request:
        records = [
            metric_pb2.MetricRecord(
                user_id=f"hero-{self._chance.randrange(PLAYERS)}",
                metric=self._chance.choice(self._mix),
                event_id=f"event-{next(self._events)}",
            )
            for _ in range(count)
        ]
        asked = metric_service_pb2.RecordMetricsRequest(records=records)
        metrics = Counter(record.metric for record in records)

        def settle(answer: bytes) -> None:
            outcomes = metric_service_pb2.RecordMetricsResponse.FromString(answer).outcomes
            # No event is told twice but by a call that had no answer: which counted it, if it did.
            if not set(outcomes) <= {metric_pb2.RECORD_OUTCOME_COUNTED, metric_pb2.RECORD_OUTCOME_DUPLICATE}:
                raise RuntimeError(f"records did not count: {Counter(outcomes)}")
            self.counted.update(metrics)

        return Request(METRICS + "RecordMetrics", asked.SerializeToString(), settle)


# ---- notifications ------------------------------------------------------------------------------


class Listening:
    """Subscribers of the edge, what they were told, and how long that took."""

    def __init__(self) -> None:
        self.opened = 0
        self.told: dict[str, int] = dict.fromkeys((f"fan-{number}" for number in range(SUBSCRIBERS)), 0)
        self.asked: dict[str, float] = {}
        """When what was caused by a request was asked for."""
        self.answered: dict[str, float] = {}
        self.arrived: dict[str, float] = {}
        self._connections: list[Subscribers] = []
        self._changed = asyncio.Event()

    async def open(self, target: str) -> None:
        """Until every stream says that it is."""
        metadata = [("authorization", f"Bearer {token('bench', 'game_server', lifetime_s=3600)}")]
        users = list(self.told)
        for first in range(0, SUBSCRIBERS, STREAMS_A_CONNECTION):
            connection = await Subscribers.open(target, metadata)
            self._connections.append(connection)
            connection.listen(self.take)
            connection.ended.add_done_callback(lambda _: self._changed.set())
            for user_id in users[first : first + STREAMS_A_CONNECTION]:
                connection.subscribe(user_id)
        await self._until(lambda: self.opened == SUBSCRIBERS)

    async def all_arrived(self) -> None:
        """What was answered."""
        await self._until(lambda: self.answered.keys() <= self.arrived.keys())

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def take(self, user_id: str, said: notification_service_pb2.SubscribeResponse, at: float) -> None:
        if not said.HasField("event"):
            self.opened += 1
        else:
            event = said.event
            self.told[user_id] += 1
            if event.sequence != self.told[user_id]:
                raise RuntimeError(f"{user_id} was told {event.sequence} when {self.told[user_id]} was next")
            self.arrived[event.cause] = at
        self._changed.set()

    async def _until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(START_S):
            while not done():
                self._changed.clear()
                await self._changed.wait()
                for connection in self._connections:
                    if connection.ended.done():
                        connection.ended.result()


# ---- proof --------------------------------------------------------------------------------------

COUNTED = """
    SELECT metric, sum(sum)::bigint AS found FROM gamification.accumulators
    WHERE scope = '' AND window_key = 'ever' GROUP BY metric
"""
LEDGER = """
    SELECT coalesce(sum(amount), 0)::bigint FROM gamification.ledger_entries
"""
CLAIMED = """
    SELECT count(DISTINCT grant_id) FROM gamification.transfers WHERE kind = 'claim'
"""
MISTAKEN = """
    SELECT count(*) FROM (
        SELECT account, asset, sum(amount) AS amount FROM gamification.ledger_entries
            WHERE account LIKE 'player:%' OR account LIKE 'escrow:%' GROUP BY account, asset
        EXCEPT SELECT account, asset, amount FROM gamification.balances
    ) AS wrong WHERE amount <> 0
"""
TOLD = """
    SELECT user_id, notified FROM gamification.players WHERE user_id LIKE 'fan-%'
"""


async def proved(database: str, work: Work, listening: Listening) -> None:
    """What was acknowledged is in PostgreSQL, and nothing else is.

    Raises:
        RuntimeError: naming what is not.
    """
    connection = await asyncpg.connect(database)
    try:
        counted = {row["metric"]: row["found"] for row in await connection.fetch(COUNTED)}
        ledger = await connection.fetchval(LEDGER)
        claimed = await connection.fetchval(CLAIMED)
        mistaken = await connection.fetchval(MISTAKEN)
        told = {row["user_id"]: row["notified"] for row in await connection.fetch(TOLD)}
    finally:
        await connection.close()
    found = {
        "sum of the ledger": (ledger, 0),
        "claims": (claimed, work.claimed),
        "balances that are not the sums of their entries": (mistaken, 0),
        **{metric: (counted.get(metric, 0), work.counted[metric]) for metric in MIX},
        **{f"told to {user_id}": (told.get(user_id, 0), due) for user_id, due in listening.told.items()},
    }
    wrong = [f"{what}: {there} and not {due}" for what, (there, due) in found.items() if there != due]
    if wrong:
        raise RuntimeError("PostgreSQL does not hold what was acknowledged; " + "; ".join(wrong[:10]))


# ---- measuring ----------------------------------------------------------------------------------


def at_rate(rate: float) -> Level:
    return Level(f"at {rate:,.0f}/s", RATE_CONNECTIONS, lambda callers: callers.at_rate(rate), seconds=LONG_S)


async def measured(running: Running) -> list[Row]:
    work, listening = Work(), Listening()
    await settle(running.database)
    rows: list[Row] = []
    async with (
        channels(running.edge, CONNECTIONS) as edge,
        channels(running.process, CONNECTIONS) as direct,
    ):
        routes = Routes(running, {"edge": edge, "direct": direct})
        await counting(direct, work)
        for clients in BATCH_CLIENTS:
            rows += await routes.measured(f"{BATCH} events", work.events, closed(clients))
        for clients in EVENT_CLIENTS:
            rows += await routes.measured("event", work.event, closed(clients))
        rows += await routes.measured("event", work.event, at_rate(EVENT_RATE))
        for level in (*map(closed, CLAIM_CLIENTS), at_rate(CLAIM_RATE)):
            rows += await owing(direct, work)
            rows += await routes.measured("claim", work.claim, level)
        rows += await notifying(running, direct, work, listening)
    await proved(running.database, work, listening)
    return rows


async def counting(opened: Sequence[Channel], work: Work) -> None:
    """What players do before anything is measured."""
    requests = iter([work.events() for _ in range(FIRST_EVENTS * PLAYERS // BATCH)])
    await Callers(opened, lambda: next(requests, None), START_S).closed(8)


async def owing(opened: Sequence[Channel], work: Work) -> list[Row]:
    """Until OWED grants wait."""
    first = not work.claimed
    requests = (work.distribution() for _ in range(OWED - len(work.owed)))
    done = await Callers(opened, lambda: next(requests, None), START_S).closed(DISTRIBUTING)
    return figures(f"distribute x {DISTRIBUTING}, direct", [done]) if first else []


async def notifying(
    running: Running, opened: Sequence[Channel], work: Work, listening: Listening
) -> list[Row]:
    """Rewards at a rate, of subscribers at random, each of whom hears of them and of nothing else."""
    chance, users = random.Random(2), list(listening.told)

    def make() -> Request:
        request = work.distribution(chance.choice(users))
        asked = reward_service_pb2.DistributeRewardRequest.FromString(request.message)
        cause = f"request:{asked.request_id}"
        listening.asked[cause] = time.perf_counter()

        def settle(answer: bytes) -> None:
            listening.answered[cause] = time.perf_counter()
            request.settle(answer)

        return request._replace(settle=settle)

    try:
        await listening.open(running.edge)
        await Callers(opened[:RATE_CONNECTIONS], make, NOTIFICATIONS_S).at_rate(NOTIFICATION_RATE)
        await listening.all_arrived()
    finally:
        listening.close()
    case = f"notification at {NOTIFICATION_RATE:,.0f}/s, {SUBSCRIBERS:,} subscribers"
    since = {"from the request": listening.asked, "after the answer": listening.answered}
    rows = []
    for name, began in since.items():
        late = [max(0.0, listening.arrived[key] - at) for key, at in began.items()]
        rows += figures(f"{case}, {name}", [Round(NOTIFICATIONS_S, latencies=late)])
    return rows


def run() -> list[Row]:
    with mesh("gamification") as running:
        return asyncio.run(measured(running))

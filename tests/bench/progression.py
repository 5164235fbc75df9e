"""Awards, reads and distributed points a second, and how long they take, by how many ask at once.

On this machine: the progression process, PostgreSQL with its durable settings, Redis, Envoy, and
this process, which makes the load on the same cores. Calls go through the edge and straight to the process,
in turn, so that a busy moment meets both. Every award and distribution has a request id, as a game server's
would; a caller that is told to come again later does, with the same id.

A client is one connection with one call unanswered at a time. The open loop offers its rate whatever happens,
and the wait for an answer begins when its call is due. Afterwards the experience and the points in PostgreSQL
must be exactly what was acknowledged, in the events and in the projections, or the bench fails.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence

import asyncpg
from arenamesh.progression.v1 import service_pb2

from tests.bench.callers import Callers, Request
from tests.bench.durable import START_S, settle
from tests.bench.report import Row
from tests.bench.routes import Level, Routes, Running, channels, closed, mesh
from tests.bench.unary import Channel

SERVICE = "/arenamesh.progression.v1.ProgressionService/"
CHARACTERS = 5_000
BATCH = 100
ENROLLING = 4
# What a character begins with: points for every distribution of the run.
FIRST_EXPERIENCE = 10**9
CLIENTS = (1, 32, 256, 1_000)
BATCH_CLIENTS = (1, 32)
RATE = 1_000.0
RATE_CONNECTIONS = 64
CROWD = 10_000
CROWD_CONNECTIONS = 1_000
LONG_S = 2.5
# Of ten calls of the mix: so many reads, awards, distributions.
MIX = (6, 3, 1)

WIDE = True


# ---- what is asked for --------------------------------------------------------------------------


class Work:
    """Makes requests, and counts what was acknowledged."""

    def __init__(self) -> None:
        self.experience = self.points = self.reads = 0
        names = [f"hero-{number}" for number in range(CHARACTERS)]
        self._awards = [
            service_pb2.ExperienceAward(
                character_id=name, source="combat.kill", experience=1 + number % 1_000
            )
            for number, name in enumerate(names)
        ]
        self._reads = [
            service_pb2.GetParagonLevelsRequest(character_id=name).SerializeToString() for name in names
        ]
        self._chance = random.Random(1)
        self._numbers = itertools.count()
        makers = (self.read, self.award, self.distribution)
        self._mix = itertools.cycle(
            [make for make, count in zip(makers, MIX, strict=True) for _ in range(count)]
        )

    def enrolments(self) -> Iterator[Request]:
        """Every character's first award."""
        for first in range(0, CHARACTERS, BATCH):
            names = (award.character_id for award in self._awards[first : first + BATCH])
            yield self._awarding(
                [
                    service_pb2.ExperienceAward(
                        character_id=name, source="bench", experience=FIRST_EXPERIENCE
                    )
                    for name in names
                ]
            )

    def award(self) -> Request:
        return self._awarding([self._chance.choice(self._awards)])

    def awards(self) -> Request:
        """BATCH of them, of as many characters."""
        first = self._chance.randrange(CHARACTERS - BATCH)
        return self._awarding(self._awards[first : first + BATCH])

    def read(self) -> Request:
        def settle(answer: bytes) -> None:
            self.reads += 1

        return Request(SERVICE + "GetParagonLevels", self._chance.choice(self._reads), settle)

    def distribution(self) -> Request:
        """Of one point."""
        asked = service_pb2.DistributeParagonPointsRequest(
            character_id=self._chance.choice(self._awards).character_id, request_id=self._key()
        )
        asked.points.luck = 1

        def settle(answer: bytes) -> None:
            self.points += 1

        return Request(SERVICE + "DistributeParagonPoints", asked.SerializeToString(), settle)

    def mix(self) -> Request:
        return next(self._mix)()

    def _awarding(self, awards: Sequence[service_pb2.ExperienceAward]) -> Request:
        asked = service_pb2.AwardExperienceRequest(awards=awards, request_id=self._key())
        amount = sum(award.experience for award in awards)

        def settle(answer: bytes) -> None:
            self.experience += amount

        return Request(SERVICE + "AwardExperience", asked.SerializeToString(), settle)

    def _key(self) -> str:
        return f"bench-{next(self._numbers)}"


# ---- proof --------------------------------------------------------------------------------------

FOUND = """
    SELECT 'experience' AS what, 'events' AS place, sum((payload->>'experience')::numeric) AS found
        FROM progression.event_store WHERE type = 'experience_awarded'
    UNION ALL SELECT 'experience', 'projections',
        (SELECT sum(base_experience) FROM progression.characters)
        + (SELECT sum(experience) FROM progression.paragon_levels)
    UNION ALL SELECT 'points', 'events', sum((payload->'points'->>'luck')::numeric)
        FROM progression.event_store WHERE type = 'points_distributed'
    UNION ALL SELECT 'points', 'projections', sum(luck) FROM progression.paragon_levels
"""


async def proved(database: str, work: Work) -> None:
    """What was acknowledged is in PostgreSQL, and nothing else is.

    Raises:
        RuntimeError: naming what is not.
    """
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(FOUND)
    finally:
        await connection.close()
    acknowledged = {"experience": work.experience, "points": work.points}
    for row in rows:
        if int(row["found"] or 0) != acknowledged[row["what"]]:
            raise RuntimeError(
                f"{acknowledged[row['what']]:,} {row['what']} were acknowledged, the {row['place']} hold"
                f" {row['found'] or 0:,}"
            )


# ---- measuring ----------------------------------------------------------------------------------


OPEN = Level(f"at {RATE:,.0f}/s", RATE_CONNECTIONS, lambda callers: callers.at_rate(RATE), seconds=LONG_S)
# They share connections, and each asks once or twice.
CROWDED = Level(f"x {CROWD:,}", CROWD_CONNECTIONS, lambda callers: callers.closed(CROWD), rounds=1)


async def measured(running: Running) -> list[Row]:
    work = Work()
    await settle(running.database)
    async with (
        channels(running.edge, CROWD_CONNECTIONS) as edge,
        channels(running.process, CROWD_CONNECTIONS) as direct,
    ):
        await enrolled(direct, work)
        routes = Routes(running, {"edge": edge, "direct": direct})
        rows: list[Row] = []
        kinds = {"read": work.read, "award": work.award, "distribute": work.distribution, "mix": work.mix}
        for name, make in kinds.items():
            for clients in CLIENTS:
                rows += await routes.measured(name, make, closed(clients))
        for clients in BATCH_CLIENTS:
            rows += await routes.measured(f"{BATCH} awards", work.awards, closed(clients))
        for level in (OPEN, CROWDED):
            for name in ("read", "award", "mix"):
                rows += await routes.measured(name, kinds[name], level)
    await proved(running.database, work)
    return rows


async def enrolled(opened: Sequence[Channel], work: Work) -> None:
    requests = work.enrolments()
    await Callers(opened, lambda: next(requests, None), START_S).closed(ENROLLING)


def run() -> list[Row]:
    with mesh("progression") as running:
        return asyncio.run(measured(running))

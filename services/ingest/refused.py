"""What was not taken of players, summed up and told: who sends the same again and again, or too much, is of
interest to fairness.

Counted in this process, and told every few seconds. What was counted since is lost with the process: the
events themselves never were anything.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime

import structlog
from arenamesh.events.v1 import liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import Unavailable
from services.chassis.metrics import DROPPED_EVENTS
from services.chassis.outbox import Outbox
from services.ingest.batch import Refusal
from services.ingest.schema import SCHEMA
from services.ingest.telling import SOURCE, TOPIC

TYPE = "liveops.refused"
_log = structlog.get_logger()


class Refused:
    """One a process. `most`: players that are counted between two tellings; of more, only metrics are."""

    def __init__(self, database: Database, *, every_s: float, most: int) -> None:
        self._database = database
        self._every_s = every_s
        self._most = most
        self._outbox = Outbox(SCHEMA)
        self._counted: defaultdict[str, Counter[Refusal]] = defaultdict(Counter)
        self._since = clock.now()

    def count(self, refused: Mapping[tuple[str, Refusal], int]) -> None:
        """How many, by player and why."""
        for (player, why), number in refused.items():
            if why in (Refusal.BLOCKED, Refusal.THROTTLED):
                DROPPED_EVENTS.labels(why.value).inc(number)
            if player in self._counted or len(self._counted) < self._most:
                self._counted[player][why] += number

    async def run(self) -> None:
        """For ever: tells what was counted."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.tell()

    async def tell(self) -> None:
        """What was counted since the last time. Without a database: next time."""
        if not self._counted:
            self._since = clock.now()
            return
        counted, since, now = self._counted, self._since, clock.now()
        self._counted, self._since = defaultdict(Counter), now
        envelopes = [_envelope(player, numbers, since, now) for player, numbers in counted.items()]

        async def put(connection: Connection) -> None:
            await self._outbox.put(connection, TOPIC, envelopes)

        try:
            await self._database.transaction(put)
        except Unavailable as error:
            _log.warning("refused events are not told yet", reason=error.reason)
            self._since = since
            for player, numbers in counted.items():
                self._counted[player] += numbers


def _envelope(player: str, numbers: Mapping[Refusal, int], since: datetime, now: datetime) -> Envelope:
    told = liveops_pb2.LiveopsRefused(
        player_id=player,
        duplicates=numbers.get(Refusal.DUPLICATE, 0),
        throttled=numbers.get(Refusal.THROTTLED, 0),
        blocked=numbers.get(Refusal.BLOCKED, 0),
        reused=numbers.get(Refusal.REUSED, 0),
    )
    told.since.FromDatetime(since)
    told.until.FromDatetime(now)
    envelope = Envelope(id=f"refused-{clock.new_id()}", source=SOURCE, type=TYPE, subject=player)
    envelope.time.FromDatetime(now)
    envelope.data.Pack(told)
    return envelope

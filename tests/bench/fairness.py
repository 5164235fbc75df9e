"""Player summaries a second that a fairness process judges, and how long until others hear of a flag.

On this machine: the fairness process with the detectors that it comes with, PostgreSQL with its durable
settings, Redis, which is the bus, and this process, which publishes on the same cores. A summary counts when
what it says of its player is committed.

A flag is timed from when its event was published until a subscriber of `game.fairness.events` has it: over
the bus, one commit, the outbox and the bus again.

Afterwards PostgreSQL must hold each event of each player once, the log's chain must be whole, and every flag
must be found again in its evidence, or the bench fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from arenamesh.events.v1.combat_pb2 import CombatPlayerSummary
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.events.v1.fairness_pb2 import FairnessFlagChanged
from arenamesh.events.v1.gamification_pb2 import ImpossibleGain
from google.protobuf.message import Message as Data

from services.chassis.bus.port import Bus, DeadLetter, Message
from services.chassis.db import Database
from tests.bench.callers import Round
from tests.bench.durable import START_S
from tests.bench.play import processor_s
from tests.bench.report import Row
from tests.bench.routes import Running, figures, mesh
from tests.support.buses import make
from tests.support.judged import check, rows

SESSIONS = 200
SEATS = 10
ROUNDS = 3
SECONDS = 5
"""Of play in a round: a summary of each player for each."""
WARM_S = 1
CHUNK = 500
"""Messages that the bus is given at once."""
FLAGS = 200
FLAGS_RATE = 50.0
STREAM = 1_000_000
"""Messages that the bus keeps for who is behind."""


class Play:
    """What players do, as combat tells it: of an even chance, so that nobody is flagged."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        """Players by event."""
        self._chance = random.Random(1)

    def second(self) -> Iterator[Message]:
        for session in range(SESSIONS):
            for seat in range(SEATS):
                yield self._summary(f"s{session}", f"p{session}-{seat}")

    def _summary(self, session_id: str, player_id: str) -> Message:
        chance = self._chance
        # One who does nothing says nothing.
        shots = chance.randint(1, 10)
        hits = sum(chance.random() < 0.3 for _ in range(shots))
        summary = CombatPlayerSummary(
            session_id=session_id,
            player_id=player_id,
            shots=shots,
            hits=hits,
            headshots=sum(chance.random() < 0.15 for _ in range(hits)),
            damage_dealt_milli=hits * 25_000,
            moved_mm=chance.randint(0, 5_000),
        )
        return self.event("combat.player_summary", session_id, player_id, summary)

    def gain(self, number: int) -> Message:
        """Which flags its player."""
        player_id = f"f{number}"
        gain = ImpossibleGain(user_id=player_id, metric="kills", value=1_000)
        return self.event("gamification.impossible_gain", player_id, player_id, gain)

    def event(self, type_: str, subject: str, player_id: str, data: Data) -> Message:
        envelope = Envelope(id=f"e{len(self.told)}", source="bench", type=type_, subject=subject)
        envelope.time.GetCurrentTime()
        envelope.data.Pack(data)
        self.told[envelope.id] = player_id
        return Message(envelope.id, subject, envelope.SerializeToString())


async def committed(database: Database, count: int) -> None:
    """Until so many events are."""
    async with asyncio.timeout(START_S):
        while True:
            [row] = await rows(database, "SELECT count(*) AS n FROM fairness.inbox")
            if row["n"] >= count:
                return
            await asyncio.sleep(0.02)


# ---- measuring ----------------------------------------------------------------------------------


async def judged(running: Running, bus: Bus, database: Database, play: Play) -> list[Row]:
    """As fast as they come."""
    rates, used = list[float](), 0.0
    for seconds in (WARM_S, *[SECONDS] * ROUNDS):
        messages = [each for _ in range(seconds) for each in play.second()]
        begun, before = time.perf_counter(), processor_s(running.pid)
        for at in range(0, len(messages), CHUNK):
            await bus.publish("game.combat.events", messages[at : at + CHUNK])
        await committed(database, len(play.told))
        if seconds is not WARM_S:
            rates.append(len(messages) / (time.perf_counter() - begun))
            used += processor_s(running.pid) - before
    case = f"summaries of {SESSIONS * SEATS:,} players"
    each = used / (ROUNDS * SECONDS * SESSIONS * SEATS) * 1e6
    return [
        Row(case=case, metric="judged", value=sorted(rates)[ROUNDS // 2], unit="1/s"),
        Row(case=case, metric="processor each", value=each, unit="us"),
    ]


async def flagged(bus: Bus, play: Play) -> list[Row]:
    """At a rate."""
    published: dict[str, float] = {}
    late: list[float] = []
    all_heard = asyncio.Event()

    async def hear(message: Message) -> None:
        envelope, flag = Envelope.FromString(message.body), FairnessFlagChanged()
        if envelope.type == "fairness.flag_opened" and envelope.data.Unpack(flag):
            late.append(time.perf_counter() - published[flag.cause])
            if len(late) == FLAGS:
                all_heard.set()

    subscription = await bus.subscribe("game.fairness.events", "bench", hear, _nothing_dies)
    begun = time.perf_counter()
    for number in range(FLAGS):
        await asyncio.sleep(max(0.0, begun + number / FLAGS_RATE - time.perf_counter()))
        message = play.gain(number)
        published[message.id] = time.perf_counter()
        await bus.publish("game.gamification.events", [message])
    async with asyncio.timeout(START_S):
        await all_heard.wait()
    await subscription.close()
    case = f"flags at {FLAGS_RATE:.0f}/s, from the event"
    return figures(case, [Round(FLAGS / FLAGS_RATE, latencies=late)])


async def _nothing_dies(letter: DeadLetter) -> None:
    raise RuntimeError(f"a dead letter: {letter.error}")


async def proved(database: Database, play: Play) -> list[Row]:
    """Raises RuntimeError, AssertionError: PostgreSQL does not hold what was told."""
    await committed(database, len(play.told))
    found = await rows(database, "SELECT event_id, player_id FROM fairness.observations")
    if len(found) != len(play.told) or {row["event_id"]: row["player_id"] for row in found} != play.told:
        raise RuntimeError(f"of {len(play.told):,} events PostgreSQL holds {len(found):,}, or others")
    await check(database)
    return [Row(case="all", metric="events told and in PostgreSQL", value=len(found), unit="events")]


async def measured(running: Running) -> list[Row]:
    bus = make("redis", _redis_of(running.pid), stream_length=STREAM)
    database = await Database.connect(running.database, size=2, wait_s=5, command_s=60)
    try:
        play = Play()
        found = await judged(running, bus, database, play)
        found += await flagged(bus, play)
        return found + await proved(database, play)
    finally:
        await bus.close()
        await database.close()


def _redis_of(pid: int) -> str:
    entries: Sequence[str] = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return next(each for each in entries if each.startswith("REDIS_URL=")).partition("=")[2]


def run() -> list[Row]:
    with mesh("fairness", BUS_STREAM_LENGTH=str(STREAM)) as running:
        return asyncio.run(measured(running))

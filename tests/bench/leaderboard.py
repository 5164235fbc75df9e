"""Ranks, players around one, the best, and scores a second on a board of a million, and how long they take.

On this machine: the leaderboard process alone, PostgreSQL with its durable settings, Redis, Envoy, and this
process, which makes the load on the same cores. A million entries are copied into PostgreSQL, and the
service's own command puts their order into Redis. Every read is of a player at random, or of the best; it is
answered by one script of Redis.

Scores come from a game server, one by one and a hundred at a time, each with an id and better than all
before, so that each moves an entry in three windows; then as events of the bus. Afterwards the order in Redis
must be that of PostgreSQL to the byte, in every window, with what was answered in it, or the bench fails.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import psutil  # type: ignore[import-untyped]
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.events.v1.liveops_pb2 import LiveopsScore
from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2
from redis.asyncio import Redis

from services.chassis.bus.port import Message
from services.chassis.sql import Columns
from services.leaderboard import rows as columns
from services.leaderboard import scripts
from services.leaderboard.boards import read
from services.leaderboard.domain.board import ALL_TIME, Catalogue
from services.leaderboard.domain.order import Result
from services.leaderboard.domain.places import Place, slot
from services.leaderboard.domain.scoring import Entry
from services.leaderboard.standings import name
from services.mesh.settings import ROOT
from tests.bench.callers import Request
from tests.bench.durable import START_S, settle
from tests.bench.report import Row
from tests.bench.routes import Level, Routes, Running, channels, closed, mesh
from tests.support.buses import make

SERVICE = "/arenamesh.liveops.v1.LeaderboardService/"
BOARD = "score"
ENTRIES = 1_000_000
MOST = 1_000_000_000
"""Of a score before anything is measured."""
TOP = 100
BATCH = 100
CLIENTS = (1, 64)
RATE = 500.0
RATE_CONNECTIONS = 64
LONG_S = 2.0
EVENTS = 10_000
EVENTS_AT_ONCE = 500
PAGE = 20_000
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

WIDE = True


class Work:
    """Makes requests, and keeps what was answered."""

    def __init__(self) -> None:
        self.best: dict[str, int] = {}
        """Of players who were given a score, the last one: each is better than all before."""
        self._chance = random.Random(1)
        self._numbers = itertools.count(1)

    def rank(self) -> Request:
        asked = leaderboard_service_pb2.GetPlayersRequest(window=ALL_TIME, player_ids=[self._player()])

        def settle(answer: bytes) -> None:
            _hold(len(leaderboard_service_pb2.GetPlayersResponse.FromString(answer).entries) == 1)

        return Request(SERVICE + "GetPlayers", asked.SerializeToString(), settle)

    def around(self) -> Request:
        player = self._player()
        asked = leaderboard_service_pb2.GetAroundPlayerRequest(window=ALL_TIME, player_id=player)

        def settle(answer: bytes) -> None:
            found = leaderboard_service_pb2.GetAroundPlayerResponse.FromString(answer)
            _hold(len(found.entries) == 11 and player in {each.player_id for each in found.entries})

        return Request(SERVICE + "GetAroundPlayer", asked.SerializeToString(), settle)

    def top(self) -> Request:
        asked = leaderboard_service_pb2.GetLeaderboardRequest(window=ALL_TIME, limit=TOP)

        def settle(answer: bytes) -> None:
            found = leaderboard_service_pb2.GetLeaderboardResponse.FromString(answer)
            _hold([each.rank for each in found.entries] == list(range(1, TOP + 1)))

        return Request(SERVICE + "GetLeaderboard", asked.SerializeToString(), settle)

    def score(self) -> Request:
        return self._scoring(1)

    def scores(self) -> Request:
        """BATCH of them."""
        return self._scoring(BATCH)

    def events(self) -> Iterator[Message]:
        """Of the bus."""
        for _ in range(EVENTS):
            player, score, event = self._better()
            envelope = Envelope(id=event, source="arenamesh/ingest", type="liveops.score", subject=player)
            envelope.time.GetCurrentTime()
            told = LiveopsScore(player_id=player, score=score, achieved_at=envelope.time)
            envelope.data.Pack(told)
            self.best[player] = score
            yield Message(event, player, envelope.SerializeToString())

    def _scoring(self, count: int) -> Request:
        given = [self._better() for _ in range(count)]
        scores = [
            board_pb2.Score(board=BOARD, player_id=player, score=score, event_id=event)
            for player, score, event in given
        ]
        asked = leaderboard_service_pb2.SubmitScoresRequest(scores=scores)

        def settle(answer: bytes) -> None:
            outcomes = set(leaderboard_service_pb2.SubmitScoresResponse.FromString(answer).outcomes)
            # One that is overtaken by a better one of the same player changes nothing; one that had no answer
            # is there when it comes again.
            fine = {"COUNTED", "NO_CHANGE", "DUPLICATE"}
            _hold(outcomes <= {board_pb2.ScoreOutcome.Value(f"SCORE_OUTCOME_{each}") for each in fine})
            for player, score, _ in given:
                self.best[player] = max(score, self.best.get(player, 0))

        return Request(SERVICE + "SubmitScores", asked.SerializeToString(), settle)

    def _better(self) -> tuple[str, int, str]:
        number = next(self._numbers)
        return self._player(), MOST + number, f"bench-{number}"

    def _player(self) -> str:
        return f"p{self._chance.randrange(ENTRIES)}"


def _hold(fine: bool) -> None:
    if not fine:
        raise RuntimeError("a read or a write was answered wrongly")


# ---- a million ----------------------------------------------------------------------------------


async def filled(running: Running) -> list[Row]:
    """A million entries of all time, in PostgreSQL and Redis; how long that took."""
    (board,) = (each for each in read(ROOT / "services" / "leaderboard" / "data") if each.id == BOARD)
    found = slot(board, ALL_TIME, Catalogue(0, {}, {}, {}), BEGINNING)
    assert found is not None
    chance = random.Random(2)

    def entries() -> Iterator[Columns]:
        for number in range(ENTRIES):
            at = BEGINNING + timedelta(milliseconds=number)
            result = Result(chance.randrange(MOST))
            yield columns.entry_columns(
                board, Entry(found.place, f"p{number}", result, at, 1, at, f"first-{number}")
            )

    connection = await asyncpg.connect(running.database)
    try:
        begun = time.perf_counter()
        await connection.copy_records_to_table("entries", schema_name="leaderboard", records=entries())
        await connection.copy_records_to_table(
            "periods",
            schema_name="leaderboard",
            records=[columns.slot_columns(found)],
            columns=["board", "window_name", "season", "period", "starts_at", "ends_at", "final_at"],
        )
        copied = time.perf_counter() - begun
        await connection.execute("ANALYZE leaderboard.entries")
    finally:
        await connection.close()
    begun = time.perf_counter()
    environment = psutil.Process(running.pid).environ()
    command = (sys.executable, "-m", "services.leaderboard.main", "rebuild")
    run = partial(subprocess.run, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    await asyncio.to_thread(run, command)
    return [
        Row(case="fill", metric="entries", value=ENTRIES, unit=""),
        Row(case="fill", metric="copied into PostgreSQL", value=copied, unit="s"),
        Row(case="fill", metric="ordered in Redis", value=time.perf_counter() - begun, unit="s"),
    ]


# ---- proof --------------------------------------------------------------------------------------

PLACES = """
    SELECT board, window_name, season, period FROM leaderboard.periods
"""
ORDER = """
    SELECT sort_key FROM leaderboard.entries
    WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined
    ORDER BY sort_key
"""
BEST = """
    SELECT player_id, score FROM leaderboard.entries
    WHERE board = $1 AND window_name = 'all_time' AND player_id = ANY($2::varchar[])
"""
HEARD = """
    SELECT count(*) FROM leaderboard.inbox
"""


async def proved(running: Running, work: Work) -> list[Row]:
    """Redis has the order of PostgreSQL, which has what was answered.

    Raises:
        RuntimeError: naming what is not so.
    """
    connection = await asyncpg.connect(running.database)
    redis: Redis = Redis.from_url(running.redis)
    equal = 0
    try:
        for row in await connection.fetch(PLACES):
            place = Place(*row)
            held = [key for (key,) in await connection.fetch(ORDER, *place)]
            keys = name(place) + scripts.KEYS
            if await redis.zcard(keys) != len(held):
                raise RuntimeError(f"{place}: Redis does not have the {len(held):,} entries of PostgreSQL")
            for begin in range(0, len(held), PAGE):
                if await redis.zrange(keys, begin, begin + PAGE - 1) != held[begin : begin + PAGE]:
                    raise RuntimeError(f"{place}: Redis has another order than PostgreSQL after {begin:,}")
            equal += len(held)
        found = {
            each["player_id"]: each["score"] for each in await connection.fetch(BEST, BOARD, [*work.best])
        }
        if found != work.best:
            wrong = sum(found.get(player) != score for player, score in work.best.items())
            raise RuntimeError(f"{wrong:,} players do not have the best score that was answered")
    finally:
        await redis.aclose()
        await connection.close()
    return [
        Row(case="proof", metric="equal in Redis and PostgreSQL", value=equal, unit=""),
        Row(case="proof", metric="players with new scores", value=len(work.best), unit=""),
    ]


# ---- measuring ----------------------------------------------------------------------------------


def at_rate(rate: float) -> Level:
    return Level(
        f"at {rate:,.0f}/s", RATE_CONNECTIONS, lambda callers: callers.at_rate(rate), seconds=LONG_S, rounds=2
    )


async def heard(running: Running, work: Work) -> list[Row]:
    """Events of the bus, as fast as they are heard: until the last has its effect."""
    bus = make("redis", running.redis, stream_length=EVENTS)
    connection = await asyncpg.connect(running.database)
    messages = list(work.events())
    begun = time.perf_counter()
    try:
        for first in range(0, EVENTS, EVENTS_AT_ONCE):
            await bus.publish("game.liveops.events", messages[first : first + EVENTS_AT_ONCE])
        async with asyncio.timeout(START_S):
            while await connection.fetchval(HEARD) < EVENTS:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
    finally:
        await bus.close()
        await connection.close()
    rate = EVENTS / (time.perf_counter() - begun)
    return [Row(case="scores of the bus", metric="calls", value=rate, unit="1/s")]


async def measured(running: Running) -> list[Row]:
    work = Work()
    rows = await filled(running)
    await settle(running.database)
    async with (
        channels(running.edge, max(CLIENTS)) as edge,
        channels(running.process, max(CLIENTS)) as direct,
    ):
        routes = Routes(running, {"edge": edge, "direct": direct})
        kinds: dict[str, Callable[[], Request]] = {
            "rank": work.rank,
            "around": work.around,
            f"top {TOP}": work.top,
        }
        for kind, make_one in kinds.items():
            for level in (*map(closed, CLIENTS), at_rate(RATE)):
                rows += await routes.measured(kind, make_one, level)
        for level in map(closed, CLIENTS):
            rows += await routes.measured("score", work.score, level)
        rows += await routes.measured(f"{BATCH} scores", work.scores, closed(8))
    rows += await heard(running, work)
    return rows + await proved(running, work)


def run() -> list[Row]:
    with mesh("leaderboard") as running:
        return asyncio.run(measured(running))

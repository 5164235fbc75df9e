"""Boards, committers and scores for tests of leaderboards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.chassis import clock
from services.chassis.db import Database
from services.leaderboard.archive import Archive
from services.leaderboard.batch import Command
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.committer import Committer, Projection
from services.leaderboard.domain.board import Board, Season
from services.leaderboard.domain.hold import Hidden, Hold
from services.leaderboard.domain.order import Result
from services.leaderboard.domain.places import Place
from services.leaderboard.domain.scoring import Entry, Outcome, Score
from services.leaderboard.rankings import Rankings
from services.leaderboard.rebuild import Rebuilder
from services.leaderboard.standings import Standings


@dataclass
class Nowhere:
    """In place of Redis: entries go nowhere."""

    dirty: set[Place] = field(default_factory=set)

    async def write(self, entries: Sequence[Entry], catalogue: object) -> None:
        pass


def score(
    player: str, score: int, *columns: int, board: str = "b", event: str = "", ago_s: float = 0
) -> Score:
    """`ago_s`: how long ago it happened."""
    at = clock.now() - timedelta(seconds=ago_s)
    return Score(board, player, Result(score, columns), at, event)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def submitting(*scores: Score, caller: str = "") -> Command:
    """It answers with the outcomes' names."""
    return Command(names, "service:test", scores=scores, caller=caller)


def held(revision: int, player: str, *boards: str) -> Hold:
    """All that it ever reached on these boards; `""`: on every one."""
    return Hold(player, revision, tuple(Hidden(board, datetime(1970, 1, 1, tzinfo=UTC)) for board in boards))


def names(outcomes: Sequence[Outcome]) -> bytes:
    return " ".join(outcome.name for outcome in outcomes).encode()


async def add(database: Database, *added: Board | Season) -> None:
    store = CatalogueStore()
    for each in added:
        async with database.connection() as connection, connection.transaction():
            if isinstance(each, Board):
                await store.add_board(connection, each, clock.now())
            else:
                await store.add_season(connection, each)


@asynccontextmanager
async def committer(
    url: str, projection: Projection | None = None, *, worker: str = "w0", batch: int = 256
) -> AsyncIterator[Committer]:
    """A running one, as another process would have it."""
    database = await Database.connect(url, size=1, wait_s=5, command_s=10, by_key=True)
    started = Committer(database, CatalogueStore(), projection or Nowhere(), worker=worker, batch=batch)
    started.start()
    try:
        yield started
    finally:
        await started.close()
        await database.close()


@dataclass
class Process:
    """What a serving process has of all this."""

    database: Database
    redis: Redis
    committer: Committer
    standings: Standings
    archive: Archive
    rankings: Rankings
    rebuilder: Rebuilder


@asynccontextmanager
async def process(
    database: Database, url: str, redis_url: str, *, worker: str = "w0"
) -> AsyncIterator[Process]:
    """Nothing is built or made final beside what a test does. `database`: for reads."""
    redis: Redis = Redis.from_url(redis_url, socket_timeout=5, retry=Retry(NoBackoff(), 0))
    standings = Standings(redis, retry_s=0.0, keep_s=3600)
    archive = Archive(database)
    rebuilder = Rebuilder(database, CatalogueStore(), standings)
    async with committer(url, standings, worker=worker) as running:
        yield Process(database, redis, running, standings, archive, Rankings(standings, archive), rebuilder)
    await redis.aclose()

"""The model of PostgreSQL and PostgreSQL give the same answers to the same statements.

What is beyond this: a restart of the server and times to the second, which `Tables` takes from the statements
as they are written.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from services.chassis.db import Database
from services.combat.domain.session import Session, SessionStatus, SessionType
from services.combat.durability.journal_store import PostgresJournal
from services.combat.live.ownership_store import PostgresOwnership
from services.combat.ports import Save, Segment
from services.combat.store import SessionStore
from tests.integration.conftest import database_url, postgres, template  # noqa: F401 - fixtures
from tests.sim.tables import Tables
from tests.support.waiting import eventually

STATEMENTS = 400
LEASE_S, ORPHAN_S, LONG_S = 2.0, 3.0, 1000.0
SESSIONS = ("s0", "s1", "s2")
OWNERS = ("w0.a", "w0.b", "w1.c")


class Both:
    """Every statement, in the model and for real; each returns the two answers."""

    def __init__(self, url: str, database: Database, admin: asyncpg.Connection) -> None:
        self.tables = Tables(lambda: 0.0, LEASE_S, ORPHAN_S)
        self._rows = SessionStore()
        self._database = database
        self._admin = admin
        self._journal = PostgresJournal(url, database, wait_s=5, command_s=5)
        self._workers = {
            owner: PostgresOwnership(url, database, self._rows, wait_s=5, lease_s=LEASE_S, orphan_s=ORPHAN_S)
            for owner in OWNERS
        }
        self._asked: list[str] = []

    async def close(self) -> None:
        await self._journal.close()
        for owner, worker in self._workers.items():
            await worker.leave(owner)

    async def insert(self, session: Session) -> tuple[Any, Any]:
        real = await self._database.transaction(lambda connection: self._rows.insert(connection, session))
        return self.tables.insert(session), real

    async def write(self, session: Session) -> tuple[Any, Any]:
        return self.tables.update(session), await self._workers["w0.a"].write(session)

    async def commit(self, owner: str, segments: list[Segment]) -> tuple[Any, Any]:
        return self.tables.commit(owner, segments), await self._journal.commit(owner, segments)

    async def read(self, session_id: str, after: int) -> tuple[Any, Any]:
        return self.tables.read(session_id, after, 3), await self._journal.read(session_id, after, 3)

    async def save_before(self, session_id: str, tick: int | None) -> tuple[Any, Any]:
        model = self.tables.save_before(session_id, tick)
        return model, await self._journal.save_before(session_id, tick)

    async def join(self, owner: str) -> tuple[Any, Any]:
        name = owner.partition(".")[0]
        self.tables.join(owner, name, self._asked.append)
        await self._workers[owner].join(owner, name, self._asked.append)
        return None, None

    async def leave(self, owner: str) -> tuple[Any, Any]:
        self.tables.leave(owner)
        await self._workers[owner].leave(owner)
        return None, None

    async def claim(self, session_id: str, owner: str) -> tuple[Any, Any]:
        return self.tables.claim(session_id, owner), await self._workers[owner].claim(session_id, owner)

    async def release(self, session_id: str, owner: str, epoch: int) -> tuple[Any, Any]:
        model = self.tables.release(session_id, owner, epoch)
        return model, await self._workers[owner].release(session_id, owner, epoch)

    async def held(self, owner: str) -> tuple[Any, Any]:
        return self.tables.held(owner), await self._workers[owner].held(owner)

    async def orphans(self, owner: str) -> tuple[Any, Any]:
        return sorted(self.tables.orphans(owner)), sorted(await self._workers[owner].orphans(owner, 100))

    async def beat(self, owner: str) -> tuple[Any, Any]:
        return self.tables.beat(owner), await self._workers[owner].beat(owner)

    # -- time -------------------------------------------------------------------------------------

    async def stand_still(self) -> None:
        """Nothing gets old but by `fall_silent` and `be_long_ago`, however slow the machine is."""
        await self._admin.execute(
            "UPDATE gameplay.combat_workers SET heartbeat_at = clock_timestamp() "
            "WHERE heartbeat_at > clock_timestamp() - make_interval(secs => $1)",
            LONG_S / 2,
        )
        await self._admin.execute(
            "UPDATE gameplay.combat_sessions SET claimed_at = clock_timestamp() AT TIME ZONE 'utc' "
            "WHERE claimed_at > clock_timestamp() AT TIME ZONE 'utc' - make_interval(secs => $1)",
            LONG_S / 2,
        )

    async def older_than_a_lease(self) -> bool:
        """Whether the server is: before, it takes nobody's silence for death."""
        return bool(
            await self._admin.fetchval(
                "SELECT pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $1)", LEASE_S
            )
        )

    # -- what befalls the workers -----------------------------------------------------------------

    async def fall_silent(self, owner: str) -> tuple[Any, Any]:
        """It has not been heard of for long."""
        if owner in self.tables.workers:
            self.tables.workers[owner].beat_at -= LONG_S
        await self._admin.execute(
            "UPDATE gameplay.combat_workers SET heartbeat_at = heartbeat_at - make_interval(secs => $2) "
            "WHERE id = $1",
            owner,
            LONG_S,
        )
        return None, None

    async def be_long_ago(self, session_id: str) -> tuple[Any, Any]:
        """Whatever happened to its ownership."""
        if session_id in self.tables.claimed_at:
            self.tables.claimed_at[session_id] -= LONG_S
        await self._admin.execute(
            "UPDATE gameplay.combat_sessions SET claimed_at = claimed_at - make_interval(secs => $2) "
            "WHERE id = $1",
            session_id,
            LONG_S,
        )
        return None, None

    async def lose_connection(self, owner: str) -> tuple[Any, Any]:
        if owner in self.tables.workers:
            self.tables.workers[owner].backend = False
        pid = await self._admin.fetchval(
            "SELECT backend_pid FROM gameplay.combat_workers WHERE id = $1", owner
        )
        self._workers[owner]._drop()

        async def gone() -> bool:
            return not await self._admin.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid
            )

        await eventually(gone)
        return None, None


@pytest.fixture
async def both(database_url: str) -> AsyncIterator[Both]:  # noqa: F811
    database = await Database.connect(database_url, size=2, wait_s=5, command_s=5)
    admin = await asyncpg.connect(database_url)
    stores = Both(database_url, database, admin)
    yield stores
    await stores.close()
    await admin.close()
    await database.close()


def session(draw: random.Random, session_id: str) -> Session:
    return Session(
        session_id=session_id,
        name=f"name {draw.randrange(100)}",
        type=SessionType.DUEL,
        status=draw.choice((SessionStatus.WAITING, SessionStatus.ACTIVE)),
        max_players=2,
        min_players=1,
        map_id="yard",
        game_mode="duel",
        ruleset_name="default",
        ruleset_version=1,
        tick_rate_hz=30,
        spectator_delay_s=0,
        created_at=datetime(2031, 5, 1, tzinfo=UTC),
        started_at=None,
        ended_at=None,
        player_count=0,
        owner=draw.choice(OWNERS),
        epoch=1,
        arena_key=draw.getrandbits(64),
        ruleset_hash="a",
        map_hash="b",
    )


def change(draw: random.Random, tables: Tables, session_id: str) -> Session:
    """What somebody might write who knows the row, or knew it once."""
    row = tables.sessions.get(session_id) or session(draw, session_id)
    over = draw.random() < 0.05
    return replace(
        row,
        owner=row.owner if draw.random() < 0.8 else draw.choice(OWNERS),
        epoch=row.epoch - (draw.random() < 0.2),
        player_count=draw.randrange(3),
        status=SessionStatus.ENDED if over else row.status,
        ended_at=datetime(2031, 5, 2, tzinfo=UTC) if over else None,
    )


def segments(draw: random.Random, tables: Tables) -> tuple[str, list[Segment]]:
    """What an owner might commit: what comes next, what came last, or what does not fit."""
    owner = draw.choice(OWNERS)
    made = []
    for session_id in draw.sample(SESSIONS, draw.randint(1, 3)):
        row = tables.sessions.get(session_id) or session(draw, session_id)
        if draw.random() < 0.7:
            owner = row.owner or owner
        first = row.journal_sequence + draw.choice((1, 1, 1, 2, 0))
        last = first + draw.randrange(4)
        if draw.random() < 0.2 and (before := tables.segments.get(session_id)):
            made.append(before[-1].segment)
            continue
        save = Save(last, last * 2, draw.randbytes(8)) if draw.random() < 0.3 else None
        epoch = row.epoch - (draw.random() < 0.1)
        made.append(Segment(session_id, epoch, first, last, last * 2, last * 100, draw.randbytes(16), save))
    return owner, made


async def statement(draw: random.Random, both: Both) -> tuple[str, tuple[Any, Any]]:
    """One at random."""
    session_id, owner, tables = draw.choice(SESSIONS), draw.choice(OWNERS), both.tables
    row = tables.sessions.get(session_id)
    options = {
        "insert": lambda: both.insert(session(draw, session_id)),
        "write": lambda: both.write(change(draw, tables, session_id)),
        "commit": lambda: both.commit(*segments(draw, tables)),
        "read": lambda: both.read(session_id, draw.randrange(1 + (row.journal_sequence if row else 0))),
        "save_before": lambda: both.save_before(session_id, draw.choice((None, draw.randrange(60)))),
        "join": lambda: both.join(owner),
        "leave": lambda: both.leave(owner),
        "claim": lambda: both.claim(session_id, owner),
        "release": lambda: both.release(
            session_id,
            row.owner if row and row.owner else owner,
            (row.epoch if row else 1) - draw.randrange(2),
        ),
        "held": lambda: both.held(owner),
        "orphans": lambda: both.orphans(owner),
        "beat": lambda: both.beat(owner),
        "fall silent": lambda: both.fall_silent(owner),
        "be long ago": lambda: both.be_long_ago(session_id),
        "lose connection": lambda: both.lose_connection(owner),
    }
    often = {"insert": 3, "beat": 2, "commit": 6, "claim": 4, "join": 3, "orphans": 3}
    name = draw.choices(list(options), [often.get(option, 1) for option in options])[0]
    return name, await options[name]()


@pytest.mark.parametrize("seed", range(4))
async def test_they_agree(both: Both, seed: int) -> None:
    draw = random.Random(seed)
    answers: dict[str, set[str]] = {}
    await eventually(both.older_than_a_lease)
    for number in range(STATEMENTS):
        await both.stand_still()
        name, (model, real) = await statement(draw, both)
        assert model == real, f"statement {number}, {name}"
        answers.setdefault(name, set()).add(str(model))
    # Each of them said more than one thing.
    for name in ("insert", "write", "commit", "read", "claim", "release", "held", "orphans", "beat"):
        assert len(answers[name]) > 1, name

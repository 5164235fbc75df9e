"""Sessions with a journal in PostgreSQL, without a worker that played them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from arenamesh.combat.v1 import journal_pb2

from services.combat.domain.session import Session, SessionStatus, SessionType
from services.combat.store import SessionStore

STARTED = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def session_row(session_id: str, **fields: Any) -> Session:
    """An ACTIVE session of the default ruleset, begun at STARTED."""
    base: dict[str, Any] = {
        "session_id": session_id,
        "name": "test",
        "type": SessionType.TRAINING,
        "status": SessionStatus.ACTIVE,
        "max_players": 16,
        "min_players": 1,
        "map_id": "yard",
        "game_mode": "deathmatch",
        "ruleset_name": "default",
        "ruleset_version": 1,
        "tick_rate_hz": 50,
        "spectator_delay_s": 0,
        "created_at": STARTED,
        "started_at": STARTED,
        "ended_at": None,
        "player_count": 0,
        "owner": "w0",
        "epoch": 1,
        "arena_key": 7,
        "ruleset_hash": "",
        "map_hash": "",
    }
    return Session(**(base | fields))


async def add_session(connection: Any, session: Session) -> None:
    assert await SessionStore().insert(connection, session)


async def add_segments(connection: asyncpg.Connection, session_id: str, segments: Sequence[bytes]) -> int:
    """Goes on where the session's journal ends; returns the sequence of its last record."""
    last = 0
    for payload in segments:
        records = journal_pb2.JournalSegment.FromString(payload).records
        if not records:
            continue
        last = records[-1].sequence
        tick = max((record.tick.tick for record in records), default=0)
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO gameplay.combat_segments (session_id, first_sequence, last_sequence, epoch,"
                " tick, time_us, checksum, payload) VALUES ($1, $2, $3, 1, $4, $5, $6, $7)",
                session_id,
                records[0].sequence,
                last,
                tick,
                records[-1].time_us,
                zlib.crc32(payload),
                payload,
            )
            await connection.execute(
                "UPDATE gameplay.combat_sessions SET journal_sequence = $2, journal_time_us = $3,"
                " journal_tick = greatest(journal_tick, $4) WHERE id = $1",
                session_id,
                last,
                records[-1].time_us,
                tick,
            )
    return last

"""Session rows in PostgreSQL."""

from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg

from services.chassis import sql
from services.chassis.db import Connection
from services.combat.domain.session import Session, SessionStatus, SessionType
from services.combat.schema import SQL


class SessionStore:
    """Every statement on `gameplay.combat_sessions`. Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "sessions.sql")

    async def insert(self, connection: Connection, session: Session) -> bool:
        """False when the id is taken."""
        inserted = await connection.fetchval(
            self._sql["insert"],
            session.session_id,
            session.name,
            session.type,
            session.status,
            session.max_players,
            session.min_players,
            session.map_id,
            session.game_mode,
            session.ruleset_name,
            session.ruleset_version,
            session.tick_rate_hz,
            session.spectator_delay_s,
            _naive(session.created_at),
            _naive(session.started_at),
            _naive(session.ended_at),
            session.player_count,
            session.owner,
            session.epoch,
            _signed(session.arena_key),
            session.ruleset_hash,
            session.map_hash,
        )
        return inserted is not None

    async def update(self, connection: Connection, session: Session) -> bool:
        """Writes what can change. False when the row is over, or of another owner or epoch."""
        updated = await connection.fetchval(
            self._sql["update"],
            session.session_id,
            session.owner,
            session.epoch,
            session.name,
            session.status,
            session.max_players,
            session.min_players,
            session.spectator_delay_s,
            _naive(session.started_at),
            _naive(session.ended_at),
            session.player_count,
        )
        return updated is not None

    async def get(self, connection: Connection, session_id: str) -> Session | None:
        row = await connection.fetchrow(self._sql["get"], session_id)
        return None if row is None else session_of(row)

    async def list(
        self,
        connection: Connection,
        *,
        status: SessionStatus | None,
        type_: SessionType | None,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Session]:
        """Newest first; `after` is the creation time and id of the last one known."""
        created_at, session_id = after or (None, None)
        rows = await connection.fetch(self._sql["list"], status, type_, _naive(created_at), session_id, limit)
        return [session_of(row) for row in rows]

    async def set_counts(self, connection: Connection, owner: str, counts: Mapping[str, int]) -> None:
        """Seats taken, by session."""
        await connection.execute(self._sql["set_counts"], owner, list(counts), list(counts.values()))


def session_of(row: asyncpg.Record) -> Session:
    """A whole row."""
    return Session(
        session_id=row["id"],
        name=row["name"],
        type=SessionType(row["type"]),
        status=SessionStatus(row["status"]),
        max_players=row["max_players"],
        min_players=row["min_players"],
        map_id=row["map_id"],
        game_mode=row["game_mode"],
        ruleset_name=row["ruleset_name"],
        ruleset_version=row["ruleset_version"],
        tick_rate_hz=row["tick_rate"],
        spectator_delay_s=row["spectator_delay_s"],
        created_at=row["created_at"].replace(tzinfo=UTC),
        started_at=_aware(row["started_at"]),
        ended_at=_aware(row["ended_at"]),
        player_count=row["player_count"],
        owner=row["owner"],
        epoch=row["epoch"],
        arena_key=row["arena_key"] % (1 << 64),
        ruleset_hash=row["ruleset_hash"],
        map_hash=row["map_hash"],
        journal_sequence=row["journal_sequence"],
        journal_time_us=row["journal_time_us"],
        journal_tick=row["journal_tick"],
    )


def _signed(number: int) -> int:
    """64 bits as PostgreSQL has them."""
    return number - (1 << 64) if number >> 63 else number


def _naive(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _aware(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)

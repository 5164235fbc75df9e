"""The journal in PostgreSQL."""

import zlib
from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog

from services.chassis import sql
from services.chassis.db import Database, unavailable
from services.chassis.errors import DataLoss, Unavailable
from services.combat.ports import Save, Segment
from services.combat.schema import SQL

_log = structlog.get_logger()
_SERVER_SETTINGS = {
    # Whatever the server's default is: what this connection commits is on disk.
    "synchronous_commit": "on",
    # Sessions are found by their key, each in turn. Without statistics, or with few sessions, PostgreSQL
    # would read the whole table for every commit; and it would think about that again each time.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class PostgresJournal:
    """Commits through a connection of its own, reads through the process's pool.

    Its own, because every answer of the process waits for it: no other traffic may take it, and a pool would
    add a round trip to each commit by resetting the connection when it comes back. It is opened when it is
    first needed, and dropped after any fault, so that nothing half done is ever left on it.

    A commit is one statement, so one round trip and one transaction: the fence is an UPDATE of the sessions'
    rows, and what it returns is what is inserted.
    """

    def __init__(self, url: str, database: Database, *, wait_s: float, command_s: float) -> None:
        """`wait_s`, `command_s`: how long connecting and one commit may take before Unavailable."""
        self._url = url
        self._database = database
        self._wait_s = wait_s
        self._command_s = command_s
        self._connection: asyncpg.Connection | None = None
        self._sql = sql.load(SQL / "journal.sql")

    async def close(self) -> None:
        """Only when no commit is under way."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def commit(self, owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        """As `JournalStore.commit`. One caller at a time."""
        try:
            with unavailable():
                return await self._commit(owner, segments)
        except BaseException as error:
            await self.close()
            if isinstance(error, asyncpg.PostgresError):
                # A full disk, a lost deadlock, a server that became read only: nothing was written.
                _log.error("commit refused", error=repr(error))
                raise Unavailable(
                    "The journal cannot be written.", reason="JOURNAL_UNAVAILABLE", retry_after_s=0.5
                ) from error
            raise

    async def _commit(self, owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=self._wait_s,
                command_timeout=self._command_s,
                server_settings=_SERVER_SETTINGS,
            )
        rows = await self._connection.fetch(self._sql["commit"], owner, *_columns(segments))
        if len(rows) == len(segments):
            return frozenset()
        # Only a later statement sees what an earlier attempt, which we gave up, may have committed while this
        # one waited for its rows.
        held = {row["session_id"] for row in rows}
        missed = [segment for segment in segments if segment.session_id not in held]
        before = await self._connection.fetch(
            self._sql["committed_before"],
            owner,
            [segment.session_id for segment in missed],
            [segment.epoch for segment in missed],
            [segment.last for segment in missed],
        )
        return frozenset(segment.session_id for segment in missed) - {row["id"] for row in before}

    async def read(self, session_id: str, after: int, limit: int) -> list[Segment]:
        """As `JournalStore.read`.

        Raises:
            DataLoss: JOURNAL_DAMAGED, a segment is not what was written, or one is missing.
            Unavailable: the database does not answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["read"], session_id, after, limit)
        segments = [_checked(row) for row in rows]
        for segment in segments:
            if segment.first > after + 1:
                raise _damaged(session_id, after + 1, "is missing")
            after = segment.last
        return segments

    async def save_before(self, session_id: str, tick: int | None = None) -> Save | None:
        """As `JournalStore.save_before`. Whether its data is whole is checked by `Arena.restore`.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._sql["save_before"], session_id, tick)
        return None if row is None else Save(row["sequence"], row["tick"], row["data"])


def _columns(segments: Sequence[Segment]) -> tuple[Any, ...]:
    """The arguments of `commit` after the owner. Payloads go as one piece that PostgreSQL cuts up: an array
    of them would be copied three more times on its way."""
    pieces = [segment.payload for segment in segments]
    starts = []
    start = 1
    for piece in pieces:
        starts.append(start)
        start += len(piece)
    saves = []
    for segment in segments:
        if segment.save is not None:
            save = segment.save
            saves.append((segment.session_id, save.sequence, save.tick, start, len(save.data)))
            pieces.append(save.data)
            start += len(save.data)
    return (
        [segment.session_id for segment in segments],
        [segment.epoch for segment in segments],
        [segment.first for segment in segments],
        [segment.last for segment in segments],
        [segment.tick for segment in segments],
        [segment.time_us for segment in segments],
        [zlib.crc32(segment.payload) for segment in segments],
        starts,
        [len(segment.payload) for segment in segments],
        b"".join(pieces),
        *(list(column) for column in (zip(*saves, strict=True) if saves else ((),) * 5)),
    )


def _checked(row: asyncpg.Record) -> Segment:
    payload = row["payload"]
    if zlib.crc32(payload) != row["checksum"]:
        raise _damaged(row["session_id"], row["first_sequence"], "does not match its checksum")
    return Segment(
        session_id=row["session_id"],
        epoch=row["epoch"],
        first=row["first_sequence"],
        last=row["last_sequence"],
        tick=row["tick"],
        time_us=row["time_us"],
        payload=payload,
    )


def _damaged(session_id: str, sequence: int, how: str) -> DataLoss:
    return DataLoss(
        f"The journal of session {session_id} is damaged: the segment from record {sequence} on {how}.",
        reason="JOURNAL_DAMAGED",
        metadata={"session_id": session_id, "sequence": str(sequence)},
    )

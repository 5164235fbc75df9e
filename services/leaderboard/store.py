"""What the committer reads and writes in PostgreSQL."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.idempotency import Idempotency, Name, Stored
from services.chassis.inbox import Inbox
from services.chassis.sql import Columns, Statement
from services.leaderboard import rows
from services.leaderboard.batch import Changes, Command, Key, Loaded, Seen, keys
from services.leaderboard.domain.board import Board, Catalogue
from services.leaderboard.domain.hold import Hold
from services.leaderboard.domain.places import Place
from services.leaderboard.domain.scoring import Entry
from services.leaderboard.schema import SCHEMA, SQL

GROUP = "leaderboard"
"""Of the events that come in."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the commands of a batch ask for."""

    entries: frozenset[Key]
    players: frozenset[str]
    held: frozenset[str]
    """Players whose holds the commands change: all of their entries."""
    names: frozenset[Name]
    events: frozenset[str]
    seen: frozenset[Seen]

    @classmethod
    def by(cls, commands: Sequence[Command], catalogue: Catalogue, now: datetime) -> "Asked":
        return cls(
            frozenset(key for each in commands for key in keys(each, catalogue, now)),
            frozenset(score.player for each in commands for score in each.scores),
            frozenset(each.hold.player for each in commands if each.hold is not None),
            frozenset(each.key.name for each in commands if each.key is not None),
            frozenset(each.event for each in commands if each.event),
            frozenset(seen for each in commands for seen in each.seen if seen.event),
        )


class EntryStore:
    """Every statement of the committer. Callers bring the connection, in a transaction."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "committer.sql")
        self._idempotency = Idempotency(SCHEMA)
        self._inbox = Inbox(SCHEMA)

    # -- reading ----------------------------------------------------------------------------------

    async def load(self, connection: Connection, asked: Asked) -> tuple[Loaded, int]:
        """What is asked for, and the revision of the catalogue. Nobody else changes the entries, or makes
        their places final, until the transaction ends."""
        holds = await self._holds(connection, asked)
        final = await self._share(connection, {key.place for key in asked.entries})
        held = [key for player in asked.held for key in await self._of_player(connection, player)]
        entries = await self.lock(connection, asked.entries.union(held))
        names, seen = list(asked.names), list(asked.seen)
        found = await connection.fetchrow(
            self._sql["load"],
            *([scope for scope, _ in names], [key for _, key in names]),
            *(GROUP, list(asked.events)),
            *([caller for caller, _ in seen], [event for _, event in seen]),
        )
        assert found is not None
        answers = {
            (row["scope"], row["key"]): Stored(row["payload_hash"], row["answer"]) for row in found["answers"]
        }
        known = {Seen(row["caller"], row["event_id"]) for row in found["seen"]}
        return Loaded(entries, final, answers, set(found["events"]), known, holds), found["revision"]

    async def _holds(self, connection: Connection, asked: Asked) -> dict[str, Hold]:
        if asked.held:
            await connection.execute(self._sql["lock_holds"])
        found = await connection.fetch(self._sql["share_holds"], list(asked.players | asked.held))
        return {row["player_id"]: rows.hold(row) for row in found}

    async def _share(self, connection: Connection, places: Collection[Place]) -> dict[Place, bool]:
        if not places:
            return {}
        found = await connection.fetch(self._sql["share_periods"], *sql.transposed(places, 4))
        return {rows.place(row): row["final"] for row in found}

    async def _of_player(self, connection: Connection, player: str) -> list[Key]:
        found = await connection.fetch(self._sql["keys_of_player"], player)
        return [Key(rows.place(row), player) for row in found]

    async def lock(self, connection: Connection, asked: Collection[Key]) -> dict[Key, Entry]:
        """Those that there are."""
        if not asked:
            return {}
        found = await connection.fetch(self._sql["lock_entries"], *rows.keys_columns(sorted(asked)))
        return {rows.key(row): rows.entry(row) for row in found}

    # -- writing ----------------------------------------------------------------------------------

    async def forget_seen(self, connection: Connection, keep: timedelta, limit: int) -> int:
        """Ids of scores that were noted longer than `keep` ago; returns how many, `limit` at most."""
        return len(await connection.fetch(self._sql["forget_seen"], keep, limit))

    def writing(
        self, changes: Changes, boards: Mapping[str, Board], worker: str, unprojected: Iterable[Key]
    ) -> Statement | None:
        """All of it as one statement; None: nothing changed. `unprojected`: entries that Redis may not have
        as they are then; of a place as a whole, its key without a player."""
        parts: dict[str, Statement] = {}
        if changes.slots:
            slots = [rows.slot_columns(changes.slots[place]) for place in sorted(changes.slots)]
            parts["periods"] = self._put("create_periods", slots, 7)
        if changes.entries:
            parts |= self._entries(changes, boards)
            waiting = json.dumps([[*key.place, key.player] for key in unprojected])
            parts["unprojected"] = Statement(self._sql["put_unprojected"], (worker, waiting))
        if changes.holds:
            holds = [rows.hold_columns(each) for each in changes.holds.values()]
            parts["holds"] = self._put("put_holds", holds, 3)
        if changes.seen:
            parts["seen"] = self._put("note_seen", sorted(changes.seen), 2)
        if changes.answers:
            parts["answers"] = self._idempotency.storing(changes.answers)
        if changes.events:
            parts["events"] = self._inbox.noting(GROUP, changes.events)
        return sql.together(parts) if parts else None

    def _entries(self, changes: Changes, boards: Mapping[str, Board]) -> dict[str, Statement]:
        new: list[Columns] = []
        old: list[Columns] = []
        for key in sorted(changes.entries):
            entry = changes.entries[key]
            columns = rows.entry_columns(boards[entry.place.board], entry)
            (new if key in changes.created else old).append(columns)
        return {
            "create_entries": self._put("create_entries", new, 15),
            "put_entries": self._put("put_entries", old, 15),
        }

    def _put(self, name: str, found: Iterable[Columns], width: int) -> Statement:
        return Statement(self._sql[name], tuple(sql.transposed(found, width)))

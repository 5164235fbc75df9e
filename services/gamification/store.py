"""Players, and what batches of commands make of them, in PostgreSQL."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.idempotency import Idempotency, Name, Stored
from services.chassis.inbox import Inbox
from services.chassis.outbox import Outbox
from services.chassis.sql import Columns, Statement
from services.gamification import rows
from services.gamification.batch import Command, HeldGain, Loaded
from services.gamification.changes import Changes, Place
from services.gamification.domain.ledger import account_of, escrow_of
from services.gamification.domain.player import Closing, Player
from services.gamification.schema import SCHEMA, SQL
from services.gamification.told import TOPIC

GROUP = "gamification"
"""Of the events that come in."""
RECORDS = "gamification.records"
"""Group under which the inbox keeps the ids of records."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the commands of a batch ask for."""

    users: frozenset[str]
    grants: frozenset[str]
    balances: frozenset[str]
    gains: frozenset[str]
    keys: frozenset[Name]
    events: frozenset[str]
    records: frozenset[str]

    @classmethod
    def by(cls, commands: Sequence[Command]) -> "Asked":
        return cls(
            frozenset(name for each in commands for name in each.user_ids),
            frozenset(name for each in commands for name in each.grant_ids),
            frozenset(name for each in commands if each.balances for name in each.user_ids),
            frozenset(name for each in commands for name in each.gain_ids),
            frozenset(each.key.name for each in commands if each.key is not None),
            frozenset(each.event for each in commands if each.event),
            frozenset(name for each in commands for name in each.records),
        )


class Head(NamedTuple):
    """A player's own row."""

    user_id: str
    version: int
    notified: int
    achievements_completed: int
    achievement_points: int


class PlayerStore:
    """Every statement of the committer. Callers bring the connection, in a transaction."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "committer.sql")
        self._idempotency = Idempotency(SCHEMA)
        self._inbox = Inbox(SCHEMA)
        self._outbox = Outbox(SCHEMA)

    # -- reading ----------------------------------------------------------------------------------

    async def lock(self, connection: Connection, user_ids: Collection[str]) -> dict[str, Head]:
        """Nobody else changes these players until the transaction ends. Those that there are."""
        found = await connection.fetch(self._sql["lock"], list(user_ids))
        return {row["user_id"]: Head(*row) for row in found}

    async def load(
        self,
        connection: Connection,
        asked: Asked,
        known: Mapping[str, Player],
        missing: Sequence[Head],
    ) -> tuple[Loaded, int]:
        """What is asked for, and the revision of the definitions. `known`: players that are in memory;
        `missing`: those that have to be read, too."""
        players = {head.user_id: Player(*head) for head in missing}
        names = list(players)
        if names:
            for row in await connection.fetch(self._sql["accumulators"], names):
                key, accumulator = rows.accumulator(row)
                players[row["user_id"]].accumulators[key] = accumulator
        found = await connection.fetchrow(self._sql["load"], names, *_arguments(asked))
        assert found is not None
        _fill(players, found)
        loaded = Loaded(
            players={**known, **players},
            grants={row["id"]: rows.grant(row) for row in found["grants"]},
            balances=_balances(asked.balances, found["balances"]),
            gains={row["id"]: HeldGain(rows.quarantined(row), row["released"]) for row in found["gains"]},
            answers={
                (row["scope"], row["key"]): Stored(row["payload_hash"], row["answer"])
                for row in found["answers"]
            },
            seen=set(found["seen"]),
            records=set(found["records"]),
        )
        return loaded, found["revision"]

    # -- writing ----------------------------------------------------------------------------------

    def writing(self, changes: Changes, now: datetime) -> Statement | None:
        """All of it as one statement; None: nothing changed. What other transactions may wait for comes in
        the same order in each, the players first; counts, which every transaction may want, come last."""
        parts: dict[str, Statement] = {}
        if changes.players:
            parts |= self._players(changes, now)
        if changes.transfers or changes.granted or changes.settled:
            parts |= self._owed(changes)
        if changes.quarantined or changes.resolved:
            parts |= self._quarantine(changes, now)
        if changes.answers:
            parts["answers"] = self._idempotency.storing(changes.answers)
        if changes.events:
            parts["events"] = self._inbox.noting(GROUP, changes.events)
        if changes.records:
            parts["records"] = self._inbox.noting(RECORDS, changes.records)
        if changes.notifications or changes.envelopes or changes.counts:
            parts |= self._said(changes, now)
        return sql.together(parts) if parts else None

    def _players(self, changes: Changes, now: datetime) -> dict[str, Statement]:
        """However little of it changes, all these statements: few kinds of transaction are few plans."""
        heads = [
            (id_, it.version, it.notified, it.achievements_completed, it.achievement_points)
            for id_, it in sorted(changes.players.items())
        ]
        accumulators = sorted(changes.accumulators.items(), key=lambda each: each[0])
        closings = changes.closings.items()
        return {
            "create_players": self._put(
                "create_players", [head for head in heads if head[0] in changes.created], 5, now
            ),
            "put_players": self._put(
                "put_players", [head for head in heads if head[0] not in changes.created], 5, now
            ),
            "put_accumulators": self._put(
                "put_accumulators",
                [rows.accumulator_columns(user_id, key, it) for (user_id, key), it in accumulators],
                14,
            ),
            "forget_accumulators": self._put(
                "forget_accumulators", [(user_id, *key) for user_id, key in changes.forgotten], 5
            ),
            "put_closings": self._put(
                "put_closings", [(user_id, *it, at) for (user_id, it), at in closings if at is not None], 5
            ),
            "take_closings": self._put(
                "take_closings", [(user_id, *it) for (user_id, it), at in closings if at is None], 4
            ),
            "put_achievements": self._put(
                "put_achievements",
                [rows.achievement_columns(user_id, it) for (user_id, _), it in changes.achievements.items()],
                10,
            ),
            "put_quests": self._put(
                "put_quests",
                [rows.quest_columns(user_id, it) for (user_id, _), it in changes.quests.items()],
                11,
            ),
        }

    def _owed(self, changes: Changes) -> dict[str, Statement]:
        settled = (rows.settled_columns(before, grant) for before, grant in changes.settled.values())
        balances = [
            (*place, delta.user_id, delta.item_type, delta.amount)
            for place, delta in changes.balances.items()
            if delta.amount
        ]
        return {
            "grants": self._put("grant", map(rows.grant_columns, changes.granted.values()), 16),
            "settled": self._put("settle", settled, 6),
            "transfers": self._put("transfer", map(rows.transfer_columns, changes.transfers), 9),
            "balances": self._put("move_balances", balances, 5),
        }

    def _quarantine(self, changes: Changes, now: datetime) -> dict[str, Statement]:
        gains = [rows.quarantined_columns(gain, now) for gain in changes.quarantined]
        return {
            "quarantine": self._put("quarantine", gains, 12),
            "resolved": self._put("resolve", changes.resolved.items(), 2, now),
        }

    def _said(self, changes: Changes, now: datetime) -> dict[str, Statement]:
        notifications = [
            (user_id, sequence, it.type, it.title, json.dumps(it.data), it.cause)
            for user_id, sequence, it in changes.notifications
        ]
        counts = [(*count, str(n)) for count, n in sorted(changes.counts.items()) if n]
        return {
            "notifications": self._put("notify", notifications, 6, now),
            "outbox": self._outbox.putting(TOPIC, changes.envelopes),
            "counts": self._put("count", counts, 4),
        }

    def _put(self, name: str, found: Iterable[Columns], width: int, *more: object) -> Statement:
        return Statement(self._sql[name], (*sql.transposed(found, width), *more))


def _arguments(asked: Asked) -> tuple[object, ...]:
    keys = list(asked.keys)
    accounts = [of(user_id) for user_id in asked.balances for of in (account_of, escrow_of)]
    return (
        *(list(asked.grants), accounts, list(asked.gains)),
        *([scope for scope, _ in keys], [key for _, key in keys]),
        *(GROUP, list(asked.events), RECORDS, list(asked.records)),
    )


def _fill(players: Mapping[str, Player], found: asyncpg.Record) -> None:
    for row in found["achievements"]:
        players[row["user_id"]].achievements[row["achievement_id"]] = rows.achievement(row)
    for row in found["quests"]:
        players[row["user_id"]].quests[row["quest_id"]] = rows.quest(row)
    for row in found["closings"]:
        closing = Closing(row["subject"], row["window_key"], row["starts_at"])
        players[row["user_id"]].closings[closing] = row["closes_at"]


def _balances(users: Collection[str], found: Iterable[asyncpg.Record]) -> dict[str, dict[Place, int]]:
    balances: dict[str, dict[Place, int]] = {user_id: {} for user_id in users}
    for row in found:
        balances[row["user_id"]][row["account"], row["asset"]] = row["amount"]
    return balances

"""Committers of gamification on a real database, commands for them, and what must hold after any history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseDict

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.idempotency import IdempotencyKey
from services.gamification.batch import Command, Turn
from services.gamification.committer import Committer
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.domain import grants, quests
from services.gamification.domain.observation import Observation
from services.gamification.domain.observe import observe
from services.gamification.shelf import MESSAGES, Definition, document


@asynccontextmanager
async def committer(url: str, **limits: int) -> AsyncIterator[Committer]:
    """A running one with a connection of its own, as a process has it."""
    database = await Database.connect(url, size=1, wait_s=5, command_s=10, by_key=True)
    running = Committer(database, DefinitionsStore(), **limits)
    running.start()
    try:
        yield running
    finally:
        await running.close()
        await database.close()


async def define(
    database: Database, kind: str, version: int = 1, brings_over: int = 0, **fields: Any
) -> None:
    """Writes a definition, given by the fields of the contract's message in JSON."""
    text = document(ParseDict(fields, MESSAGES[kind]()))
    now = clock.now()
    store = DefinitionsStore()

    async def work(connection: Connection) -> None:
        await store.locked(connection)
        await store.put(connection, [Definition(kind, fields["id"], version, text, brings_over, now, now)])

    await database.transaction(work)


def record(
    user_id: str,
    metric: str,
    value: int = 1,
    *,
    at: datetime | None = None,
    record_id: str = "",
    key: str = "",
    member: str = "",
) -> Command:
    """An observation; it answers with the outcome, or `duplicate`. `at` None: now."""

    def decide(turn: Turn) -> bytes:
        if record_id and not turn.first(record_id):
            return b"duplicate"
        event = record_id or "e"
        observation = Observation(metric, value, member, at or turn.now, event, event)
        draft = turn.player(user_id)
        outcome = observe(draft, turn.catalogue, observation, turn.now, turn.entropy)
        return outcome.value.encode()

    records = (record_id,) if record_id else ()
    return Command((user_id,), decide, "service:test", key=_key(key, user_id, metric), records=records)


def start(user_id: str, quest_id: str) -> Command:
    """It answers with the number of the cycle."""

    def decide(turn: Turn) -> bytes:
        draft = turn.player(user_id)
        begun = quests.start(
            draft, turn.catalogue, quest_id, now=turn.now, entropy=turn.entropy, cause="test"
        )
        return str(begun.cycle).encode()

    return Command((user_id,), decide, "service:test")


def claim(user_id: str, grant_id: str, key: str = "") -> Command:
    """It answers with the ids of the transfers."""

    def decide(turn: Turn) -> bytes:
        _, transfers = grants.claim(turn.player(user_id), grant_id, turn.now)
        return " ".join(transfer.id for transfer in transfers).encode()

    asked = _key(key, user_id, grant_id)
    return Command((user_id,), decide, "service:test", key=asked, grant_ids=(grant_id,), balances=True)


def revoke(user_id: str, grant_id: str) -> Command:
    """It answers with the ids of the transfers."""

    def decide(turn: Turn) -> bytes:
        _, transfers = grants.revoke(turn.player(user_id), grant_id, "test", turn.now)
        return " ".join(transfer.id for transfer in transfers).encode()

    return Command((user_id,), decide, "service:test", grant_ids=(grant_id,), balances=True)


def give(user_id: str, reward_id: str, source_id: str) -> Command:
    """A grant by support; it answers with its id, however often it is asked for."""
    id_ = grants.grant_id(user_id, "support", source_id, reward_id, 1)

    def decide(turn: Turn) -> bytes:
        grants.grant(
            turn.player(user_id),
            turn.catalogue,
            reward_id,
            source="support",
            source_id=source_id,
            cycle=1,
            cause="test",
            now=turn.now,
            entropy=turn.entropy,
        )
        return id_.encode()

    return Command((user_id,), decide, "service:test", grant_ids=(id_,), balances=True)


def _key(key: str, *payload: str) -> IdempotencyKey | None:
    return IdempotencyKey("test", key, repr(payload).encode()) if key else None


async def check(database: Database) -> None:
    """The ledger sums to zero; balances are the sums of their entries; grants are where their status says;
    notifications are numbered without gaps."""
    async with database.connection() as connection:
        for what, query in _CHECKS.items():
            assert not await connection.fetch(query), what


_CHECKS: Mapping[str, str] = {
    "sums to zero": ("SELECT asset FROM gamification.ledger_entries GROUP BY asset HAVING sum(amount) <> 0"),
    "balances": (
        "SELECT coalesce(b.account, e.account) FROM gamification.balances b FULL JOIN "
        "(SELECT account, asset, sum(amount) AS amount FROM gamification.ledger_entries "
        " WHERE account NOT IN ('issuer', 'burn') GROUP BY 1, 2) e USING (account, asset) "
        "WHERE coalesce(b.amount, 0) <> coalesce(e.amount, 0)"
    ),
    "escrow is what is pending": (
        "SELECT coalesce(p.account, b.account) FROM (SELECT 'escrow:' || user_id AS account, "
        "  each ->> 0 AS asset, sum((each ->> 1)::bigint) AS amount "
        "  FROM gamification.grants, jsonb_array_elements(contents) each WHERE status = 'pending' "
        "  GROUP BY 1, 2) p FULL JOIN (SELECT * FROM gamification.balances WHERE account LIKE 'escrow:%') b "
        "USING (account, asset) WHERE coalesce(p.amount, 0) <> coalesce(b.amount, 0)"
    ),
    "gapless": (
        "SELECT user_id FROM gamification.players p LEFT JOIN gamification.notifications n USING (user_id) "
        "GROUP BY user_id, notified "
        "HAVING count(sequence) <> notified OR coalesce(max(sequence), 0) <> notified"
    ),
    "each amount leaves its escrow once": (
        "SELECT grant_id FROM gamification.transfers WHERE from_account LIKE 'escrow:%' "
        "GROUP BY grant_id, split_part(id, ':', 3) HAVING count(*) > 1"
    ),
}

"""What the committer, the log of rejected events and the housekeeping say to PostgreSQL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.outbox import Outbox
from services.chassis.sql import Statement
from services.ingest.batch import MAX_REJECTED_BYTES, Changes, Command, Held, Item, Loaded, Rejection
from services.ingest.domain.standing import Standing, State
from services.ingest.schema import SCHEMA, SQL
from services.ingest.telling import TOPIC

Kind = Literal["claims", "digests", "events", "rejected"]
"""Of what is kept for a time only. Digests are the claims that count by when their event happened."""


class IngestStore:
    """Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "ingest.sql")
        self._outbox = Outbox(SCHEMA)

    async def load(self, connection: Connection, commands: Sequence[Command]) -> Loaded:
        """What the commands ask for."""
        names = list({claim.name for command in commands for claim in command.claims})
        players = list({item.event.player_id for command in commands for item in command.events})
        found = await connection.fetchrow(
            self._sql["load"], [scope for scope, _ in names], [key for _, key in names], players
        )
        assert found is not None
        return Loaded(
            {(row["scope"], row["key"]): Held(row["digest"], row["event_id"]) for row in found["claims"]},
            {
                row["player_id"]: Standing(State(row["state"]), row["reason"], row["until"])
                for row in found["standings"]
            },
        )

    def writing(self, changes: Changes, now: datetime) -> Statement:
        """All of it as one statement. Fails with UniqueViolationError when another process made one of the
        claims first."""
        parts: dict[str, Statement] = {}
        if changes.claims:
            claims = [
                (claim.scope, claim.key, claim.digest, event_id, claim.happened_at)
                for _, (claim, event_id) in sorted(changes.claims.items())
            ]
            parts["claims"] = Statement(self._sql["put_claims"], (*_columns(claims), now))
        if changes.events:
            events = [_event(command, item, now) for command, item in changes.events]
            parts["events"] = Statement(self._sql["put_events"], _columns(events))
            parts["outbox"] = self._outbox.putting(TOPIC, changes.envelopes)
        if changes.rejected:
            rejected = [_rejected(command, each, now) for command, each in changes.rejected]
            parts["rejected"] = Statement(self._sql["put_rejected"], _columns(rejected))
        return sql.together(parts)

    async def stand(self, connection: Connection, player: str, standing: Standing, revision: int) -> None:
        """How the player stands, unless something newer is known."""
        state = standing.state.value
        await connection.execute(
            self._sql["put_standing"], player, state, standing.reason, standing.until, revision
        )

    async def rejected(
        self, connection: Connection, producer: str, before: tuple[datetime, str], limit: int
    ) -> list[Any]:
        """Rows of rejected events, the newest first. `producer`: empty: of all."""
        return list(await connection.fetch(self._sql["rejected"], producer, *before, limit))

    async def forget(self, connection: Connection, before: Mapping[Kind, datetime], limit: int) -> bool:
        """What is from before these times, `limit` of each kind at most. Whether there may be more."""
        counts = [
            len(await connection.fetch(self._sql[f"forget_{kind}"], time, limit))
            for kind, time in before.items()
        ]
        return limit in counts


def _columns(rows: Iterable[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def _event(command: Command, item: Item, now: datetime) -> tuple[Any, ...]:
    event = item.event
    who = command.producer, command.kid
    return (item.id, *who, event.type, event.player_id, event.at, now, item.body)


def _rejected(command: Command, rejection: Rejection, now: datetime) -> tuple[Any, ...]:
    error = rejection.error
    problems = [[each.field, each.description] for each in error.violations] or [["", error.text]]
    body = rejection.body[:MAX_REJECTED_BYTES]
    return (rejection.id, command.producer, now, error.reason, json.dumps(problems), body)

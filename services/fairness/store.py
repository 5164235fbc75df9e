"""What the committer reads and writes in PostgreSQL."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.idempotency import Idempotency, Name, Stored
from services.chassis.inbox import Inbox
from services.chassis.outbox import Outbox
from services.chassis.sql import Columns, Statement
from services.fairness import rows
from services.fairness.audit_log import AuditLog
from services.fairness.batch import Changes, Command, Loaded
from services.fairness.domain.audit import Line
from services.fairness.domain.finding import Input
from services.fairness.domain.happened import Observation, Opened
from services.fairness.schema import SCHEMA, SQL
from services.fairness.told import TOPIC

GROUP = "fairness"
"""Of the events that come in."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the commands of a batch ask for."""

    players: frozenset[str]
    keys: frozenset[Name]
    events: frozenset[str]

    @classmethod
    def by(cls, commands: Sequence[Command]) -> "Asked":
        return cls(
            frozenset(name for each in commands for name in each.player_ids),
            frozenset(each.key.name for each in commands if each.key is not None),
            frozenset(each.event for each in commands if each.event),
        )


class PlayerStore:
    """Every statement of the committer. Callers bring the connection, in a transaction."""

    def __init__(self, log: AuditLog) -> None:
        self._sql = sql.load(SQL / "committer.sql")
        self._idempotency = Idempotency(SCHEMA)
        self._inbox = Inbox(SCHEMA)
        self._outbox = Outbox(SCHEMA)
        self._log = log

    # -- reading ----------------------------------------------------------------------------------

    async def load(self, connection: Connection, asked: Asked) -> tuple[Loaded, int]:
        """What is asked for, and the revision of the detectors. Nobody else changes the players until the
        transaction ends; everything is looked up after that lock, so whoever repeats a command waits for the
        first one there."""
        names = list(asked.players)
        players = {
            row["player_id"]: rows.player(row) for row in await connection.fetch(self._sql["lock"], names)
        }
        keys = list(asked.keys)
        found = await connection.fetchrow(
            self._sql["load"],
            *(list(players), [scope for scope, _ in keys], [key for _, key in keys]),
            *(GROUP, list(asked.events)),
        )
        assert found is not None
        for row in found["flags"]:
            players[row["player_id"]].flags[row["id"]] = rows.flag(row)
        for row in found["sanctions"]:
            players[row["player_id"]].sanctions[row["id"]] = rows.sanction(row)
        answers = {
            (row["scope"], row["key"]): Stored(row["payload_hash"], row["answer"]) for row in found["answers"]
        }
        return Loaded(players, answers, set(found["seen"])), found["revision"]

    async def inputs(
        self, connection: Connection, opened: Sequence[Opened], fresh: Iterable[Observation]
    ) -> list[list[Input]]:
        """Of the run of each, the last of which was found. `fresh`: observations that are not written yet."""
        asked = [(it.flag.player_id, it.detector.id, it.track.begin, it.number) for it in opened]
        inputs: list[list[Input]] = [[] for _ in opened]
        for row in await connection.fetch(self._sql["observations"], *sql.transposed(asked, 4)):
            run = row["run"] - 1
            inputs[run].append(rows.given(row, opened[run].detector.id))
        by_player: defaultdict[str, list[Observation]] = defaultdict(list)
        for observation in fresh:
            by_player[observation.player_id].append(observation)
        for run, (player_id, detector_id, first, last) in enumerate(asked):
            inputs[run] += [
                Input(it.event, it.at, it.readings[detector_id])
                for it in by_player[player_id]
                if first <= it.number <= last and detector_id in it.readings
            ]
        return inputs

    # -- writing ----------------------------------------------------------------------------------

    def writing(
        self, changes: Changes, lines: Sequence[Line], evidence: Mapping[str, bytes], now: datetime
    ) -> Statement | None:
        """All of it as one statement; None: nothing changed. What other transactions may wait for comes in
        the same order in each, the players first; counts, which every transaction may want, come last.
        `evidence`: by flag."""
        parts: dict[str, Statement] = {}
        if changes.players:
            parts |= self._players(changes, now)
        if changes.flags or changes.sanctions:
            parts |= self._judged(changes, evidence)
        if lines:
            parts |= self._log.writing(lines)
        if changes.answers:
            parts["answers"] = self._idempotency.storing(changes.answers)
        if changes.events:
            parts["events"] = self._inbox.noting(GROUP, changes.events)
        if changes.envelopes:
            parts["outbox"] = self._outbox.putting(TOPIC, changes.envelopes)
        if changes.values:
            values = [(*key, n) for key, n in sorted(changes.values.items())]
            parts["values"] = self._put("count_values", values, 4, now.date())
        if changes.records:
            parts["records"] = self._put("record", _records(changes), 6)
        return sql.together(parts) if parts else None

    def _players(self, changes: Changes, now: datetime) -> dict[str, Statement]:
        """However little of it changes, all these statements: few kinds of transaction are few plans."""
        new: list[Columns] = []
        old: list[Columns] = []
        for id_ in sorted(changes.players):
            (new if id_ in changes.created else old).append(rows.player_columns(changes.players[id_]))
        observations = map(rows.observation_columns, changes.observations)
        return {
            "create_players": self._put("create_players", new, 7, now),
            "put_players": self._put("put_players", old, 7, now),
            "observations": self._put("observe", observations, 5, now),
        }

    def _judged(self, changes: Changes, evidence: Mapping[str, bytes]) -> dict[str, Statement]:
        return {
            "flags": self._put("put_flags", map(rows.flag_columns, changes.flags.values()), 14),
            "evidence": self._put("prove", evidence.items(), 2),
            "sanctions": self._put(
                "put_sanctions", map(rows.sanction_columns, changes.sanctions.values()), 11
            ),
        }

    def _put(self, name: str, found: Iterable[Columns], width: int, *more: object) -> Statement:
        return Statement(self._sql[name], (*sql.transposed(found, width), *more))


def _records(changes: Changes) -> list[Columns]:
    rules = sorted({(detector_id, rule_version) for detector_id, rule_version, _ in changes.records})
    return [(*rule, *(changes.records[*rule, what] for what in _COUNTED)) for rule in rules]


_COUNTED = ("observations", "flags", "confirmed", "dismissed")

"""Commands decided together, one after the other on what the earlier ones left. Pure: knows no database."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.errors import Conflict
from services.chassis.idempotency import IdempotencyKey, Name, Stored
from services.fairness.domain.audit import Entry
from services.fairness.domain.detector import Catalogue
from services.fairness.domain.flag import Flag
from services.fairness.domain.happened import Limits, Observation, Occasion, Opened, PeersOf, Readings
from services.fairness.domain.player import Draft, Player
from services.fairness.domain.sanction import Sanction
from services.fairness.told import tell


class Turn:
    """What one command has before it."""

    def __init__(self, command: "Command", batch: "Batch") -> None:
        self.catalogue = batch.catalogue
        self.now = batch.now
        self.drafts: dict[str, Draft] = {}
        self._command = command
        self._batch = batch

    def player(self, player_id: str) -> Draft:
        """The same draft each time. Raises LookupError when the command did not ask for this player."""
        draft = self.drafts.get(player_id)
        if draft is None:
            if player_id not in self._command.player_ids:
                raise LookupError(f"the command did not ask for player {player_id}")
            draft = self.drafts[player_id] = self._batch.draft(player_id, self._command.actor)
        return draft


Decide = Callable[[Turn], bytes]
"""Pure. Changes drafts and returns the answer. When it raises DomainError, nothing happens."""


@dataclass(frozen=True, slots=True)
class Command:
    """A change of players. `actor`: as the log has it, such as `operator:<subject>`. `key`: its answer is
    kept, and is what a repetition gets. `event`: id of an integration event; it is applied once, a
    repetition answers b"". `traceparent`: W3C trace context of what caused it."""

    player_ids: tuple[str, ...]
    decide: Decide
    actor: str
    key: IdempotencyKey | None = None
    event: str = ""
    traceparent: str = ""


def observed(
    event: str, at: datetime, readings: Mapping[str, Readings], catalogue: Catalogue, traceparent: str = ""
) -> Command:
    """What an event that happened at `at` says of players, by `catalogue`. It answers b"".

    It fails with Conflict (DETECTORS_CHANGED) when the detectors are others by now: the event has to be
    read again.
    """

    def decide(turn: Turn) -> bytes:
        if turn.catalogue.revision != catalogue.revision:
            raise Conflict("The detectors have changed meanwhile.", reason="DETECTORS_CHANGED")
        for player_id, heard in readings.items():
            turn.player(player_id).observe(event, at, heard)
        return b""

    return Command(tuple(readings), decide, f"event:{event}", event=event, traceparent=traceparent)


@dataclass(slots=True)
class Loaded:
    """What the commands of a batch ask for, as the database has it, and then as earlier commands left it."""

    players: dict[str, Player]
    answers: dict[Name, Stored]
    seen: set[str]


@dataclass(slots=True)
class Changes:
    """What has to be written. `log`: of a flag just raised the line is made when its evidence is there."""

    created: set[str] = field(default_factory=set)
    players: dict[str, Player] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    flags: dict[str, Flag] = field(default_factory=dict)
    sanctions: dict[str, Sanction] = field(default_factory=dict)
    log: list[Entry | Opened] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    values: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    records: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    answers: dict[Name, Stored] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    @property
    def opened(self) -> list[Opened]:
        return [each for each in self.log if isinstance(each, Opened)]

    def take(self, draft: Draft) -> None:
        self.observations += draft.observations
        self.flags.update(draft.flags)
        self.sanctions.update(draft.sanctions)
        self.log += draft.log
        self.values.update(draft.values)
        self.records.update(draft.records)


class Batch:
    """Everything happens at `now`, by the detectors of `catalogue`."""

    def __init__(
        self, loaded: Loaded, catalogue: Catalogue, now: datetime, peers: PeersOf, limits: Limits
    ) -> None:
        self.loaded = loaded
        self.catalogue = catalogue
        self.now = now
        self.changes = Changes()
        self._peers = peers
        self._limits = limits

    def draft(self, player_id: str, actor: str) -> Draft:
        occasion = Occasion(self.now, actor, self.catalogue.detectors, self._peers, self._limits)
        return Draft(self.loaded.players.get(player_id) or Player(player_id), occasion)

    def run(self, command: Command) -> bytes:
        """The answer. Raises whatever the command does: then nothing of it happened."""
        loaded, key = self.loaded, command.key
        if command.event and command.event in loaded.seen:
            return b""
        if key is not None and key.name in loaded.answers:
            return loaded.answers[key.name].to(key)
        turn = Turn(command, self)
        answer = command.decide(turn)
        drafts = [draft for draft in turn.drafts.values() if draft.changed]
        for draft in drafts:
            draft.settle()
        for draft in drafts:
            self._apply(draft, command.traceparent)
        if key is not None:
            loaded.answers[key.name] = self.changes.answers[key.name] = Stored(key.digest, answer)
        if command.event:
            loaded.seen.add(command.event)
            self.changes.events.append(command.event)
        return answer

    def _apply(self, draft: Draft, traceparent: str) -> None:
        player, loaded, changes = draft.player, self.loaded, self.changes
        if player.id not in loaded.players:
            changes.created.add(player.id)
        loaded.players[player.id] = changes.players[player.id] = player
        changes.take(draft)
        changes.envelopes += [
            tell(told, player.id, revision, self.now, traceparent) for revision, told in draft.told
        ]

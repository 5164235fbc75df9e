"""Commands decided together, one after the other on what the earlier ones left. Pure: knows no database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.idempotency import IdempotencyKey, Name, Stored
from services.gamification.changes import Changes, Notification, Place
from services.gamification.counters import Measured, counts, shard
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.player import Draft, Grant, Player, Quarantined
from services.gamification.notices import Notice, notice
from services.gamification.told import tell


class HeldGain(NamedTuple):
    """A gain in quarantine. `released` None: nobody has decided yet."""

    gain: Quarantined
    released: bool | None


class Turn:
    """What one command has before it. Only what it asked for is there."""

    def __init__(self, command: "Command", batch: "Batch") -> None:
        self.command = command
        self._batch = batch
        self._asked = frozenset(command.records)
        self.catalogue = batch.catalogue
        self.now = batch.now
        self.entropy = batch.entropy
        """32 bytes that nobody could foresee, the same for the whole batch."""
        self.drafts: dict[str, Draft] = {}
        self.records: dict[str, None] = {}
        """New ones, in order."""
        self.resolved: dict[str, bool] = {}

    def player(self, user_id: str) -> Draft:
        """The same draft each time. Raises LookupError when the command did not ask for this user."""
        draft = self.drafts.get(user_id)
        if draft is None:
            if user_id not in self.command.user_ids:
                raise LookupError(f"the command did not ask for user {user_id}")
            draft = self.drafts[user_id] = self._batch.draft(user_id, self.command)
        return draft

    def first(self, record_id: str) -> bool:
        """Whether the record is new; from then on it is not. Raises LookupError when the command did not ask
        for it."""
        if record_id not in self._asked:
            raise LookupError(f"the command did not ask for record {record_id}")
        if record_id in self.records or record_id in self._batch.loaded.records:
            return False
        self.records[record_id] = None
        return True

    def gain(self, gain_id: str) -> HeldGain | None:
        """A gain in quarantine, of one of the command's users. None: there is no such."""
        if gain_id not in self.command.gain_ids:
            raise LookupError(f"the command did not ask for gain {gain_id}")
        held = self._batch.loaded.gains.get(gain_id)
        return held if held is not None and held.gain.user_id in self.command.user_ids else None

    def resolve(self, gain_id: str, *, released: bool) -> None:
        """It waits no longer. Raises LookupError when `gain` has none of this id."""
        if self.gain(gain_id) is None:
            raise LookupError(f"there is no gain {gain_id}")
        self.resolved[gain_id] = released


Decide = Callable[[Turn], bytes]
"""Pure. Changes drafts and returns the answer. When it raises DomainError, nothing happens."""


@dataclass(frozen=True, slots=True)
class Command:
    """A change of players. `actor`: `<role>:<subject>` or `event:<id>`. `key`: its answer is kept, and is
    what a repetition gets. `event`: id of an integration event; it is applied once, a repetition answers
    b"". `traceparent`: W3C trace context of what caused it.

    What it asks for beside the players: `records`, ids of things that count once, made unique by the caller;
    `grant_ids`, of which a draft has those of its user that there are; `balances`, of all its users;
    `gain_ids`, of gains in quarantine.
    """

    user_ids: tuple[str, ...]
    decide: Decide
    actor: str
    key: IdempotencyKey | None = None
    event: str = ""
    records: tuple[str, ...] = ()
    grant_ids: tuple[str, ...] = ()
    balances: bool = False
    gain_ids: tuple[str, ...] = ()
    traceparent: str = ""


@dataclass(slots=True)
class Loaded:
    """What the commands of a batch asked for, as the database has it, and then as earlier commands left it.
    `players`: those that there are; the batch changes them. `balances`: by user. `seen`: events."""

    players: dict[str, Player]
    grants: dict[str, Grant]
    balances: dict[str, dict[Place, int]]
    gains: dict[str, HeldGain]
    answers: dict[Name, Stored]
    seen: set[str]
    records: set[str]


@dataclass(slots=True)
class _Said:
    """What is told of what happened to one player, and what it counts for."""

    notices: list[Notice] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    counts: list[Measured] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a command is answered. `turn` None: it was done before."""

    answer: bytes
    turn: Turn | None = None
    drafts: Sequence[tuple[Draft, _Said]] = ()
    """That were changed."""


class Batch:
    """Everything happens at `now`, by the rules of `catalogue`. `entropy`: see `Turn`."""

    def __init__(self, loaded: Loaded, catalogue: Catalogue, now: datetime, entropy: bytes) -> None:
        self.loaded = loaded
        self.catalogue = catalogue
        self.now = now
        self.entropy = entropy
        self.changes = Changes()
        self.repeated: set[str] = set()
        """Users of answers that are given again: who gave them first may have died before it told anybody."""

    def draft(self, user_id: str, command: Command) -> Draft:
        player = self.loaded.players.get(user_id) or Player(user_id)
        asked = ((id_, self.loaded.grants.get(id_)) for id_ in command.grant_ids)
        grants = {id_: grant for id_, grant in asked if grant is not None and grant.user_id == user_id}
        return Draft(player, grants, self.loaded.balances.get(user_id) if command.balances else None)

    def decide(self, command: Command) -> Decided:
        """Raises whatever the command does: then nothing of it happens."""
        if command.event and command.event in self.loaded.seen:
            return Decided(b"")
        key = command.key
        if key is not None and key.name in self.loaded.answers:
            answer = self.loaded.answers[key.name].to(key)
            self.repeated.update(command.user_ids)
            return Decided(answer)
        turn = Turn(command, self)
        answer = command.decide(turn)
        drafts = [draft for draft in turn.drafts.values() if draft.changed]
        return Decided(answer, turn, [(draft, self._said(draft, command)) for draft in drafts])

    def apply(self, decided: Decided) -> None:
        """It is part of what has to be written, and what the next command finds. If this fails, nothing of
        the batch can be relied on."""
        for draft, said in decided.drafts:
            self._apply(draft, said)
        if decided.turn is not None:
            self._note(decided.turn, decided.answer)

    def _said(self, draft: Draft, command: Command) -> _Said:
        said = _Said()
        for event in draft.happened:
            if (told := notice(event)) is not None:
                said.notices.append(told)
            said.envelopes += tell(event, draft.user_id, self.now, command.traceparent)
            said.counts += counts(event)
        return said

    def _apply(self, draft: Draft, said: _Said) -> None:
        user_id, changes = draft.user_id, self.changes
        player = self._changed(user_id)
        begun = _begun(player, draft)
        player.take(draft)
        changes.take(draft)
        if begun:
            changes.forget(user_id, player.forget(begun))
        for grant in draft.grants.changed.values():
            changes.grant(self.loaded.grants.get(grant.id), grant)
            self.loaded.grants[grant.id] = grant
        for transfer in draft.transfers:
            for place, amount in changes.transfer(transfer):
                if (known := self.loaded.balances.get(user_id)) is not None:
                    known[place] = known.get(place, 0) + amount
        for (subject, measure), n in said.counts:
            changes.counts[shard(user_id), subject, measure] += n
        for each in said.notices:
            player.notified += 1
            changes.notifications.append(Notification(user_id, player.notified, each))
        changes.envelopes += said.envelopes

    def _changed(self, user_id: str) -> Player:
        player = self.loaded.players.get(user_id)
        if player is None:
            player = self.loaded.players[user_id] = Player(user_id)
            self.changes.created.add(user_id)
            self.changes.counts[shard(user_id), "players", "count"] += 1
        if user_id not in self.changes.players:
            self.changes.players[user_id] = player
            player.version += 1
        return player

    def _note(self, turn: Turn, answer: bytes) -> None:
        """So that it does not happen again."""
        command, loaded, changes = turn.command, self.loaded, self.changes
        key = command.key
        if key is not None:
            loaded.answers[key.name] = changes.answers[key.name] = Stored(key.digest, answer)
        if command.event:
            loaded.seen.add(command.event)
            changes.events.append(command.event)
        loaded.records.update(turn.records)
        changes.records += turn.records
        for gain_id, released in turn.resolved.items():
            changes.resolved[gain_id] = released
            loaded.gains[gain_id] = HeldGain(loaded.gains[gain_id].gain, released)


def _begun(player: Player, draft: Draft) -> dict[str, int]:
    """Cycles that begin, after the first: by `achievement:<id>` and `quest:<id>`."""
    cycles = {
        f"achievement:{id_}": it.cycle
        for id_, it in draft.achievements.changed.items()
        if it.cycle > 1 and (id_ not in player.achievements or player.achievements[id_].cycle < it.cycle)
    }
    return cycles | {
        f"quest:{id_}": it.cycle
        for id_, it in draft.quests.changed.items()
        if it.cycle > 1 and (id_ not in player.quests or player.quests[id_].cycle < it.cycle)
    }

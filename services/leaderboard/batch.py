"""Commands decided together, one after the other on what the earlier ones left. Pure: knows no database."""

from collections import ChainMap
from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from services.chassis.errors import FailedPrecondition, NotFound
from services.chassis.idempotency import IdempotencyKey, Name, Stored
from services.leaderboard.domain.board import Board, Catalogue
from services.leaderboard.domain.hold import Hold
from services.leaderboard.domain.places import Place, Slot, slots
from services.leaderboard.domain.scoring import Entry, Outcome, Score, changed, first, scored

Answer = Callable[[Sequence[Outcome]], bytes]
"""Pure. Given what became of each score, in order; of a hold, COUNTED for each entry that it changed."""


class Key(NamedTuple):
    """Of an entry."""

    place: Place
    player: str


class Seen(NamedTuple):
    """The id of a score, by who gave it."""

    caller: str
    event: str


@dataclass(frozen=True, slots=True)
class Command:
    """Scores, each of which may count or not, or a hold. `actor`: `<role>:<subject>` or `event:<id>`.
    `caller`: whose ids the events of the scores are, so that each counts once; empty: they are only compared.
    `key`: its answer is kept, and is what a repetition gets. `event`: id of an integration event; it is
    applied once, a repetition answers b""."""

    answer: Answer
    actor: str
    scores: tuple[Score, ...] = ()
    hold: Hold | None = None
    caller: str = ""
    key: IdempotencyKey | None = None
    event: str = ""

    @property
    def seen(self) -> list[Seen]:
        """Ids that it asks for."""
        return [Seen(self.caller, it.event) for it in self.scores] if self.caller else []


def quarantine(hold: Hold, *, actor: str, event: str = "") -> Command:
    """Hides what the hold names and shows everything else; the answer is how many entries it changed, in
    decimal."""
    return Command(_count, actor, hold=hold, event=event)


def _count(outcomes: Sequence[Outcome]) -> bytes:
    return str(len(outcomes)).encode()


@dataclass(slots=True)
class Loaded:
    """What the commands of a batch ask for, as the database has it, and then as earlier commands left it.
    `final`: of the places that have entries."""

    entries: dict[Key, Entry]
    final: dict[Place, bool]
    answers: dict[Name, Stored]
    events: set[str]
    seen: set[Seen]
    holds: dict[str, Hold]
    """By player, of those who have one."""


@dataclass(slots=True)
class Changes:
    """What has to be written. `created`: keys of those `entries` that are new."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    created: set[Key] = field(default_factory=set)
    slots: dict[Place, Slot] = field(default_factory=dict)
    answers: dict[Name, Stored] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)


class _Turn:
    """One command's changes, which may come to nothing."""

    def __init__(self, entries: MutableMapping[Key, Entry]) -> None:
        self.changed: dict[Key, Entry] = {}
        self.entries = ChainMap(self.changed, entries)
        self.slots: dict[Place, Slot] = {}
        self.seen: dict[Seen, None] = {}


class Batch:
    """Everything happens at `now`, on the boards and seasons of `catalogue`."""

    def __init__(self, loaded: Loaded, catalogue: Catalogue, now: datetime) -> None:
        self._loaded = loaded
        self._catalogue = catalogue
        self._now = now
        self.changes = Changes()
        self.repeated: set[Key] = set()
        """Entries of answers that are given again: who gave them first may have died before Redis knew."""

    def run(self, command: Command) -> bytes:
        """The answer. Raises whatever the command does: then nothing of it happened."""
        loaded, key = self._loaded, command.key
        if command.event and command.event in loaded.events:
            return b""
        if key is not None and key.name in loaded.answers:
            answer = loaded.answers[key.name].to(key)
            self.repeated |= keys(command, self._catalogue, self._now) & loaded.entries.keys()
            return answer
        turn = _Turn(loaded.entries)
        outcomes = [self._score(turn, command, score) for score in command.scores]
        if command.hold is not None:
            outcomes += self._hold(turn, command.hold)
        answer = command.answer(outcomes)
        self._apply(turn)
        if key is not None:
            loaded.answers[key.name] = self.changes.answers[key.name] = Stored(key.digest, answer)
        if command.event:
            loaded.events.add(command.event)
            self.changes.events.append(command.event)
        return answer

    def _score(self, turn: _Turn, command: Command, score: Score) -> Outcome:
        board = board_of(self._catalogue, score)
        if command.caller and score.event:
            seen = Seen(command.caller, score.event)
            if seen in self._loaded.seen or seen in turn.seen:
                return Outcome.DUPLICATE
            turn.seen[seen] = None
        outcome = Outcome.LATE
        for slot in slots(board, self._catalogue, score.at):
            if slot.final(self._now) or self._loaded.final.get(slot.place, False):
                continue
            counted = _submit(turn, board, slot, score, self._loaded.holds.get(score.player))
            outcome = Outcome.COUNTED if counted or outcome is Outcome.COUNTED else Outcome.NO_CHANGE
        return outcome

    def _hold(self, turn: _Turn, hold: Hold) -> list[Outcome]:
        known = self._loaded.holds.get(hold.player)
        if known is not None and known.revision >= hold.revision:
            return []
        self._loaded.holds[hold.player] = self.changes.holds[hold.player] = hold
        found = [entry for key, entry in turn.entries.items() if _concerns(hold, key, entry)]
        for entry in found:
            held = replace(entry, quarantined=not entry.quarantined, revision=entry.revision + 1)
            turn.changed[Key(entry.place, entry.player)] = held
        return [Outcome.COUNTED] * len(found)

    def _apply(self, turn: _Turn) -> None:
        loaded, changes = self._loaded, self.changes
        changes.created |= turn.changed.keys() - loaded.entries.keys()
        loaded.entries.update(turn.changed)
        changes.entries.update(turn.changed)
        for place, slot in turn.slots.items():
            if place not in loaded.final:
                loaded.final[place] = False
                changes.slots[place] = slot
        loaded.seen.update(turn.seen)
        changes.seen += turn.seen


def _submit(turn: _Turn, board: Board, slot: Slot, score: Score, hold: Hold | None) -> bool:
    """Whether it changed the result."""
    key = Key(slot.place, score.player)
    before = turn.entries.get(key)
    after = first(slot.place, score) if before is None else scored(board, before, score)
    hidden = hold is not None and hold.hides(board.id, after.achieved_at)
    turn.changed[key] = after if after.quarantined == hidden else replace(after, quarantined=hidden)
    turn.slots[slot.place] = slot
    return before is None or changed(before, after)


def _concerns(hold: Hold, key: Key, entry: Entry) -> bool:
    return key.player == hold.player and entry.quarantined != hold.hides(key.place.board, entry.achieved_at)


def board_of(catalogue: Catalogue, score: Score) -> Board:
    """Raises NotFound (BOARD_NOT_FOUND), FailedPrecondition (COLUMNS_DIFFER)."""
    board = catalogue.boards.get(score.board)
    if board is None:
        raise NotFound(
            f"There is no board {score.board}.", reason="BOARD_NOT_FOUND", metadata={"board": score.board}
        )
    if len(score.result.columns) != len(board.columns):
        raise FailedPrecondition(
            f"The board {board.id} has {len(board.columns)} columns.",
            reason="COLUMNS_DIFFER",
            metadata={"board": board.id, "columns": str(len(board.columns))},
        )
    return board


def keys(command: Command, catalogue: Catalogue, now: datetime) -> set[Key]:
    """Of the entries that its scores may change: of no period that is over, or all would wait for a late
    score as long as that is made final."""
    found: Collection[tuple[Score, Board | None]] = [
        (score, catalogue.boards.get(score.board)) for score in command.scores
    ]
    return {
        Key(slot.place, score.player)
        for score, board in found
        if board is not None
        for slot in slots(board, catalogue, score.at)
        if not slot.final(now)
    }

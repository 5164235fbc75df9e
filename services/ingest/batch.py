"""Events that came together are decided one after the other, on what the earlier ones left. Pure: knows no
database."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.errors import DomainError, FailedPrecondition
from services.ingest.domain import refusals
from services.ingest.domain.event import Event
from services.ingest.domain.gcra import Verdict
from services.ingest.domain.standing import GOOD, Standing
from services.ingest.telling import tell

MAX_REJECTED_BYTES = 4096
"""Of a rejected event's body. What is more is cut off."""
LIMITS = ("producer", "player")
"""What is charged for an event, in this order; for one that breaks a rule, the first."""
KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
_FOR_EVER_S = 60.0
Name = tuple[str, str]
"""Scope and key."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What makes an event the same as one before. `scope`: the kind and the producer, so that claims of two
    never meet. `digest`: of what came with it. `happened_at`: of its event; it counts as long as what
    happened then is taken. None: for `idempotency_hours`."""

    scope: str
    key: str
    digest: bytes
    happened_at: datetime | None = None

    @property
    def name(self) -> Name:
        return self.scope, self.key


class Refusal(Enum):
    """Why an event of a player was not taken."""

    DUPLICATE = "duplicates"
    THROTTLED = "throttled"
    BLOCKED = "blocked"
    REUSED = "reused"


_REFUSALS = {
    refusals.RATE_LIMITED: Refusal.THROTTLED,
    refusals.PLAYER_THROTTLED: Refusal.THROTTLED,
    refusals.PLAYER_BLOCKED: Refusal.BLOCKED,
    KEY_REUSED: Refusal.REUSED,
}


class Held(NamedTuple):
    """A claim that was made before. `event_id`: empty of a whole batch."""

    digest: bytes
    event_id: str


class Done(NamedTuple):
    """`duplicate`: it was accepted before."""

    event_id: str
    duplicate: bool


Outcome = Done | DomainError


@dataclass(slots=True, eq=False)
class Item:
    """One event. `body`: as it came. `verdict`: what the rates say, once they were asked: a transaction that
    is run again does not charge again."""

    id: str
    event: Event
    body: bytes = field(repr=False)
    claims: tuple[Claim, ...] = ()
    verdict: Verdict | None = None


@dataclass(slots=True, eq=False)
class Rejection:
    """One that breaks a rule whatever the state. It goes to the log, unless its producer has too many of
    them. `verdict`: as of an item."""

    id: str
    error: DomainError
    body: bytes = field(repr=False)
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One request. `answer`: pure; given what became of each item, in order; it may raise when none was
    accepted. `producer` and `kid`: who sent it. `claim`: of the whole."""

    producer: str
    items: Sequence[Item | Rejection]
    answer: Callable[[Sequence[Outcome]], bytes]
    kid: str = ""
    claim: Claim | None = None
    traceparent: str = ""

    @property
    def events(self) -> list[Item]:
        return [item for item in self.items if isinstance(item, Item)]

    @property
    def claims(self) -> list[Claim]:
        """All that it makes."""
        whole = [self.claim] if self.claim else []
        return whole + [claim for item in self.events for claim in item.claims]


@dataclass(slots=True)
class Loaded:
    """What the commands of a batch ask for, as the database has it, and then as earlier ones left it."""

    claims: dict[Name, Held]
    standings: dict[str, Standing]

    def knows(self, item: Item | Rejection) -> bool:
        """Whether it was accepted before."""
        return isinstance(item, Item) and any(claim.name in self.claims for claim in item.claims)


@dataclass(slots=True)
class Changes:
    """What has to be written."""

    events: list[tuple[Command, Item]] = field(default_factory=list)
    claims: dict[Name, tuple[Claim, str]] = field(default_factory=dict)
    rejected: list[tuple[Command, Rejection]] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.claims or self.events or self.rejected)


class Batch:
    """Everything happens at `now`. `pause_s`: how long a throttled player is asked to wait, at most."""

    def __init__(self, loaded: Loaded, now: datetime, pause_s: float) -> None:
        self._loaded = loaded
        self._now = now
        self._pause_s = pause_s
        self.changes = Changes()
        self.refused: Counter[tuple[str, Refusal]] = Counter()
        """How many, by player and why."""

    def run(self, command: Command) -> bytes:
        """The answer. Raises FailedPrecondition (IDEMPOTENCY_KEY_REUSED), and what the answer does: then
        nothing of it was accepted."""
        if command.claim is not None:
            held = self._loaded.claims.get(command.claim.name)
            if held is None:
                self._claim(command.claim, "")
            elif held.digest != command.claim.digest:
                raise _reused(command.claim)
        return command.answer([self._outcome(command, item) for item in command.items])

    def _outcome(self, command: Command, item: Item | Rejection) -> Outcome:
        if isinstance(item, Rejection):
            if not _denied(item):
                self.changes.rejected.append((command, item))
            return item.error
        player = item.event.player_id
        try:
            done = self._take(command, item)
        except DomainError as error:
            if error.reason in _REFUSALS:
                self.refused[player, _REFUSALS[error.reason]] += 1
            return error
        if done.duplicate:
            self.refused[player, Refusal.DUPLICATE] += 1
        return done

    def _take(self, command: Command, item: Item) -> Done:
        event_id = self._known(item)
        if event_id:
            # By one claim, so that from now on it is known by all of them.
            self._claim_all(item, event_id)
            return Done(event_id, duplicate=True)
        self._loaded.standings.get(item.event.player_id, GOOD).check(self._now, self._pause_s)
        if item.verdict is not None and item.verdict.denied is not None:
            retry_us = item.verdict.retry_us
            retry_s = _FOR_EVER_S if retry_us is None else retry_us / 1e6
            raise refusals.rate_limited(LIMITS[item.verdict.denied], retry_s)
        self._claim_all(item, item.id)
        self.changes.events.append((command, item))
        self.changes.envelopes.append(tell(item.event, item.id, command.traceparent))
        return Done(item.id, duplicate=False)

    def _known(self, item: Item) -> str:
        """The id under which it was accepted. Empty: it is new."""
        for claim in item.claims:
            held = self._loaded.claims.get(claim.name)
            if held is not None and held.digest != claim.digest:
                raise _reused(claim)
            if held is not None:
                return held.event_id
        return ""

    def _claim_all(self, item: Item, event_id: str) -> None:
        for claim in item.claims:
            if claim.name not in self._loaded.claims:
                self._claim(claim, event_id)

    def _claim(self, claim: Claim, event_id: str) -> None:
        self._loaded.claims[claim.name] = Held(claim.digest, event_id)
        self.changes.claims[claim.name] = (claim, event_id)


def _denied(item: Item | Rejection) -> bool:
    return item.verdict is not None and item.verdict.denied is not None


def _reused(claim: Claim) -> FailedPrecondition:
    return FailedPrecondition(
        "This idempotency key was used with another request.",
        reason=KEY_REUSED,
        metadata={"key": claim.key},
    )

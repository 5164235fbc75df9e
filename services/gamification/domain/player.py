"""A player as the rules see it, and a draft of what a command makes of it."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Generic, NamedTuple, TypeVar, overload

from services.gamification.domain.definitions import Amount
from services.gamification.domain.events import Entry, Event

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class AccumulatorKey(NamedTuple):
    """`scope`: empty, or of what counts only from when it began. `window`: its key. `starts_at`: of the
    period, or the part."""

    scope: str
    metric: str
    window: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Accumulator:
    """What a metric came to, whatever it is aggregated by. `members`: of a DISTINCT one. `over_at`: see the
    table."""

    count: int
    sum: int
    min: int
    max: int
    last: int
    last_at: datetime
    last_event: str
    members: frozenset[str] = frozenset()
    over_at: datetime | None = None


class Closing(NamedTuple):
    """A period at whose end something is looked at. `subject`: `achievement:<id>:<cycle>` or
    `quest:<id>:<cycle>`."""

    subject: str
    window: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class AchievementProgress:
    """`met`: clauses by number, and when."""

    achievement_id: str
    cycle: int
    version: int
    progress: int
    met: Mapping[int, datetime]
    started_at: datetime
    completed_at: datetime | None
    completions: int
    history: tuple[Entry, ...]


class QuestStatus(Enum):
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class StepProgress:
    opened_at: datetime
    completed_at: datetime | None
    met: Mapping[int, datetime]
    progress: int


@dataclass(frozen=True, slots=True)
class QuestProgress:
    """`steps`: those that have opened."""

    quest_id: str
    cycle: int
    version: int
    status: QuestStatus
    steps: Mapping[str, StepProgress]
    started_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None
    completions: int
    history: tuple[Entry, ...]


class GrantStatus(Enum):
    PENDING = "pending"
    CLAIMED = "claimed"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Grant:
    """A reward that is owed. `source`: a RewardSource of the contract, lower case without its prefix. `seed`:
    of the draw; empty: nothing was drawn."""

    id: str
    user_id: str
    reward_id: str
    reward_version: int
    source: str
    source_id: str
    cycle: int
    title: str
    status: GrantStatus
    contents: tuple[Amount, ...]
    seed: bytes
    cause: str
    granted_at: datetime
    expires_at: datetime | None = None
    claimed_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A line of the ledger. `kind`: `grant`, `claim`, `expire`, `revoke` or `burn`."""

    id: str
    kind: str
    from_account: str
    to_account: str
    amount: Amount
    grant_id: str
    user_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A gain that was impossible; see the table."""

    id: str
    user_id: str
    metric: str
    value: int
    member: str
    occurred_at: datetime
    event: str
    cause: str
    per_us: int
    most: int
    reached: int


class Overlay(MutableMapping[K, V], Generic[K, V]):
    """A mapping, and what was changed in it."""

    __slots__ = ("_base", "changed")

    def __init__(self, base: Mapping[K, V]) -> None:
        self._base = base
        self.changed: dict[K, V] = {}

    def __getitem__(self, key: K) -> V:
        if key in self.changed:
            return self.changed[key]
        return self._base[key]

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | T) -> V | T: ...
    def get(self, key: K, /, default: object = None) -> object:
        # A Mapping's own raises and catches an exception for each key that is not there.
        return self.changed[key] if key in self.changed else self._base.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self.changed or key in self._base

    def __setitem__(self, key: K, value: V) -> None:
        self.changed[key] = value

    def __delitem__(self, key: K) -> None:
        raise TypeError("nothing of a player is ever taken away")

    def __iter__(self) -> Iterator[K]:
        yield from self._base
        yield from (key for key in self.changed if key not in self._base)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Reading(NamedTuple):
    """What there is in a window, and what it comes to; None: no value."""

    found: Sequence[Accumulator]
    value: int | None


Series = tuple[str, str, str]
"""Scope, metric and window of accumulators: one for each period, or part."""


class Kept(dict[AccumulatorKey, Accumulator]):
    """Accumulators, of which it is known, too, where those of each series begin. Only `del` takes some away:
    those that came since the index was last used are the last ones."""

    __slots__ = ("_indexed", "_starts")

    def __init__(self, found: Iterable[tuple[AccumulatorKey, Accumulator]] = ()) -> None:
        super().__init__(found)
        self._forget()

    def __delitem__(self, key: AccumulatorKey) -> None:
        super().__delitem__(key)
        self._forget()

    def _forget(self) -> None:
        self._indexed = 0
        self._starts: defaultdict[Series, list[datetime]] = defaultdict(list)

    def starts(self, series: Series) -> Sequence[datetime]:
        """In order, as it is now."""
        for key in islice(reversed(self), len(self) - self._indexed):
            insort(self._starts[key[:3]], key.starts_at)
        self._indexed = len(self)
        return self._starts.get(series, ())


class Accumulators(Overlay[AccumulatorKey, Accumulator]):
    """Of which it is known, too, where the parts of sliding windows are, and what was read of the windows
    since anything changed: many requirements look at the same ones."""

    __slots__ = ("_kept", "_starts", "readings")

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept)
        self._kept = kept
        self._starts: dict[Series, list[datetime]] = {}
        """Of those series that were asked for."""
        self.readings: dict[AccumulatorKey, Reading] = {}
        """By the last part."""

    def __setitem__(self, key: AccumulatorKey, value: Accumulator) -> None:
        starts = self._starts.get(key[:3])
        if starts is not None and key not in self:
            insort(starts, key.starts_at)
        self.readings.clear()
        super().__setitem__(key, value)

    def starts(self, scope: str, metric: str, window: str) -> Sequence[datetime]:
        """Of all accumulators there are of them, in order."""
        series = (scope, metric, window)
        starts = self._starts.get(series)
        if starts is None:
            starts = self._starts[series] = list(self._kept.starts(series))
            for key in self.changed:
                if key[:3] == series and key not in self._kept:
                    insort(starts, key.starts_at)
        return starts


@dataclass(slots=True)
class Player:
    """As the tables have it."""

    user_id: str
    version: int = 0
    notified: int = 0
    achievements_completed: int = 0
    achievement_points: int = 0
    accumulators: Kept = field(default_factory=Kept)
    achievements: dict[str, AchievementProgress] = field(default_factory=dict)
    quests: dict[str, QuestProgress] = field(default_factory=dict)
    closings: dict[Closing, datetime] = field(default_factory=dict)
    """When each closes."""

    def take(self, draft: "Draft") -> None:
        """Becomes what the draft made of it."""
        self.achievements_completed = draft.achievements_completed
        self.achievement_points = draft.achievement_points
        self.accumulators.update(draft.accumulators.changed)
        self.achievements.update(draft.achievements.changed)
        self.quests.update(draft.quests.changed)
        self.closings.update(draft.closings.changed)
        for closing in draft.closed:
            self.closings.pop(closing, None)

    def forget(self, begun: Mapping[str, int]) -> list[AccumulatorKey]:
        """What was counted for earlier cycles, at which nobody looks again; the keys of it. `begun`: by
        `achievement:<id>` and `quest:<id>`, the cycle that begins."""
        over = []
        for key in self.accumulators:
            kind, _, rest = key.scope.partition(":")
            id_, _, rest = rest.partition(":")
            cycle = begun.get(f"{kind}:{id_}")
            if cycle is not None and int(rest.partition(":")[0]) < cycle:
                over.append(key)
        for key in over:
            del self.accumulators[key]
        return over


class Draft:
    """What one command makes of a player: the rules read and write here. When a command is refused, its draft
    is thrown away.

    `grants`: those that the command asked for, and those that it makes. `balances`: by account and asset, of
    the player's account and its escrow, when the command asked for them.
    """

    def __init__(
        self,
        player: Player,
        grants: Mapping[str, Grant] | None = None,
        balances: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        self.user_id = player.user_id
        self.achievements_completed = player.achievements_completed
        self.achievement_points = player.achievement_points
        self.accumulators = Accumulators(player.accumulators)
        self.achievements = Overlay(player.achievements)
        self.quests = Overlay(player.quests)
        self.closings = Overlay(player.closings)
        self.grants = Overlay[str, Grant](grants or {})
        self.balances: Mapping[tuple[str, str], int] = balances or {}
        self.closed: list[Closing] = []
        """Closings that have been looked at."""
        self.transfers: list[Transfer] = []
        self.quarantined: list[Quarantined] = []
        self.happened: list[Event] = []

    @property
    def changed(self) -> bool:
        """Whether anything came of it."""
        return bool(
            self.accumulators.changed
            or self.achievements.changed
            or self.quests.changed
            or self.closings.changed
            or self.closed
            or self.grants.changed
            or self.transfers
            or self.quarantined
            or self.happened
        )

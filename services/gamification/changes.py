"""What a batch of commands makes of the tables. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.idempotency import Name, Stored
from services.gamification.counters import Count
from services.gamification.domain.player import (
    Accumulator,
    AccumulatorKey,
    AchievementProgress,
    Closing,
    Draft,
    Grant,
    GrantStatus,
    Player,
    Quarantined,
    QuestProgress,
    Transfer,
)
from services.gamification.notices import Notice

Place = tuple[str, str]
"""Account and asset."""


class Notification(NamedTuple):
    """`sequence`: from 1 for each user, without gaps."""

    user_id: str
    sequence: int
    notice: Notice


@dataclass(slots=True)
class Delta:
    """What a balance gains. `item_type`: of an item."""

    user_id: str
    amount: int
    item_type: str


@dataclass(slots=True)
class Changes:
    """What has to be written."""

    created: set[str] = field(default_factory=set)
    """Players that there were not."""
    players: dict[str, Player] = field(default_factory=dict)
    accumulators: dict[tuple[str, AccumulatorKey], Accumulator] = field(default_factory=dict)
    forgotten: set[tuple[str, AccumulatorKey]] = field(default_factory=set)
    """Accumulators that there need not be any more."""
    closings: dict[tuple[str, Closing], datetime | None] = field(default_factory=dict)
    """When they close; None: they were looked at."""
    achievements: dict[tuple[str, str], AchievementProgress] = field(default_factory=dict)
    quests: dict[tuple[str, str], QuestProgress] = field(default_factory=dict)
    granted: dict[str, Grant] = field(default_factory=dict)
    """New ones."""
    settled: dict[str, tuple[GrantStatus, Grant]] = field(default_factory=dict)
    """What their status was, and what they are."""
    transfers: list[Transfer] = field(default_factory=list)
    balances: dict[Place, Delta] = field(default_factory=dict)
    notifications: list[Notification] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    resolved: dict[str, bool] = field(default_factory=dict)
    counts: Counter[Count] = field(default_factory=Counter)
    envelopes: list[Envelope] = field(default_factory=list)
    answers: dict[Name, Stored] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many that are, nearly: of those kinds of which there can be many."""
        return (
            len(self.players)
            + len(self.accumulators)
            + len(self.transfers)
            + len(self.notifications)
            + len(self.records)
        )

    def take(self, draft: Draft) -> None:
        """All of a player's that is not money."""
        user_id = draft.user_id
        self.accumulators |= {(user_id, key): each for key, each in draft.accumulators.changed.items()}
        self.achievements |= {(user_id, id_): each for id_, each in draft.achievements.changed.items()}
        self.quests |= {(user_id, id_): each for id_, each in draft.quests.changed.items()}
        self.closings |= {(user_id, closing): at for closing, at in draft.closings.changed.items()}
        self.closings |= {(user_id, closing): None for closing in draft.closed}
        self.quarantined += draft.quarantined

    def forget(self, user_id: str, keys: Iterable[AccumulatorKey]) -> None:
        for key in keys:
            self.accumulators.pop((user_id, key), None)
            self.forgotten.add((user_id, key))

    def grant(self, before: Grant | None, grant: Grant) -> None:
        """A grant that was `before`. None: it is a new one."""
        if before is None or grant.id in self.granted:
            self.granted[grant.id] = grant
        else:
            was = self.settled[grant.id][0] if grant.id in self.settled else before.status
            self.settled[grant.id] = (was, grant)

    def transfer(self, transfer: Transfer) -> Iterator[tuple[Place, int]]:
        """What balances gain by it. The accounts of users have balances; the issuer, and what is burnt, have
        none."""
        self.transfers.append(transfer)
        amount = transfer.amount
        for account, gain in (
            (transfer.from_account, -amount.quantity),
            (transfer.to_account, amount.quantity),
        ):
            if ":" in account:
                place = (account, amount.asset)
                delta = self.balances.setdefault(place, Delta(transfer.user_id, 0, amount.item_type))
                delta.amount += gain
                yield place, gain

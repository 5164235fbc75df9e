"""What can be earned, as the rules see it. Times are aware datetimes in UTC, numbers are integers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.gamification.domain.window import EVER, Window


class Aggregation(Enum):
    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    LAST = "last"
    DISTINCT = "distinct"


class Operator(Enum):
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EQ = "eq"


class GainAction(Enum):
    REFUSE = "refused"
    QUARANTINE = "quarantined"


@dataclass(frozen=True, slots=True)
class Filter:
    """What has to be true of an event's field: as one of the `values`, or beyond the only one."""

    field: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricSource:
    """Where an event of the bus has what is counted; see the contract's message."""

    event: str
    user: str
    each: str = ""
    value: str = ""
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class GainLimit:
    per: timedelta
    most: int
    action: GainAction


@dataclass(frozen=True, slots=True)
class Metric:
    id: str
    title: str
    aggregation: Aggregation
    sources: tuple[MetricSource, ...] = ()
    limits: tuple[GainLimit, ...] = ()
    allowed_lateness: timedelta = timedelta(hours=1)


# -- requirements -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """A metric, in a window, against a threshold."""

    metric: str
    operator: Operator
    threshold: int
    window: Window = EVER
    instant: bool = False

    @property
    def closing(self) -> bool:
        """It says something only of a window that is over, or at a checkpoint."""
        return not self.instant and self.operator in (Operator.LT, Operator.LTE, Operator.EQ)


@dataclass(frozen=True, slots=True)
class AllOf:
    members: tuple["Requirement", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    members: tuple["Requirement", ...]


@dataclass(frozen=True, slots=True)
class Completed:
    """Something was completed before. `kind`: `quest` or `achievement`."""

    kind: str
    id: str


Requirement = Condition | AllOf | AnyOf | Completed


@dataclass(frozen=True, slots=True)
class Repeat:
    """`max_cycles` 0: any number."""

    cooldown: timedelta = timedelta(0)
    max_cycles: int = 0


# -- what is earned -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Amount:
    """`asset`: `item:<id>` or `currency:<id>`. `owned_before`: of a claimed cosmetic that the player had, so
    that it was not paid again."""

    asset: str
    quantity: int
    item_type: str = ""
    owned_before: bool = False


@dataclass(frozen=True, slots=True)
class LootEntry:
    """`asset` empty: nothing. How much: `low`, `low + step` ... up to `high`."""

    weight: int
    asset: str
    low: int = 1
    high: int = 1
    step: int = 1
    item_type: str = ""


@dataclass(frozen=True, slots=True)
class LootTable:
    """`max_repeat` 0: an entry may be drawn any number of times."""

    guaranteed: tuple[LootEntry, ...]
    weighted: tuple[LootEntry, ...]
    rolls: int
    max_repeat: int = 0


@dataclass(frozen=True, slots=True)
class Reward:
    """Pays `contents`, or what is drawn from `loot`."""

    id: str
    version: int
    title: str
    contents: tuple[Amount, ...] = ()
    loot: LootTable | None = None
    expires_at: datetime | None = None
    expires_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Achievement:
    """`rewards`: ids. `brings_over`: who began a version before this one goes on with the newest."""

    id: str
    version: int
    title: str
    secret: bool
    points: int
    requirement: AllOf
    rewards: tuple[str, ...]
    enabled: bool
    repeat: Repeat | None = None
    brings_over: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    id: str
    title: str
    order: int
    requirement: AllOf
    rewards: tuple[str, ...] = ()
    optional: bool = False
    player_confirms: bool = False


@dataclass(frozen=True, slots=True)
class Quest:
    """`steps`: by rising order."""

    id: str
    version: int
    title: str
    steps: tuple[Step, ...]
    requirement: AllOf
    rewards: tuple[str, ...]
    active: bool
    time_limit: timedelta | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    repeat: Repeat | None = None
    auto_start: bool = False

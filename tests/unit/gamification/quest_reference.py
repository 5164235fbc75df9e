"""What becomes of a quest whose steps count how often something happened, out of everything that was told so
far: slow, and as the contract says it. One cycle; steps have one condition each."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class PlainStep:
    """`metric` empty: somebody completes it."""

    id: str
    order: int
    optional: bool
    metric: str
    threshold: int


@dataclass
class Told:
    """`sequence`: by when it was told."""

    sequence: int
    metric: str
    at: datetime


@dataclass
class PlainQuest:
    """`opened`: when, and after which telling. `done`: when."""

    steps: list[PlainStep]
    started_at: datetime
    deadline: datetime | None
    told: list[Told] = field(default_factory=list)
    opened: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    done: dict[str, datetime] = field(default_factory=dict)
    over: bool = False

    def __post_init__(self) -> None:
        self._open()

    @property
    def completed(self) -> bool:
        return all(step.id in self.done for step in self.steps if not step.optional)

    def tell(self, metric: str, at: datetime) -> None:
        in_time = self.deadline is None or at < self.deadline
        if self.over or self.completed or not in_time:
            return
        self.told.append(Told(len(self.told), metric, at))
        finished = {step.id: self._reached_at(step) for step in self.steps if self.is_open(step)}
        self.done |= {id_: at for id_, at in finished.items() if at is not None}
        self._open()

    def complete(self, step: PlainStep, now: datetime) -> None:
        self.done[step.id] = now
        self._open()

    def is_open(self, step: PlainStep) -> bool:
        return step.id in self.opened and step.id not in self.done

    def count(self, step: PlainStep) -> int:
        return len(self._counted(step))

    def _counted(self, step: PlainStep) -> list[Told]:
        since, after = self.opened[step.id]
        return [
            each
            for each in self.told
            if each.metric == step.metric and each.at >= since and each.sequence >= after
        ]

    def _reached_at(self, step: PlainStep) -> datetime | None:
        counted = self._counted(step)
        if not step.metric or len(counted) < step.threshold:
            return None
        return max(each.at for each in counted)

    def _open(self) -> None:
        if self.completed:
            return
        for step in self.steps:
            before = [each for each in self.steps if each.order < step.order and not each.optional]
            if step.id not in self.opened and all(each.id in self.done for each in before):
                at = max([self.started_at, *(self.done[each.id] for each in before)])
                self.opened[step.id] = at, len(self.told)

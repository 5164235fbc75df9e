"""What one decision works with, and what an ending leads to: rewards that are owed for it, others that wait
for it."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.clauses import Compiled
from services.gamification.domain.definitions import Completed
from services.gamification.domain.events import Entry
from services.gamification.domain.grants import grant
from services.gamification.domain.observation import Observation
from services.gamification.domain.player import AccumulatorKey, Closing, Draft
from services.gamification.domain.scope import Scope, Touched, count
from services.gamification.domain.window import EPOCH, EVER, Window


@dataclass(frozen=True, slots=True)
class Completions:
    """What a player ever completed."""

    draft: Draft

    def __contains__(self, completed: object) -> bool:
        match completed:
            case Completed(kind="quest", id=id_):
                quest = self.draft.quests.get(id_)
                return quest is not None and quest.completions > 0
            case Completed(kind="achievement", id=id_):
                achievement = self.draft.achievements.get(id_)
                return achievement is not None and achievement.completions > 0
        return False


@dataclass(slots=True)
class Occasion:
    """`at`: when it happened, by which everything is judged. `now`: when it is judged. `endings`: what was
    completed, while those that wait for it do not know yet. `counted`: anywhere; `late`: for some window."""

    draft: Draft
    catalogue: Catalogue
    at: datetime
    now: datetime
    cause: str
    entropy: bytes
    endings: list[Completed] = field(default_factory=list)
    counted: bool = False
    late: bool = False

    @property
    def completed(self) -> Container[Completed]:
        return Completions(self.draft)

    def entry(self, what: str, progress: int, detail: str = "", at: datetime | None = None) -> Entry:
        """Of a history."""
        return Entry(at or self.at, what, detail, progress, self.cause)

    def count(self, scope: Scope, windows: Iterable[Window], observation: Observation) -> Sequence[Touched]:
        """What it changed there; the occasion notes whether there was anything, and whether it was late."""
        counted = count(scope, windows, observation, self.now)
        self.counted = self.counted or bool(counted.touched)
        self.late = self.late or counted.late
        return counted.touched

    def retire(self, scope: Scope, requirement: Compiled, following: Compiled | None = None) -> None:
        """Nobody looks at it any more, but for what the `following` one wants in the same scope. Of what does
        not count for ever, nothing is kept for ever."""
        accumulators = self.draft.accumulators
        wanted = following.windows if following is not None else {}
        for metric, windows in requirement.windows.items():
            key = AccumulatorKey(scope.name, metric, EVER.key, EPOCH)
            if EVER in windows and EVER not in wanted.get(metric, ()) and key in accumulators:
                accumulators[key] = replace(accumulators[key], over_at=self.now)

    def expect(
        self,
        subject: str,
        requirement: Compiled,
        scope: Scope,
        met: Container[int],
        touched: Iterable[Touched],
    ) -> None:
        """Notes the periods at whose end the subject has to be looked at: once, when all of it is over."""
        closings = self.draft.closings
        for window, starts_at, closes_at in requirement.closings(scope, met, touched):
            closing = Closing(subject, window, starts_at)
            noted = closings.get(closing)
            if noted is None or noted < closes_at:
                closings[closing] = closes_at

    def pay(self, rewards: Iterable[str], source: str, source_id: str, cycle: int) -> tuple[str, ...]:
        """Ids of the grants that it led to; what was owed before is not among them."""
        granted = (
            grant(
                self.draft,
                self.catalogue,
                reward_id,
                source=source,
                source_id=source_id,
                cycle=cycle,
                cause=self.cause,
                now=self.now,
                entropy=self.entropy,
            )
            for reward_id in rewards
        )
        return tuple(each.id for each in granted if each is not None)

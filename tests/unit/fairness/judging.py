"""A player to whom things happen, one after the other, for tests of what is judged."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from services.fairness.domain.detector import Bound, Detector, Mode, Signal
from services.fairness.domain.finding import Reading
from services.fairness.domain.flag import Flag
from services.fairness.domain.happened import Limits, Occasion
from services.fairness.domain.player import Draft, Player
from services.fairness.domain.sanction import Sanction

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def detector(
    id_: str = "watch",
    mode: Mode = Mode.BLOCK,
    *,
    quarantine: bool = True,
    boards: tuple[str, ...] = (),
    hold: timedelta | None = HOUR,
    most: int = 0,
) -> Detector:
    """Finds something with each event, unless `most` says otherwise."""
    rule = Bound(most, timedelta(minutes=1))
    signals = (Signal("x.y", "p"),)
    return Detector(id_, 1, 1, mode, signals, rule, quarantine, boards, hold, "Too good.")


@dataclass
class World:
    """Every change is kept in `drafts`, and all sanctions there ever were in `sanctions`."""

    detectors: dict[str, Detector] = field(default_factory=dict)
    player: Player = field(default_factory=lambda: Player("p"))
    now: datetime = BEGIN
    drafts: list[Draft] = field(default_factory=list)
    sanctions: dict[str, Sanction] = field(default_factory=dict)
    events: int = 0

    @classmethod
    def of(cls, *detectors: Detector) -> "World":
        return cls({each.id: each for each in detectors})

    def act(self, change: Callable[[Draft], object], actor: str = "operator:o") -> Draft:
        """Raises what it does: then nothing happened."""
        occasion = Occasion(self.now, actor, self.detectors, lambda _detector, _group: None, Limits())
        draft = Draft(self.player, occasion)
        change(draft)
        if draft.changed:
            draft.settle()
            self.player = draft.player
            self.sanctions |= draft.sanctions
            self.drafts.append(draft)
        return draft

    def hear(self, *names: str, value: int = 1) -> Draft:
        """An event, of which these detectors, or else all, have a reading."""
        self.events += 1
        readings = {name: Reading(value) for name in names or self.detectors}
        return self.act(lambda draft: draft.observe(f"e{self.events}", self.now, readings))

    def later(self, by: timedelta) -> "World":
        self.now += by
        return self

    def mode(self, mode: Mode, id_: str = "watch") -> None:
        self.detectors[id_] = replace(self.detectors[id_], mode=mode)

    @property
    def flags(self) -> list[Flag]:
        return sorted(self.player.flags.values(), key=lambda it: (it.opened_at, it.id))

    @property
    def flag(self) -> Flag:
        """The only one."""
        [found] = self.flags
        return found

    @property
    def actions(self) -> list[str]:
        """Of the log, of the last change."""
        return [getattr(each, "action", "flag.opened") for each in self.drafts[-1].log]

    @property
    def told(self) -> list[object]:
        """With the last change."""
        return [each for _, each in self.drafts[-1].told]

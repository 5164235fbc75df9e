"""What the story of a session remembers between two pieces of its journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from services.combat.domain.statistics import Score


@dataclass(slots=True)
class Seat:
    """Somebody in a seat. `until`: the record that freed it; None: still there."""

    slot: int
    player_id: str
    team: int
    since: int
    until: int | None = None


@dataclass
class Memory:
    """What is remembered of a session beside its tally. Saved as JSON."""

    started: bool = False
    over: bool = False
    second: int = 0
    """Of the session clock, not told yet; `told` is what was counted before it, by player."""
    told: dict[str, list[int]] = field(default_factory=dict)
    seats: dict[int, Seat] = field(default_factory=dict)
    """Last taken so, by slot."""
    fallen: dict[str, int] = field(default_factory=dict)
    """Players who are dead or left, and since which record."""
    absent: list[str] = field(default_factory=list)
    """Players who left before the match began and have not come back: they took no part."""
    scores: dict[str, Score] = field(default_factory=dict)
    corrected_us: dict[int, int] = field(default_factory=dict)
    """When a move of a seat was last told as a violation, by slot."""
    false_claims: dict[str, int] = field(default_factory=dict)
    """Of the second that is not told yet, by player."""

    def save(self) -> dict[str, Any]:
        """Lists are shorter than objects, and several times quicker to write than `dataclasses.asdict`."""
        seats = self.seats.values()
        return {
            "started": self.started,
            "over": self.over,
            "second": self.second,
            "told": dict(self.told),
            "seats": [[seat.slot, seat.player_id, seat.team, seat.since, seat.until] for seat in seats],
            "fallen": dict(self.fallen),
            "absent": list(self.absent),
            "scores": {player: [score.milli, score.at_us] for player, score in self.scores.items()},
            "corrected_us": [[slot, at_us] for slot, at_us in self.corrected_us.items()],
            "false_claims": dict(self.false_claims),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Self:
        return cls(
            started=saved["started"],
            over=saved["over"],
            second=saved["second"],
            told=dict(saved["told"]),
            seats={seat[0]: Seat(*seat) for seat in saved["seats"]},
            fallen=dict(saved["fallen"]),
            absent=list(saved["absent"]),
            scores={player: Score(*score) for player, score in saved["scores"].items()},
            corrected_us=dict(saved["corrected_us"]),
            false_claims=dict(saved["false_claims"]),
        )

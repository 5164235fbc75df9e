"""A finding about a player, from when it is raised until it is dismissed."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import FailedPrecondition, NotFound, PermissionDenied
from services.fairness.domain.detector import Detector, Mode


class FlagState(IntEnum):
    """The numbers are the contract's."""

    OPEN = 1
    CONFIRMED = 2
    DISMISSED = 3
    APPEALED = 4


class Verdict(IntEnum):
    """The numbers are the contract's."""

    CONFIRM = 1
    DISMISS = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """`actor`: `operator:<subject>`."""

    at: datetime
    actor: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Appeal:
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """`mode`: of the detector when it was raised. `reason`: what the player is told of it. `appeal_until`:
    as long the player may object to what followed; None: nothing did. `appeal`: the latest."""

    id: str
    player_id: str
    detector_id: str
    detector_version: int
    rule_version: int
    mode: Mode
    state: FlagState
    opened_at: datetime
    last_at: datetime
    occurrences: int
    reason: str
    appeal_until: datetime | None = None
    decisions: tuple[Decision, ...] = ()
    appeal: Appeal | None = None

    @property
    def shadow(self) -> bool:
        """Nothing followed, and nothing will."""
        return self.mode is Mode.SHADOW

    @property
    def verdict(self) -> Verdict | None:
        """The last one; None: nobody has decided yet."""
        return self.decisions[-1].verdict if self.decisions else None

    # -- transitions ------------------------------------------------------------------------------

    def repeated(self, at: datetime) -> "Flag":
        """The detector found it again."""
        return replace(self, last_at=at, occurrences=self.occurrences + 1)

    def decided(self, decision: Decision) -> "Flag":
        """OPEN or APPEALED becomes CONFIRMED or DISMISSED.

        Raises:
            FailedPrecondition: FLAG_DECIDED, nothing is to be decided.
            PermissionDenied: DECIDED_BY_YOU, an appeal against one's own decision.
        """
        if self.state not in (FlagState.OPEN, FlagState.APPEALED):
            raise self._refused(f"It is {self.state.name.lower()} already.", "FLAG_DECIDED")
        confirmed_by = [it.actor for it in self.decisions if it.verdict is Verdict.CONFIRM]
        if self.state is FlagState.APPEALED and decision.actor in confirmed_by[-1:]:
            raise PermissionDenied(
                "An appeal is decided by somebody other than who confirmed the flag.",
                reason="DECIDED_BY_YOU",
                metadata={"flag": self.id},
            )
        state = FlagState.CONFIRMED if decision.verdict is Verdict.CONFIRM else FlagState.DISMISSED
        return replace(self, state=state, decisions=(*self.decisions, decision))

    def appealed(self, appeal: Appeal) -> "Flag":
        """OPEN or CONFIRMED becomes APPEALED.

        Raises:
            FailedPrecondition: FLAG_APPEALED, it waits for an answer; FLAG_DECIDED, it was dismissed;
                FLAG_NOT_APPEALABLE, nothing followed from it; APPEAL_TOO_LATE.
        """
        if self.state is FlagState.APPEALED:
            raise self._refused("An appeal waits for an answer.", "FLAG_APPEALED")
        if self.state is FlagState.DISMISSED:
            raise self._refused("It is dismissed already.", "FLAG_DECIDED")
        if self.appeal_until is None:
            raise self._refused("Nothing followed from it.", "FLAG_NOT_APPEALABLE")
        if appeal.at > self.appeal_until:
            raise self._refused(
                f"It could be appealed against until {self.appeal_until.isoformat()}.", "APPEAL_TOO_LATE"
            )
        return replace(self, state=FlagState.APPEALED, appeal=appeal)

    def _refused(self, text: str, reason: str) -> FailedPrecondition:
        return FailedPrecondition(text, reason=reason, metadata={"flag": self.id})


def raised(detector: Detector, player_id: str, event: str, at: datetime) -> Flag:
    """By a detector, of what it found with an event."""
    return Flag(
        id=flag_id(player_id, detector.id, detector.rule_version, event),
        player_id=player_id,
        detector_id=detector.id,
        detector_version=detector.version,
        rule_version=detector.rule_version,
        mode=detector.mode,
        state=FlagState.OPEN,
        opened_at=at,
        last_at=at,
        occurrences=1,
        reason=detector.reason,
    )


def not_found(flag_id: str) -> NotFound:
    """The same whether there is none, or it is nobody's business that there is one."""
    return NotFound(f"There is no flag {flag_id}.", reason="FLAG_NOT_FOUND", metadata={"flag": flag_id})


def flag_id(player_id: str, detector_id: str, rule_version: int, event: str) -> str:
    """The same finding has the same one, whoever finds it."""
    text = json.dumps([player_id, detector_id, rule_version, event], ensure_ascii=False)
    return f"f-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

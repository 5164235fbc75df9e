"""All that is known of a player, and every change of it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.fairness.domain import audit
from services.fairness.domain.detector import Detector, Mode, Outlier
from services.fairness.domain.finding import Finding, Input, Reading
from services.fairness.domain.flag import Appeal, Decision, Flag, FlagState, Verdict, not_found, raised
from services.fairness.domain.happened import (
    FlagChanged,
    Observation,
    Occasion,
    Opened,
    Readings,
    ScoresChanged,
    StandingChanged,
    Told,
)
from services.fairness.domain.peers import bucket_of, kept_as
from services.fairness.domain.sanction import (
    ALWAYS,
    Sanction,
    State,
    hidden,
    sanction_id,
    standing,
)
from services.fairness.domain.track import Track, advance

SERVICE = "service:fairness"
MAX_SANCTIONS = 100
"""Of a player at a time. Over it: FAILED_PRECONDITION, TOO_MANY_SANCTIONS."""
MOST_COUNTED = 20
"""Values of a player that count among its peers' in a day, of each detector."""


@dataclass(slots=True)
class Player:
    """`version` grows with each change, `revision` with each thing told. `observed`: number of the newest
    observation. `counted`: how many values of each detector count among peers', of the day `counted_on`.
    `flags`: all there ever were. `sanctions`: those that have not ended."""

    id: str
    version: int = 0
    revision: int = 0
    observed: int = 0
    tracks: dict[str, Track] = field(default_factory=dict)
    counted_on: date = date.min
    counted: dict[str, int] = field(default_factory=dict)
    flags: dict[str, Flag] = field(default_factory=dict)
    sanctions: dict[str, Sanction] = field(default_factory=dict)


class Draft:
    """A player as a change leaves it. Nothing of it is true until all of the change is."""

    def __init__(self, before: Player, occasion: Occasion) -> None:
        self.before = before
        self._occasion = occasion
        self.player = replace(
            before,
            version=before.version + 1,
            tracks=dict(before.tracks),
            counted=dict(before.counted),
            flags=dict(before.flags),
            sanctions=dict(before.sanctions),
        )
        self.observations: list[Observation] = []
        self.records: Counter[tuple[str, int, str]] = Counter()
        """More `observations`, `flags`, `confirmed` and `dismissed`, by detector and rule version."""
        self.values: Counter[tuple[str, str, int]] = Counter()
        """More values of peers, by detector, group and bucket."""
        self.flags: dict[str, Flag] = {}
        """That changed."""
        self.sanctions: dict[str, Sanction] = {}
        """That changed, ended ones too."""
        self.log: list[audit.Entry | Opened] = []
        """In order. Of a flag just raised the line is made when its evidence is there."""
        self.told: list[tuple[int, Told]] = []
        """In order, with the revision."""
        self._expire()

    @property
    def changed(self) -> bool:
        return bool(self.observations or self.flags or self.sanctions)

    def settle(self) -> None:
        """When all of the change is done: others are told how the player stands now, when that is new."""
        sanctions, before = self.player.sanctions.values(), self.before.sanctions.values()
        if not self.sanctions:
            return
        if (now := standing(sanctions)) != standing(before):
            self._tell(StandingChanged(now))
        if (shown := hidden(sanctions)) != hidden(before):
            self._tell(ScoresChanged(shown))

    # -- what is heard ----------------------------------------------------------------------------

    def observe(self, event: str, at: datetime, readings: Readings) -> None:
        """What an event says; of detectors that there are, and that are not off."""
        detectors = self._occasion.detectors
        heard = {
            id_: reading
            for id_, reading in readings.items()
            if id_ in detectors and detectors[id_].mode is not Mode.OFF
        }
        if not heard:
            return
        player = self.player
        player.observed += 1
        self.observations.append(Observation(player.id, player.observed, event, at, heard))
        for id_, reading in heard.items():
            self._advance(detectors[id_], Input(event, at, reading))

    def _advance(self, detector: Detector, given: Input) -> None:
        player, group, peers = self.player, given.reading.group, None
        if isinstance(detector.rule, Outlier):
            peers = self._occasion.peers(detector, group)
            self._count(detector, given.reading)
        track, finding = advance(detector, player.tracks.get(detector.id), player.observed, given, peers)
        player.tracks[detector.id] = track
        self.records[detector.id, detector.rule_version, "observations"] += 1
        if finding is not None:
            self._found(detector, track, finding, given.event)

    def _count(self, detector: Detector, reading: Reading) -> None:
        """So that no player alone makes what is usual."""
        player, today = self.player, self._occasion.now.date()
        if player.counted_on != today:
            player.counted_on, player.counted = today, {}
        counted = player.counted.get(detector.id, 0)
        if counted < MOST_COUNTED:
            player.counted[detector.id] = counted + 1
            self.values[detector.id, kept_as(detector, reading.group), bucket_of(reading.value)] += 1

    def _found(self, detector: Detector, track: Track, finding: Finding, event: str) -> None:
        now, shadow = self._occasion.now, detector.mode is Mode.SHADOW
        of_it = (
            it for it in self.player.flags.values() if (it.detector_id, it.shadow) == (detector.id, shadow)
        )
        flag = max(of_it, key=lambda it: (it.opened_at, it.id), default=None)
        if flag is None or flag.state is FlagState.DISMISSED:
            if flag is not None and now < flag.decisions[-1].at + self._occasion.limits.dismissed:
                return
            flag = raised(detector, self.player.id, event, now)
            self.log.append(Opened(flag, detector, track, finding, self.player.observed))
            self.records[detector.id, detector.rule_version, "flags"] += 1
            self._put(flag)
            self._tell_flag(flag, "opened", event)
        else:
            self._put(flag.repeated(now))
        if not shadow and flag.state is not FlagState.APPEALED:
            self._follow(detector, flag.id, ALWAYS + timedelta(microseconds=track.since))

    # -- what follows -----------------------------------------------------------------------------

    def _follow(self, detector: Detector, flag_id: str, since: datetime) -> None:
        """What of a detector's mode is not in force. So a hold that is over begins again when the player
        goes on."""
        of_it = [it for it in self.player.sanctions.values() if it.flag_id == flag_id]
        actor = f"detector:{detector.id}@{detector.version}"
        if detector.quarantine and not any(it.hidden_since is not None for it in of_it):
            self._begin(
                actor, flag_id=flag_id, hidden_since=since, boards=detector.boards, reason=detector.reason
            )
        state = _HOLDS.get(detector.mode, State.GOOD)
        if state > max((it.state for it in of_it), default=State.GOOD):
            until = None if detector.hold is None else self._occasion.now + detector.hold
            self._begin(actor, state, until, flag_id=flag_id, reason=detector.reason)

    def _begin(
        self,
        actor: str,
        state: State = State.GOOD,
        until: datetime | None = None,
        *,
        reason: str,
        flag_id: str = "",
        hidden_since: datetime | None = None,
        boards: tuple[str, ...] = (),
        automated: bool = True,
    ) -> None:
        player, now = self.player, self._occasion.now
        it = Sanction(
            id=sanction_id(player.id, player.version, len(self.sanctions)),
            player_id=player.id,
            state=state,
            hidden_since=hidden_since,
            boards=boards,
            reason=reason,
            automated=automated,
            since=now,
            until=until,
            flag_id=flag_id,
        )
        player.sanctions[it.id] = self.sanctions[it.id] = it
        if flag_id:
            self._put(replace(player.flags[flag_id], appeal_until=now + self._occasion.limits.appeal))
        self._note(
            actor,
            "sanction.began",
            flag_id,
            sanction=it.id,
            state=state.name.lower(),
            hidden_since=_text(hidden_since),
            boards=list(boards),
            reason=reason,
            automated=automated,
            until=_text(until),
        )

    def _end(self, it: Sanction, actor: str, cause: str, at: datetime, reason: str = "") -> None:
        del self.player.sanctions[it.id]
        self.sanctions[it.id] = replace(it, ended_at=at)
        self._note(actor, "sanction.ended", it.flag_id, sanction=it.id, cause=cause, reason=reason)

    def _expire(self) -> None:
        """What is over by now, whoever comes next."""
        for it in list(self.player.sanctions.values()):
            if it.over(self._occasion.now):
                self._end(it, SERVICE, "expired", it.until or self._occasion.now)

    # -- what people decide -----------------------------------------------------------------------

    def flag(self, flag_id: str) -> Flag:
        """Raises NotFound: FLAG_NOT_FOUND, the player has no such."""
        found = self.player.flags.get(flag_id)
        if found is None:
            raise not_found(flag_id)
        return found

    def decide(
        self, flag_id: str, verdict: Verdict, reason: str, block_until: datetime | None = None
    ) -> Flag:
        """By the actor. `block_until`: with CONFIRM, the player is blocked until then, instead of what
        holds the player because of the flag.

        Raises:
            NotFound, FailedPrecondition, PermissionDenied: see `flag` and `Flag.decided`; FLAG_IS_SHADOW,
            nothing may
                follow from it.
            InvalidArgument: `block_until` with DISMISS, or in the past.
        """
        now, actor = self._occasion.now, self._occasion.actor
        before = self.flag(flag_id)
        flag = before.decided(Decision(now, actor, verdict, reason))
        if block_until is not None:
            self._check_block(before, verdict, block_until)
        self._put(flag)
        self._recount(before, verdict)
        self._note(
            actor,
            "flag.decided",
            flag_id,
            decision=verdict.name.lower(),
            before=before.state.name.lower(),
            reason=reason,
            block_until=_text(block_until),
        )
        for it in [it for it in self.player.sanctions.values() if it.flag_id == flag_id]:
            if verdict is Verdict.DISMISS:
                self._end(it, actor, "dismissed", now)
            elif block_until is not None and it.holds:
                self._end(it, actor, "replaced", now)
            elif it.automated:
                self.player.sanctions[it.id] = self.sanctions[it.id] = replace(it, automated=False)
        if block_until is not None:
            self._begin(
                actor, State.BLOCKED, block_until, flag_id=flag_id, reason=flag.reason, automated=False
            )
        self._tell_flag(flag, "decided", actor)
        return self.player.flags[flag_id]

    def _check_block(self, flag: Flag, verdict: Verdict, until: datetime) -> None:
        if verdict is not Verdict.CONFIRM:
            raise InvalidArgument.of("block_until", "must be absent unless the flag is confirmed")
        if flag.shadow:
            raise FailedPrecondition(
                "Nothing follows from a flag of a detector that was only watched.",
                reason="FLAG_IS_SHADOW",
                metadata={"flag": flag.id},
            )
        self._check_until("block_until", until)

    def _recount(self, before: Flag, verdict: Verdict) -> None:
        """Of each flag the last decision counts."""
        about = before.detector_id, before.rule_version
        if before.verdict is not None:
            self.records[*about, _COUNTED[before.verdict]] -= 1
        self.records[*about, _COUNTED[verdict]] += 1

    def appeal(self, flag_id: str, text: str) -> Flag:
        """By the player, who does not know of shadow flags. Raises as `flag` and `Flag.appealed` do."""
        before = self.flag(flag_id)
        if before.shadow:
            raise not_found(flag_id)
        flag = before.appealed(Appeal(self._occasion.now, text))
        self._put(flag)
        self._note(self._occasion.actor, "flag.appealed", flag_id, before=before.state.name.lower())
        self._tell_flag(flag, "appealed", self._occasion.actor)
        return flag

    def block(
        self,
        reason: str,
        state: State = State.BLOCKED,
        until: datetime | None = None,
        *,
        hide_scores: bool = False,
    ) -> None:
        """By the actor, without a flag. `hide_scores`: all there are, too.

        Raises:
            InvalidArgument: `until` is in the past.
            FailedPrecondition: TOO_MANY_SANCTIONS.
        """
        if until is not None:
            self._check_until("until", until)
        if len(self.player.sanctions) >= MAX_SANCTIONS:
            raise FailedPrecondition(
                f"There are {MAX_SANCTIONS} restrictions of this player.",
                reason="TOO_MANY_SANCTIONS",
                metadata={"player": self.player.id},
            )
        since = ALWAYS if hide_scores else None
        self._begin(self._occasion.actor, state, until, reason=reason, hidden_since=since, automated=False)

    def unblock(self, reason: str) -> None:
        """By the actor: ends whatever throttles or blocks. Flags stay, and so do the scores that they
        hide."""
        for it in [it for it in self.player.sanctions.values() if it.holds]:
            self._end(it, self._occasion.actor, "unblocked", self._occasion.now, reason)

    def _check_until(self, name: str, until: datetime) -> None:
        if until <= self._occasion.now:
            raise InvalidArgument.of(name, "must be in the future")

    # -- what is written and told -----------------------------------------------------------------

    def _put(self, flag: Flag) -> None:
        self.player.flags[flag.id] = self.flags[flag.id] = flag

    def _note(self, actor: str, action: str, flag_id: str, **details: object) -> None:
        now, player_id = self._occasion.now, self.player.id
        self.log.append(audit.entry(now, actor, action, player_id=player_id, flag_id=flag_id, **details))

    def _tell_flag(self, flag: Flag, what: str, cause: str) -> None:
        if not flag.shadow:
            self._tell(FlagChanged(flag, what, cause))

    def _tell(self, told: Told) -> None:
        self.player.revision += 1
        self.told.append((self.player.revision, told))


_HOLDS = {Mode.THROTTLE: State.THROTTLED, Mode.BLOCK: State.BLOCKED}
_COUNTED = {Verdict.CONFIRM: "confirmed", Verdict.DISMISS: "dismissed"}


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

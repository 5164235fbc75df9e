"""What is answered and kept, domain to contract."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import cast

from arenamesh.liveops.v1 import detector_pb2, event_filter_pb2, flag_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from services.chassis.times import stamp
from services.fairness.domain.audit import Line
from services.fairness.domain.detector import (
    Bound,
    Detector,
    Drift,
    Flood,
    Outlier,
    Ratio,
    Repetition,
    Rule,
    Signal,
)
from services.fairness.domain.flag import Decision, Flag, FlagState
from services.fairness.domain.sanction import Sanction, State, active

_RULES: Mapping[type[Rule], tuple[str, type[Message]]] = {
    Bound: ("bound", detector_pb2.BoundRule),
    Flood: ("flood", detector_pb2.FloodRule),
    Ratio: ("ratio", detector_pb2.RatioRule),
    Outlier: ("outlier", detector_pb2.OutlierRule),
    Drift: ("drift", detector_pb2.DriftRule),
    Repetition: ("repetition", detector_pb2.RepetitionRule),
}


# -- detectors ----------------------------------------------------------------------------------------


def detector(found: Detector) -> detector_pb2.Detector:
    """As it was given, and its version."""
    name, kind = _RULES[type(found.rule)]
    fields = {field: getattr(found.rule, field) for field in kind.DESCRIPTOR.fields_by_name}
    rule = kind(**{field: _span(it) if isinstance(it, timedelta) else it for field, it in fields.items()})
    message = detector_pb2.Detector(
        id=found.id,
        title=found.title,
        mode=cast(detector_pb2.DetectorMode, found.mode.value),
        signals=map(_signal, found.signals),
        budget_milli=found.budget_milli,
        quarantine=found.quarantine,
        boards=found.boards,
        hold=None if found.hold is None else _span(found.hold),
        reason=found.reason,
        version=found.version,
    )
    getattr(message, name).CopyFrom(rule)
    return message


def _signal(found: Signal) -> detector_pb2.Signal:
    return detector_pb2.Signal(
        event=found.event,
        each=found.each,
        player=found.player,
        value=found.value,
        of=found.of,
        peers=found.peers,
        filters=[
            event_filter_pb2.EventFilter(field=each.field, values=sorted(each.values))
            for each in found.filters
        ],
    )


# -- flags --------------------------------------------------------------------------------------------


def flag(found: Flag) -> flag_pb2.Flag:
    """Without its evidence."""
    appeal = found.appeal
    return flag_pb2.Flag(
        id=found.id,
        player_id=found.player_id,
        detector_id=found.detector_id,
        detector_version=found.detector_version,
        mode=cast(detector_pb2.DetectorMode, found.mode.value),
        state=cast(flag_pb2.FlagState, found.state.value),
        opened_at=stamp(found.opened_at),
        last_at=stamp(found.last_at),
        occurrences=found.occurrences,
        decisions=map(_decision, found.decisions),
        appeal=None if appeal is None else flag_pb2.Appeal(at=stamp(appeal.at), text=appeal.text),
    )


def _decision(found: Decision) -> flag_pb2.FlagDecision:
    return flag_pb2.FlagDecision(
        at=stamp(found.at),
        actor=found.actor,
        decision=cast(flag_pb2.Decision, found.verdict.value),
        reason=found.reason,
    )


# -- standings ----------------------------------------------------------------------------------------


def standing(
    player_id: str, sanctions: Iterable[Sanction], flags: Mapping[str, Flag], now: datetime
) -> flag_pb2.Standing:
    """Of the sanctions in force, and the flags that they came from: what the player has a right to know, and
    nothing of how it was found."""
    found = active(sanctions, now)
    return flag_pb2.Standing(
        player_id=player_id,
        state=cast(flag_pb2.StandingState, max((it.state for it in found), default=State.GOOD).value),
        scores_hidden=any(it.hidden_since is not None for it in found),
        sanctions=[_sanction(it, flags.get(it.flag_id), now) for it in found],
    )


def _sanction(found: Sanction, cause: Flag | None, now: datetime) -> flag_pb2.Sanction:
    return flag_pb2.Sanction(
        id=found.id,
        state=cast(flag_pb2.StandingState, found.state.value),
        scores_hidden=found.hidden_since is not None,
        boards=found.boards,
        reason=found.reason,
        automated=found.automated,
        since=stamp(found.since),
        until=stamp(found.until),
        flag_id=found.flag_id,
        appeal_until=stamp(_appeal_until(cause, now)),
    )


def _appeal_until(cause: Flag | None, now: datetime) -> datetime | None:
    """None: there is nothing to appeal against, or an appeal waits for an answer, or it is too late."""
    if cause is None or cause.state not in (FlagState.OPEN, FlagState.CONFIRMED):
        return None
    return cause.appeal_until if cause.appeal_until is not None and now <= cause.appeal_until else None


# -- the log ------------------------------------------------------------------------------------------


def audit_entry(found: Line) -> flag_pb2.AuditEntry:
    entry = found.entry
    return flag_pb2.AuditEntry(
        sequence=found.sequence,
        at=stamp(entry.at),
        actor=entry.actor,
        action=entry.action,
        player_id=entry.player_id,
        flag_id=entry.flag_id,
        details=entry.details,
        previous=found.previous.hex(),
        hash=found.hash.hex(),
    )


# -- times --------------------------------------------------------------------------------------------


def _span(length: timedelta) -> Duration:
    found = Duration()
    found.FromTimedelta(length)
    return found

"""Detectors, contract to domain. What no field can say alone is said here: each fault raises InvalidArgument
with the path of its field, such as `detector.signals[0].of`."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from arenamesh.liveops.v1 import detector_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from services.chassis.errors import InvalidArgument
from services.chassis.event_fields import check_named
from services.fairness.domain.detector import (
    Bound,
    Detector,
    Drift,
    Filter,
    Flood,
    Mode,
    Outlier,
    Ratio,
    Repetition,
    Rule,
    Signal,
)

MOST = 10**12
"""Of every number of a rule, and of what it is given, either way: so that millionths of it fit 64 bits."""
LONGEST = timedelta(days=366)
"""Of every duration."""
_NUL = "\0"


def to_detector(message: detector_pb2.Detector, rule_version: int, path: str = "detector") -> Detector:
    """`rule_version`: the first version with its signals and its rule. Raises InvalidArgument."""
    no_nul(message.title, f"{path}.title")
    no_nul(message.reason, f"{path}.reason")
    kind = _kind(message)
    _check_numbers(message, path)
    if message.boards and not message.quarantine:
        raise InvalidArgument.of(f"{path}.boards", "must be empty without quarantine: nothing is hidden")
    return Detector(
        id=message.id,
        version=message.version,
        rule_version=rule_version,
        mode=Mode(message.mode),
        signals=_signals(message.signals, kind, f"{path}.signals"),
        rule=_RULES[kind](getattr(message, kind), f"{path}.{kind}"),
        quarantine=message.quarantine,
        boards=tuple(message.boards),
        hold=_span(message.hold, f"{path}.hold") if message.HasField("hold") else None,
        reason=message.reason,
        title=message.title,
        budget_milli=message.budget_milli,
    )


def same_rule(one: detector_pb2.Detector, other: detector_pb2.Detector) -> bool:
    """Whether what one remembers of players says something to the other."""
    kind = _kind(one)
    return (
        kind == _kind(other)
        and list(one.signals) == list(other.signals)
        and getattr(one, kind) == getattr(other, kind)
    )


def _kind(message: detector_pb2.Detector) -> str:
    """The name of its rule."""
    kind: str | None = message.WhichOneof("rule")
    if kind is None:
        raise InvalidArgument.of("detector.rule", "must be given")
    return kind


# -- signals ------------------------------------------------------------------------------------------


def _signals(messages: Iterable[detector_pb2.Signal], kind: str, path: str) -> tuple[Signal, ...]:
    found: dict[Signal, int] = {}
    for number, message in enumerate(messages):
        signal = _signal(message, kind, f"{path}[{number}]")
        if signal in found:
            raise InvalidArgument.of(f"{path}[{number}]", f"is the same as signals[{found[signal]}]")
        found[signal] = number
    return tuple(found)


def _signal(message: detector_pb2.Signal, kind: str, path: str) -> Signal:
    if kind == "ratio" and not message.of:
        raise InvalidArgument.of(f"{path}.of", "must be given: the rule is a ratio")
    if kind != "ratio" and message.of:
        raise InvalidArgument.of(f"{path}.of", "must be empty: the rule is no ratio")
    if kind != "outlier" and message.peers:
        raise InvalidArgument.of(f"{path}.peers", "must be empty: the rule is no outlier")
    for number, each in enumerate(message.filters):
        for text in each.values:
            no_nul(text, f"{path}.filters[{number}].values")
    peers = {f"peers[{number}]": name for number, name in enumerate(message.peers)}
    check_named(
        message.event,
        path,
        each=message.each,
        player=message.player,
        others={"value": message.value, "of": message.of} | peers,
        filters=[(each.field, each.values) for each in message.filters],
    )
    return Signal(
        event=message.event,
        player=message.player,
        each=message.each,
        value=message.value,
        of=message.of,
        peers=tuple(message.peers),
        filters=tuple(Filter(each.field, frozenset(each.values)) for each in message.filters),
    )


# -- rules --------------------------------------------------------------------------------------------


def _bound(message: detector_pb2.BoundRule, path: str) -> Rule:
    return Bound(message.most, _span(message.per, f"{path}.per"))


def _flood(message: detector_pb2.FloodRule, path: str) -> Rule:
    return Flood(message.rate_milli, message.burst, message.strikes, _span(message.per, f"{path}.per"))


def _ratio(message: detector_pb2.RatioRule, path: str) -> Rule:
    if message.cheat_milli <= message.honest_milli:
        raise InvalidArgument.of(f"{path}.cheat_milli", "must be more than honest_milli")
    return Ratio(message.honest_milli, message.cheat_milli, message.threshold_milli)


def _outlier(message: detector_pb2.OutlierRule, _path: str) -> Rule:
    return Outlier(message.threshold_milli, message.least_peers, message.least_scale, message.days)


def _drift(message: detector_pb2.DriftRule, _path: str) -> Rule:
    return Drift(message.baseline, message.allowance_milli, message.threshold_milli, message.least_scale)


def _repetition(message: detector_pb2.RepetitionRule, path: str) -> Rule:
    tolerance = _span(message.tolerance, f"{path}.tolerance")
    longest = _span(message.longest, f"{path}.longest")
    if tolerance >= longest:
        raise InvalidArgument.of(f"{path}.tolerance", "must be shorter than longest")
    return Repetition(message.intervals, tolerance, message.share_milli, longest)


_RULES: Mapping[str, Callable[..., Rule]] = {
    "bound": _bound,
    "flood": _flood,
    "ratio": _ratio,
    "outlier": _outlier,
    "drift": _drift,
    "repetition": _repetition,
}


def _check_numbers(message: detector_pb2.Detector, path: str) -> None:
    kind = _kind(message)
    if message.budget_milli > MOST:
        raise InvalidArgument.of(f"{path}.budget_milli", f"must be at most {MOST}")
    rule: Message = getattr(message, kind)
    for field, value in rule.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 and value > MOST:
            raise InvalidArgument.of(f"{path}.{kind}.{field.name}", f"must be at most {MOST}")


def _span(duration: Duration, path: str) -> timedelta:
    try:
        span = duration.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument.of(path, "is no duration") from error
    if not timedelta(0) < span <= LONGEST:
        raise InvalidArgument.of(path, f"must be more than 0 and at most {LONGEST.days} days")
    return span


def no_nul(text: str, path: str) -> None:
    """Raises InvalidArgument for text that no row holds."""
    if _NUL in text:
        raise InvalidArgument.of(path, "must not have NUL in it")

"""Requirements of the contract as the rules see them, and what no field of them can say alone."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from arenamesh.gamification.v1 import requirement_pb2

from services.chassis.calendar import Calendar, zones
from services.chassis.errors import InvalidArgument
from services.gamification.domain.accumulator import MAX_MEMBERS
from services.gamification.domain.definitions import (
    Aggregation,
    AllOf,
    AnyOf,
    Completed,
    Condition,
    Metric,
    Operator,
    Requirement,
)
from services.gamification.domain.window import EVER, Sliding, Window

MAX_DEPTH = 3
"""Of requirements within requirements; those of the definition itself are the first."""
MAX_CONDITIONS = 64
"""Of one list of requirements, with all that is in them. Over it: refused."""
MAX_WINDOW = timedelta(days=366)
MAX_VALUE = 10**15
"""Of a record; what a MAX, MIN or LAST metric can stand at."""
DEFAULT_PARTS = 60
UTC = "UTC"

OPERATORS: Mapping[int, Operator] = {
    requirement_pb2.OPERATOR_GT: Operator.GT,
    requirement_pb2.OPERATOR_GTE: Operator.GTE,
    requirement_pb2.OPERATOR_LT: Operator.LT,
    requirement_pb2.OPERATOR_LTE: Operator.LTE,
    requirement_pb2.OPERATOR_EQ: Operator.EQ,
}
_UNITS: Mapping[int, timedelta] = {
    requirement_pb2.TIME_UNIT_MINUTES: timedelta(minutes=1),
    requirement_pb2.TIME_UNIT_HOURS: timedelta(hours=1),
    requirement_pb2.TIME_UNIT_DAYS: timedelta(days=1),
}
_CALENDARS: Mapping[int, str] = {
    requirement_pb2.CALENDAR_DAY: "day",
    requirement_pb2.CALENDAR_WEEK: "week",
    requirement_pb2.CALENDAR_MONTH: "month",
}
_COMPLETED: Mapping[int, str] = {
    requirement_pb2.REQUIREMENT_TYPE_QUEST: "quest",
    requirement_pb2.REQUIREMENT_TYPE_ACHIEVEMENT: "achievement",
}
_METRIC = requirement_pb2.REQUIREMENT_TYPE_METRIC
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
# What a requirement of each type is made of, beside its type.
_FIELDS: Mapping[int, frozenset[str]] = {
    _METRIC: frozenset({"metric", "threshold", "operator", "timeframe", "instant"}),
    requirement_pb2.REQUIREMENT_TYPE_ALL: frozenset({"requirements"}),
    requirement_pb2.REQUIREMENT_TYPE_ANY: frozenset({"requirements"}),
    requirement_pb2.REQUIREMENT_TYPE_QUEST: frozenset({"id"}),
    requirement_pb2.REQUIREMENT_TYPE_ACHIEVEMENT: frozenset({"id"}),
}


@dataclass(frozen=True, slots=True)
class Context:
    """What requirements may name. `completed`: whether of them may be QUEST or ACHIEVEMENT."""

    metrics: Mapping[str, Metric]
    completed: bool = False


def all_of(
    requirements: Iterable[requirement_pb2.Requirement], context: Context, path: str, *, depth: int = 1
) -> AllOf:
    """`path`: of the list, such as `achievement.requirements`. Raises InvalidArgument with the path of what
    is wrong."""
    found = AllOf(_members(requirements, context, path, depth))
    if depth == 1 and _size(found) > MAX_CONDITIONS:
        raise InvalidArgument.of(path, f"must have at most {MAX_CONDITIONS} conditions, with all in them")
    return found


def _members(
    requirements: Iterable[requirement_pb2.Requirement], context: Context, path: str, depth: int
) -> tuple[Requirement, ...]:
    return tuple(
        _requirement(each, context, f"{path}[{number}]", depth) for number, each in enumerate(requirements)
    )


def _requirement(
    message: requirement_pb2.Requirement, context: Context, path: str, depth: int
) -> Requirement:
    type_ = message.type or (_METRIC if message.metric else message.type)
    fields = _FIELDS.get(type_)
    if fields is None:
        raise InvalidArgument.of(f"{path}.type", "must be given, or else a metric")
    for field, _ in message.ListFields():
        if field.name != "type" and field.name not in fields:
            name = requirement_pb2.RequirementType.Name(type_).removeprefix("REQUIREMENT_TYPE_")
            raise InvalidArgument.of(f"{path}.{field.name}", f"says nothing in a requirement of type {name}")
    if type_ == _METRIC:
        return _condition(message, context, path)
    if type_ in _COMPLETED:
        if not context.completed:
            raise InvalidArgument.of(
                f"{path}.type", "only a requirement of a quest, or of a step, can be this"
            )
        if not _ID.fullmatch(message.id):
            raise InvalidArgument.of(f"{path}.id", "must be the id of what is completed before")
        return Completed(_COMPLETED[type_], message.id)
    if not message.requirements:
        raise InvalidArgument.of(f"{path}.requirements", "must have at least one")
    if depth >= MAX_DEPTH:
        raise InvalidArgument.of(f"{path}.requirements", f"must be at most {MAX_DEPTH} deep")
    members = _members(message.requirements, context, f"{path}.requirements", depth + 1)
    return AllOf(members) if type_ == requirement_pb2.REQUIREMENT_TYPE_ALL else AnyOf(members)


def _size(requirement: Requirement) -> int:
    match requirement:
        case AllOf() | AnyOf():
            return sum(map(_size, requirement.members))
    return 1


# -- a metric against a threshold ---------------------------------------------------------------------


def _condition(message: requirement_pb2.Requirement, context: Context, path: str) -> Condition:
    metric = context.metrics.get(message.metric)
    if metric is None:
        raise InvalidArgument.of(f"{path}.metric", "must be the id of a metric", reason="METRIC_UNKNOWN")
    operator = OPERATORS.get(message.operator)
    if operator is None:
        raise InvalidArgument.of(f"{path}.operator", "must be given")
    condition = Condition(
        metric=metric.id,
        operator=operator,
        threshold=message.threshold,
        window=_window(message.timeframe, f"{path}.timeframe") if message.HasField("timeframe") else EVER,
        instant=message.instant,
    )
    if message.instant and operator in (Operator.GT, Operator.GTE):
        raise InvalidArgument.of(f"{path}.instant", "says nothing of GT and GTE, which always are")
    low, high = _thresholds(metric.aggregation, operator)
    if not low <= message.threshold <= high:
        raise InvalidArgument.of(
            f"{path}.threshold",
            f"must be {low} to {high}: outside it says nothing of a {metric.aggregation.name} with"
            f" {operator.name}",
        )
    return condition


def _thresholds(aggregation: Aggregation, operator: Operator) -> tuple[int, int]:
    """Those that some values meet and others do not."""
    least, most = _values(aggregation, operator)
    match operator:
        case Operator.GT:
            return least, most - 1
        case Operator.GTE | Operator.LT:
            return least + 1, most
        case Operator.LTE | Operator.EQ:
            return least, most


def _values(aggregation: Aggregation, operator: Operator) -> tuple[int, int]:
    if aggregation in (Aggregation.MAX, Aggregation.MIN, Aggregation.LAST):
        return -MAX_VALUE, MAX_VALUE
    if aggregation is Aggregation.DISTINCT:
        return 0, MAX_MEMBERS
    if aggregation is Aggregation.SUM and operator not in (Operator.GT, Operator.GTE):
        return -(2**63), 2**63 - 1
    # Who did nothing stands at 0: a threshold that 0 is above is met before anything happens.
    return 0, 2**63 - 1


# -- time ---------------------------------------------------------------------------------------------


def _window(timeframe: requirement_pb2.Timeframe, path: str) -> Window:
    if timeframe.calendar:
        return _calendar(timeframe, path)
    if timeframe.time_zone:
        raise InvalidArgument.of(f"{path}.time_zone", "says nothing without a calendar")
    return _sliding(timeframe, path)


def _calendar(timeframe: requirement_pb2.Timeframe, path: str) -> Calendar:
    for name in ("duration", "unit", "parts"):
        if getattr(timeframe, name):
            raise InvalidArgument.of(
                f"{path}.{name}", "says nothing beside a calendar: one form or the other"
            )
    zone = timeframe.time_zone or UTC
    if zone not in zones():
        raise InvalidArgument.of(
            f"{path}.time_zone", "must be the IANA name of a time zone, such as Europe/Berlin"
        )
    return Calendar(_CALENDARS[timeframe.calendar], zone)


def _sliding(timeframe: requirement_pb2.Timeframe, path: str) -> Sliding:
    if not timeframe.duration and not timeframe.unit:
        raise InvalidArgument.of(path, "must have a duration and a unit, or a calendar")
    if not timeframe.duration:
        raise InvalidArgument.of(f"{path}.duration", "must be at least 1")
    if not timeframe.unit:
        raise InvalidArgument.of(f"{path}.unit", "must be given with a duration")
    length = timeframe.duration * _UNITS[timeframe.unit]
    if length > MAX_WINDOW:
        raise InvalidArgument.of(f"{path}.duration", f"must be at most {MAX_WINDOW.days} days")
    parts = timeframe.parts or DEFAULT_PARTS
    if length % (parts * timedelta(seconds=1)):
        raise InvalidArgument.of(f"{path}.parts", "must divide the duration into whole seconds")
    return Sliding(length, parts)

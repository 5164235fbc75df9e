"""Definitions of the contract as the rules see them. What no field can say alone is said here: each fault
raises InvalidArgument with the path of its field, such as `achievement.requirements[0].timeframe.time_zone`.

What depends on time, or on other definitions than metrics, is looked at when a definition is written
(`definitions.py`), because one that was right stays readable.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from arenamesh.gamification.v1 import achievement_pb2, metric_pb2, quest_pb2, reward_pb2
from google.protobuf.duration_pb2 import Duration

from services.chassis.errors import InvalidArgument
from services.chassis.times import to_time
from services.gamification.domain.catalogue import first_steps, metrics_of
from services.gamification.domain.definitions import (
    Achievement,
    Aggregation,
    Filter,
    GainAction,
    GainLimit,
    Metric,
    MetricSource,
    Operator,
    Quest,
    Repeat,
    Reward,
    Step,
)
from services.gamification.domain.scope import MAX_LATENESS
from services.gamification.translate_requirements import OPERATORS, Context, all_of
from services.gamification.translate_rewards import contents, loot_table

MAX_TIME = timedelta(days=3660)
"""The longest time limit, cooldown or time to claim."""
MAX_PER = timedelta(days=366)
"""The longest time that a gain limit looks at."""
DEFAULT_LATENESS = timedelta(hours=1)
ACTIVE = "active"
"""No quest can be called that, since nobody could read it at /quests/active."""

AGGREGATIONS: Mapping[int, Aggregation] = {
    metric_pb2.AGGREGATION_COUNT: Aggregation.COUNT,
    metric_pb2.AGGREGATION_SUM: Aggregation.SUM,
    metric_pb2.AGGREGATION_MAX: Aggregation.MAX,
    metric_pb2.AGGREGATION_MIN: Aggregation.MIN,
    metric_pb2.AGGREGATION_LAST: Aggregation.LAST,
    metric_pb2.AGGREGATION_DISTINCT: Aggregation.DISTINCT,
}
_ACTIONS: Mapping[int, GainAction] = {
    metric_pb2.GAIN_ACTION_REFUSE: GainAction.REFUSE,
    metric_pb2.GAIN_ACTION_QUARANTINE: GainAction.QUARANTINE,
}
_INTEGER = re.compile(r"-?[0-9]{1,18}")


# -- metrics ------------------------------------------------------------------------------------------


def metric(message: metric_pb2.Metric, path: str = "metric") -> Metric:
    """Raises InvalidArgument."""
    aggregation = AGGREGATIONS[message.aggregation]
    lateness = DEFAULT_LATENESS
    if message.HasField("allowed_lateness"):
        lateness = _time(message.allowed_lateness, f"{path}.allowed_lateness", most=MAX_LATENESS)
    return Metric(
        id=message.id,
        title=message.title,
        aggregation=aggregation,
        sources=tuple(
            _source(each, f"{path}.sources[{number}]") for number, each in enumerate(message.sources)
        ),
        limits=_limits(message.limits, f"{path}.limits"),
        allowed_lateness=lateness,
    )


def _source(message: metric_pb2.MetricSource, path: str) -> MetricSource:
    return MetricSource(
        event=message.event,
        user=message.user,
        each=message.each,
        value=message.value,
        filters=tuple(
            _filter(each, f"{path}.filters[{number}]") for number, each in enumerate(message.filters)
        ),
    )


def _filter(message: metric_pb2.Filter, path: str) -> Filter:
    operator = OPERATORS.get(message.operator)
    if operator is None:
        raise InvalidArgument.of(f"{path}.operator", "must be given")
    if operator is not Operator.EQ:
        if len(message.values) != 1:
            raise InvalidArgument.of(f"{path}.values", f"must be one for {operator.name}")
        if not _INTEGER.fullmatch(message.values[0]):
            raise InvalidArgument.of(f"{path}.values[0]", f"must be a whole number for {operator.name}")
    return Filter(message.field, operator, tuple(message.values))


def _limits(messages: Iterable[metric_pb2.GainLimit], path: str) -> tuple[GainLimit, ...]:
    limits: dict[timedelta, GainLimit] = {}
    for number, each in enumerate(messages):
        where = f"{path}[{number}].per"
        per = _time(each.per, where, least=timedelta(seconds=1), most=MAX_PER)
        if per in limits:
            raise InvalidArgument.of(where, "must be another time than that of another limit")
        limits[per] = GainLimit(per, each.most, _ACTIONS[each.action])
    return tuple(limits.values())


# -- rewards ------------------------------------------------------------------------------------------


def reward(message: reward_pb2.Reward, version: int, path: str = "reward") -> Reward:
    """Raises InvalidArgument."""
    after = None
    if message.HasField("expires_after"):
        after = _time(message.expires_after, f"{path}.expires_after", least=timedelta(seconds=1))
    ends_at = None
    if message.HasField("expires_at"):
        ends_at = to_time(message.expires_at, f"{path}.expires_at")
    return Reward(
        id=message.id,
        version=version,
        title=message.title,
        contents=contents(message, path),
        loot=loot_table(message, path),
        expires_at=ends_at,
        expires_after=after,
    )


def is_reference(message: reward_pb2.Reward) -> bool:
    """Whether it names a reward that was created before, and says nothing else."""
    return [field.name for field, _ in message.ListFields()] == ["id"]


def _ids(rewards: Iterable[reward_pb2.Reward], path: str) -> tuple[str, ...]:
    """Of rewards of one list. The same one twice would be owed once."""
    ids: dict[str, None] = {}
    for number, each in enumerate(rewards):
        if each.id in ids:
            raise InvalidArgument.of(
                f"{path}[{number}].id", "must be another reward than the others beside it"
            )
        ids[each.id] = None
    return tuple(ids)


# -- achievements and quests --------------------------------------------------------------------------


def achievement(
    message: achievement_pb2.Achievement,
    metrics: Mapping[str, Metric],
    version: int,
    brings_over: int = 0,
    path: str = "achievement",
) -> Achievement:
    """Every reward in it has an id. Raises InvalidArgument."""
    return Achievement(
        id=message.id,
        version=version,
        title=message.title,
        secret=message.type == achievement_pb2.ACHIEVEMENT_TYPE_SECRET,
        points=message.points,
        requirement=all_of(message.requirements, Context(metrics), f"{path}.requirements"),
        rewards=_ids(message.rewards, f"{path}.rewards"),
        enabled=message.is_enabled,
        repeat=_repeat(message.repeat, f"{path}.repeat") if message.HasField("repeat") else None,
        brings_over=brings_over,
    )


def quest(
    message: quest_pb2.Quest, metrics: Mapping[str, Metric], version: int, path: str = "quest"
) -> Quest:
    """Every reward in it has an id. Raises InvalidArgument."""
    if message.id == ACTIVE:
        raise InvalidArgument.of(f"{path}.id", f"must not be {ACTIVE}: /quests/{ACTIVE} is a list")
    steps = _steps(message.steps, metrics, f"{path}.steps")
    start = to_time(message.start_date, f"{path}.start_date") if message.HasField("start_date") else None
    end = to_time(message.end_date, f"{path}.end_date") if message.HasField("end_date") else None
    if start is not None and end is not None and end <= start:
        raise InvalidArgument.of(f"{path}.end_date", "must be after start_date")
    limit = None
    if message.HasField("time_limit"):
        limit = _time(message.time_limit, f"{path}.time_limit", least=timedelta(seconds=1))
    if message.auto_start and not any(metrics_of(step.requirement) for step in first_steps(steps)):
        raise InvalidArgument.of(f"{path}.auto_start", "needs a requirement in one of the first steps")
    return Quest(
        id=message.id,
        version=version,
        title=message.title,
        steps=steps,
        requirement=all_of(message.requirements, Context(metrics, completed=True), f"{path}.requirements"),
        rewards=_ids(message.rewards, f"{path}.rewards"),
        active=message.is_active,
        time_limit=limit,
        start_date=start,
        end_date=end,
        repeat=_repeat(message.repeat, f"{path}.repeat") if message.HasField("repeat") else None,
        auto_start=message.auto_start,
    )


def _steps(
    messages: Iterable[quest_pb2.QuestStep], metrics: Mapping[str, Metric], path: str
) -> tuple[Step, ...]:
    steps: dict[str, Step] = {}
    for number, each in enumerate(messages):
        place = f"{path}[{number}]"
        if each.id in steps:
            raise InvalidArgument.of(f"{place}.id", "must be another than that of the other steps")
        if each.player_confirms and each.requirements:
            raise InvalidArgument.of(f"{place}.player_confirms", "says nothing of a step with requirements")
        steps[each.id] = Step(
            id=each.id,
            title=each.title,
            order=each.order,
            requirement=all_of(each.requirements, Context(metrics, completed=True), f"{place}.requirements"),
            rewards=_ids(each.rewards, f"{place}.rewards"),
            optional=each.is_optional,
            player_confirms=each.player_confirms,
        )
    if all(step.optional for step in steps.values()):
        raise InvalidArgument.of(path, "must have one that is not optional")
    last = max(step.order for step in steps.values() if not step.optional)
    for number, step in enumerate(steps.values()):
        if step.order > last:
            raise InvalidArgument.of(
                f"{path}[{number}].order", f"must be at most {last}: the quest is over when it would open"
            )
    return tuple(sorted(steps.values(), key=lambda step: step.order))


def _repeat(message: achievement_pb2.Repeat, path: str) -> Repeat:
    return Repeat(_time(message.cooldown, f"{path}.cooldown"), message.max_cycles)


# -- time ---------------------------------------------------------------------------------------------


def _time(
    duration: Duration, path: str, *, least: timedelta = timedelta(0), most: timedelta = MAX_TIME
) -> timedelta:
    """Between both. A duration of the contract can be longer than any that Python has."""
    us = duration.seconds * 1_000_000 + duration.nanos // 1000
    if not abs(duration.nanos) < 10**9 or duration.seconds * duration.nanos < 0:
        raise InvalidArgument.of(path, "must be seconds and a part of one, of the same sign")
    if not least <= timedelta(microseconds=min(max(us, -1), 2**53)) <= most:
        raise InvalidArgument.of(path, f"must be {_seconds(least)} to {_seconds(most)} seconds")
    return timedelta(microseconds=us)


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())

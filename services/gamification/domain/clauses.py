"""Whether a requirement is met, by what its metrics came to.

Members of an ALL with the same window form one clause, which has to hold within one period; of an ANY each
member is a clause by itself. A clause that held once stays met, so a requirement is met when each of its
clauses held at any time, and the order in which observations come changes nothing.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.chassis.calendar import Calendar
from services.gamification.domain.definitions import AllOf, AnyOf, Completed, Condition, Operator
from services.gamification.domain.scope import Scope, Touched, standing
from services.gamification.domain.window import EPOCH, Sliding, Window

_MAX_COMPILED = 10_000
_compiled: dict[int, "Compiled"] = {}


@dataclass(frozen=True, slots=True)
class Clause:
    """`closing`: it says something only of a period that is over, or at a checkpoint."""

    window: Window
    conditions: tuple[Condition, ...]
    closing: bool
    metrics: tuple[str, ...]


class Due(NamedTuple):
    """A period at whose end clauses are looked at. `window`: its key."""

    window: str
    starts_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class _Group:
    """All or any of them: clauses by number."""

    every: bool
    clauses: tuple[int, ...]
    groups: tuple["_Group", ...]
    completed: tuple[Completed, ...]


class Compiled:
    """A requirement, made ready to be looked at often.

    `clauses` have numbers, their positions; `windows`: that each metric counts in. Wherever it is looked at,
    `met` holds the numbers of clauses that held before.
    """

    def __init__(self, requirement: AllOf) -> None:
        self.requirement = requirement
        clauses: list[Clause] = []
        self._root = _group(requirement, clauses)
        self.clauses = tuple(clauses)
        windows: dict[str, dict[Window, None]] = defaultdict(dict)
        self._open: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._closing: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, clause in enumerate(clauses):
            for metric in clause.metrics:
                windows[metric][clause.window] = None
                by_touch = self._closing if clause.closing else self._open
                by_touch[metric, clause.window.key].append(number)
        self.windows: Mapping[str, tuple[Window, ...]] = {each: tuple(of) for each, of in windows.items()}

    def look(
        self, scope: Scope, met: Container[int], touched: Iterable[Touched] | None, now: datetime
    ) -> dict[int, datetime]:
        """Clauses that newly hold: when the last of what made them hold had happened.

        `touched`: by an observation; clauses that close are left alone. None: a checkpoint, of all clauses as
        their windows stand now.
        """
        newly: dict[int, datetime] = {}
        if touched is None:
            for number, clause in enumerate(self.clauses):
                if number not in met and _held(clause, scope, standing(clause.window, now)) is not None:
                    newly[number] = now
            return newly
        for metric, _, key, starts_at in touched:
            for number in self._open.get((metric, key), ()):
                if number not in met and number not in newly:
                    at = _held_by(self.clauses[number], scope, starts_at, now)
                    if at is not None:
                        newly[number] = at
        return newly

    def closings(self, scope: Scope, met: Container[int], touched: Iterable[Touched]) -> set[Due]:
        """Periods at whose end `close` has something to look at, since something happened in them."""
        due = set()
        for metric, window, key, starts_at in touched:
            for number in self._closing.get((metric, key), ()):
                if number not in met and isinstance(window, Calendar):
                    due.add(Due(key, starts_at, _closes_at(self.clauses[number], scope, window, starts_at)))
        return due

    def close(
        self, scope: Scope, met: Container[int], window: str, starts_at: datetime, now: datetime
    ) -> dict[int, datetime]:
        """Clauses that newly hold since the period ended: when it did. Those that are not due yet are left
        alone, and those of whose metrics nothing happened in it. `window`: its key."""
        newly: dict[int, datetime] = {}
        for number, clause in enumerate(self.clauses):
            calendar = clause.window
            if number in met or not clause.closing or calendar.key != window:
                continue
            if not isinstance(calendar, Calendar) or _closes_at(clause, scope, calendar, starts_at) > now:
                continue
            happened = any(scope.read(metric, calendar, starts_at).found for metric in clause.metrics)
            if happened and _held(clause, scope, starts_at) is not None:
                newly[number] = calendar.period(starts_at).end
        return newly

    def holds(self, met: Container[int], completed: Container[Completed] = ()) -> bool:
        """`completed`: what was completed before."""
        return _holds(self._root, met, completed)

    def progress(
        self, scope: Scope, met: Container[int], at: datetime, completed: Container[Completed] = ()
    ) -> int:
        """Percent, rounded down: 100 only when it holds. Of clauses that are not met, as their windows stand
        at that time."""
        if self.holds(met, completed):
            return 100

        def part_of_clause(number: int) -> tuple[int, int]:
            clause = self.clauses[number]
            if number in met:
                return 1, 1
            if clause.closing:
                return 0, 1
            starts_at = standing(clause.window, at)
            return _mean([_reached(each, scope, starts_at) for each in clause.conditions])

        reached, whole = _progress(self._root, part_of_clause, completed)
        return min(99, 100 * reached // whole)

    def values(self, scope: Scope, at: datetime) -> dict[str, int]:
        """What its metrics stand at, in the windows of that time, by metric. Of a metric in several windows,
        the second and further ones by `<metric>@<key of the window>`."""
        values: dict[str, int] = {}
        for metric, windows in self.windows.items():
            for position, window in enumerate(windows):
                value = scope.read(metric, window, standing(window, at)).value
                if value is not None:
                    values[f"{metric}@{window.key}" if position else metric] = value
        return values


def compiled(requirement: AllOf) -> Compiled:
    """Once for each. By identity: to hash a requirement takes longer than to look at it."""
    known = _compiled.get(id(requirement))
    if known is None or known.requirement is not requirement:
        if len(_compiled) >= _MAX_COMPILED:
            _compiled.clear()
        known = _compiled[id(requirement)] = Compiled(requirement)
    return known


# -- the requirement as a tree ------------------------------------------------------------------------


def _group(requirement: AllOf | AnyOf, clauses: list[Clause]) -> _Group:
    conditions = [member for member in requirement.members if isinstance(member, Condition)]
    first = len(clauses)
    if isinstance(requirement, AllOf):
        by_window: dict[Window, list[Condition]] = defaultdict(list)
        for condition in conditions:
            by_window[condition.window].append(condition)
        clauses.extend(_clause(together) for together in by_window.values())
    else:
        clauses.extend(_clause([condition]) for condition in conditions)
    own = tuple(range(first, len(clauses)))
    groups = [_group(member, clauses) for member in requirement.members if isinstance(member, AllOf | AnyOf)]
    completed = tuple(member for member in requirement.members if isinstance(member, Completed))
    return _Group(isinstance(requirement, AllOf), own, tuple(groups), completed)


def _clause(conditions: Sequence[Condition]) -> Clause:
    return Clause(
        window=conditions[0].window,
        conditions=tuple(conditions),
        closing=any(condition.closing for condition in conditions),
        metrics=tuple(dict.fromkeys(condition.metric for condition in conditions)),
    )


def _holds(group: _Group, met: Container[int], completed: Container[Completed]) -> bool:
    # The first that is not as the group wants it decides: most are one clause that does not hold yet.
    every = group.every
    for number in group.clauses:
        if (number in met) is not every:
            return not every
    for one in group.completed:
        if (one in completed) is not every:
            return not every
    for inner in group.groups:
        if _holds(inner, met, completed) is not every:
            return not every
    return every


# -- whether a clause holds ---------------------------------------------------------------------------


def _closes_at(clause: Clause, scope: Scope, window: Calendar, starts_at: datetime) -> datetime:
    """From when on nothing more counts in the period, whatever the metric."""
    lateness = max(scope.metrics[metric].allowed_lateness for metric in clause.metrics)
    return window.period(starts_at).end + lateness


def _held_by(clause: Clause, scope: Scope, starts_at: datetime, now: datetime) -> datetime | None:
    """As _held, of what was touched: in any sliding window that has the part in it and is not over.

    A window whose last part is empty has nothing that the one before it does not have. So only windows that
    end in the part itself, or in a later one with something in it, are looked at; and the first that is not
    over, since those that end before it are.
    """
    window = clause.window
    if not isinstance(window, Sliding):
        return _held(clause, scope, starts_at)
    lateness = min(scope.metrics[metric].allowed_lateness for metric in clause.metrics)
    first = max(starts_at, window.part(now - lateness))
    last = starts_at + window.length - window.span
    if first > last:
        return None
    ends = {first}
    for metric in clause.metrics:
        parts = scope.parts(metric, window)
        ends.update(parts[bisect_left(parts, first) : bisect_right(parts, last)])
    for end in sorted(ends):
        at = _held(clause, scope, end)
        if at is not None:
            return at
    return None


def _held(clause: Clause, scope: Scope, starts_at: datetime) -> datetime | None:
    """When the last of what is in the window had happened, if the clause holds in it."""
    latest = EPOCH
    for condition in clause.conditions:
        found, value = scope.read(condition.metric, clause.window, starts_at)
        if value is None or not _compare(condition.operator, value, condition.threshold):
            return None
        for accumulator in found:
            latest = max(latest, accumulator.last_at)
    return latest


def _compare(operator: Operator, value: int, threshold: int) -> bool:
    if operator is Operator.GTE:
        return value >= threshold
    if operator is Operator.GT:
        return value > threshold
    if operator is Operator.LT:
        return value < threshold
    if operator is Operator.LTE:
        return value <= threshold
    return value == threshold


# -- how far it is, as fractions ----------------------------------------------------------------------


def _progress(
    group: _Group, part_of_clause: Callable[[int], tuple[int, int]], completed: Container[Completed]
) -> tuple[int, int]:
    parts = [part_of_clause(number) for number in group.clauses]
    if group.completed or group.groups:
        parts += [(int(one in completed), 1) for one in group.completed]
        parts += [_progress(inner, part_of_clause, completed) for inner in group.groups]
    if group.every:
        return _mean(parts)
    best = (0, 1)
    for part in parts:
        if part[0] * best[1] > best[0] * part[1]:
            best = part
    return best


def _reached(condition: Condition, scope: Scope, starts_at: datetime) -> tuple[int, int]:
    value = scope.read(condition.metric, condition.window, starts_at).value
    if value is None:
        return 0, 1
    if condition.operator not in (Operator.GT, Operator.GTE):
        return int(_compare(condition.operator, value, condition.threshold)), 1
    goal = condition.threshold + (condition.operator is Operator.GT)
    if value >= goal:
        return 1, 1
    return (max(value, 0), goal) if goal > 0 else (0, 1)


def _mean(parts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of none: all of it."""
    if not parts:
        return 1, 1
    if len(parts) == 1:
        return parts[0]
    over, under = parts[0]
    for more, of in parts[1:]:
        over, under = over * of + more * under, under * of
    return over, under * len(parts)

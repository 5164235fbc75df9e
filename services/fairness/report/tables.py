"""Events of a player as columns: what a real event says in its fields, one row each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.fairness.domain.detector import Bound, Detector, Ratio, Signal
from services.fairness.translate_in import MOST

Whole = NDArray[np.int64]
Column = Whole | NDArray[np.str_]
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Table:
    """Events of one type. `at`: microseconds since the day began; before it, less than 0. A row that is told
    in an element of a list, such as a result of a match, has the fields of both."""

    event: str
    at: Whole
    fields: Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Stream:
    """What a player's tables say to a detector, in the order of time; `groups` only to an outlier."""

    at: Whole
    value: Whole
    of: Whole
    groups: NDArray[np.str_] | None = None


def stream(detector: Detector, tables: Sequence[Table]) -> Stream:
    """As `Signals` reads the events themselves."""
    parts = [_part(detector, signal, table) for signal in detector.signals for table in _of(tables, signal)]
    if not parts:
        nothing = np.empty(0, np.int64)
        return Stream(nothing, nothing, nothing)
    order = np.argsort(np.concatenate([part.at for part in parts]), kind="stable")
    groups = [part.groups for part in parts if part.groups is not None]
    return Stream(
        np.concatenate([part.at for part in parts])[order],
        np.concatenate([part.value for part in parts])[order],
        np.concatenate([part.of for part in parts])[order],
        np.concatenate(groups)[order] if groups else None,
    )


def _of(tables: Iterable[Table], signal: Signal) -> list[Table]:
    return [table for table in tables if table.event == signal.event]


def _part(detector: Detector, signal: Signal, table: Table) -> Stream:
    n = len(table.at)
    value = _numbers(table, signal.value) if signal.value else np.ones(n, np.int64)
    of = _numbers(table, signal.of) if signal.of else np.zeros(n, np.int64)
    says = np.ones(n, np.bool_)
    for wanted in signal.filters:
        says &= np.isin(table.fields[wanted.field], list(wanted.values))
    match detector.rule:
        case Bound():
            says &= value > 0
        case Ratio():
            says &= of > 0
            value = np.minimum(value, of)
    groups = None
    if signal.peers:
        (name,) = signal.peers
        groups = np.array([f'["{group}"]' for group in table.fields[name]], np.str_)[says]
    return Stream(table.at[says], value[says], of[says], groups)


def _numbers(table: Table, name: str) -> Whole:
    return np.minimum(table.fields[name].astype(np.int64), MOST)

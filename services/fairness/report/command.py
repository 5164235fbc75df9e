"""Simulates a day, looks at it, and shows what was found."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence

from services.chassis import clock
from services.fairness.detectors import read
from services.fairness.report.figures import Figures, Found, figures, found
from services.fairness.report.people import people
from services.fairness.report.watch import watch
from services.fairness.settings import FairnessSettings
from services.fairness.translate_in import to_detector

_EVERY_S = 1.0
"""Between two lines of progress."""


def show(
    settings: FairnessSettings, *, players: int, seed: int, cheats: int, prevalence: float, json: bool
) -> None:
    """`prevalence`: in per cent. `json`: for programs."""
    detectors = [to_detector(message, 1) for message in read(settings.data_dir)]
    progress = _Progress(players)
    watched = watch(detectors, people(players, seed, cheats), progress.told)
    progress.over()
    rows, kinds = figures(detectors, watched, prevalence / 100), found(detectors, watched)
    print(_document(rows, kinds) if json else _text(rows, kinds, watched.honest, prevalence))


class _Progress:
    """On the standard error output."""

    def __init__(self, players: int) -> None:
        self._players = players
        self._told_s = self._began_s = clock.monotonic_s()

    def told(self, players: int) -> None:
        if (now := clock.monotonic_s()) - self._told_s >= _EVERY_S:
            self._told_s = now
            self._show(f"{players:,} of {self._players:,} players", end="")

    def over(self) -> None:
        self._show(f"{self._players:,} players in {clock.monotonic_s() - self._began_s:.0f} s", end="\n")

    def _show(self, line: str, *, end: str) -> None:
        print(f"\r{line}", end=end, file=sys.stderr, flush=True)


def _document(rows: Sequence[Figures], kinds: Sequence[Found]) -> str:
    detectors = [
        dataclasses.asdict(row)
        | {
            "flags": row.flags,
            "precision": row.precision,
            "recall": row.recall,
            "within_budget": row.within_budget,
        }
        for row in rows
    ]
    return json.dumps({"detectors": detectors, "kinds": [dataclasses.asdict(kind) for kind in kinds]})


# -- text ---------------------------------------------------------------------------------------------


def _text(rows: Sequence[Figures], kinds: Sequence[Found], honest: int, prevalence: float) -> str:
    table = [
        (
            "detector", "mode", "players", "inputs", "flags", "true", "false", "precision", "recall",
            "budget a day", "found after", f"precision at {prevalence:g} %", "replayed",
        )
    ]  # fmt: skip
    table += [
        (
            row.detector,
            row.mode,
            f"{row.players:,}",
            f"{row.inputs:,}",
            str(row.flags),
            str(row.true),
            str(row.false),
            _percent(row.precision),
            _percent(row.recall),
            f"{row.budget_milli / 1000:g}, {'within' if row.within_budget else 'over'}",
            _time(row.found_after_s),
            _percent(row.expected_precision),
            f"{row.replayed} of {row.flags}",
        )
        for row in rows
    ]
    cheats = [("cheats", "planted", "followed up", "found")]
    cheats += [(each.kind, str(each.planted), str(each.followed), str(each.found)) for each in kinds]
    title = (
        f"A simulated day of {honest:,} honest players and {sum(each.planted for each in kinds):,} cheats."
    )
    return "\n".join([title, "", *_aligned(table), "", *_aligned(cheats)])


def _aligned(table: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        first, *others = zip(row, widths, strict=True)
        yield "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

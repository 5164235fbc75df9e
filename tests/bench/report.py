"""What a bench says: rows for programs, a table and a picture for people."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TypedDict

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

# Beyond this ratio a linear bar says nothing of the small ones.
FAR_APART = 100


class Row(TypedDict):
    """One figure. Rows of one `metric` are comparable with each other."""

    case: str
    metric: str
    value: float
    unit: str


class Machine(TypedDict):
    cpu: str
    cores: int
    system: str
    python: str


class Report(TypedDict):
    name: str
    machine: Machine
    rows: list[Row]


def machine() -> Machine:
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    return Machine(
        cpu=cpu,
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def show_table(report: Report, console: Console) -> None:
    table = Table(title=f"bench {report['name']}", title_justify="left")
    table.add_column("case")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for row in report["rows"]:
        table.add_row(row["case"], row["metric"], shown(row["value"]), row["unit"])
    console.print(table)
    _show_machine(report, console)


def show_grid(report: Report, console: Console) -> None:
    """For many cases of the same few metrics: a line a case, a column a metric."""
    metrics = {row["metric"]: row["unit"] for row in report["rows"]}
    found = {(row["case"], row["metric"]): shown(row["value"]) for row in report["rows"]}
    table = Table(title=f"bench {report['name']}", title_justify="left")
    table.add_column("case")
    for metric, unit in metrics.items():
        table.add_column(f"{metric}, {unit}", justify="right")
    for case in dict.fromkeys(row["case"] for row in report["rows"]):
        table.add_row(case, *(found.get((case, metric), "") for metric in metrics))
    console.print(table)
    _show_machine(report, console)


def _show_machine(report: Report, console: Console) -> None:
    console.print("{cpu}, {cores} cores, {system}, Python {python}".format(**report["machine"]))


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def plot(report: Report, file: Path) -> None:
    """One panel for each metric, one bar for each case; logarithmic where the cases are far apart."""
    metrics = list(dict.fromkeys(row["metric"] for row in report["rows"]))
    groups = [[row for row in report["rows"] if row["metric"] == metric] for metric in metrics]
    heights = [0.9 + 0.26 * len(rows) for rows in groups]
    figure = Figure(figsize=(9, 0.6 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(metrics), 1, squeeze=False, height_ratios=heights)
    for axis, metric, rows in zip(axes[:, 0], metrics, groups, strict=True):
        values = [row["value"] for row in rows]
        bars = axis.barh([row["case"] for row in rows], values)
        axis.bar_label(bars, [f" {shown(value)}" for value in values])
        if min(values) > 0 and max(values) > FAR_APART * min(values):
            axis.set_xscale("log")
        axis.set_title(f"{metric} ({rows[0]['unit']})", loc="left")
        axis.invert_yaxis()
        axis.margins(x=0.15)
    figure.suptitle(f"{report['name']} — {report['machine']['cpu']}")
    figure.savefig(file, dpi=120)

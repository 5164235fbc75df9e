"""What a bench says: rows for programs, a table and a picture for people."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TypedDict

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table


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
    console.print("{cpu}, {cores} cores, {system}, Python {python}".format(**report["machine"]))


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def plot(report: Report, file: Path) -> None:
    """One panel for each metric, one bar for each case."""
    metrics = list(dict.fromkeys(row["metric"] for row in report["rows"]))
    figure = Figure(figsize=(9, 1 + 2.6 * len(metrics)))
    axes = figure.subplots(len(metrics), 1, squeeze=False)
    for axis, metric in zip(axes[:, 0], metrics, strict=True):
        rows = [row for row in report["rows"] if row["metric"] == metric]
        bars = axis.barh([row["case"] for row in rows], [row["value"] for row in rows])
        axis.bar_label(bars, [f" {shown(row['value'])}" for row in rows])
        axis.set_title(f"{metric} ({rows[0]['unit']})", loc="left")
        axis.invert_yaxis()
        axis.margins(x=0.15)
    figure.suptitle(f"{report['name']} — {report['machine']['cpu']}")
    figure.tight_layout()
    figure.savefig(file, dpi=120)

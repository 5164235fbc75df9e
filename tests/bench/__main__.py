"""`scripts/bench NAME`: runs one bench, prints its table."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from rich.console import Console

from tests.bench.report import Report, machine, plot, show_grid, show_table

OWN_MODULES = {
    "__init__", "__main__", "callers", "http1", "http2", "load", "report", "routes", "subscribers", "unary",
}  # fmt: skip
_WIDTH = 200


def main() -> None:
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in OWN_MODULES)
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures one part of the mesh against something measured in the same run. "
        "Absolute figures depend on the machine; the ratios are what to compare.",
        epilog="Examples: scripts/bench core; scripts/bench play --json; scripts/bench play --plot p.png",
    )
    parser.add_argument("name", choices=names)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture too (.png, .svg, .pdf)")
    arguments = parser.parse_args()

    bench = importlib.import_module(f"tests.bench.{arguments.name}")
    report = Report(name=arguments.name, machine=machine(), rows=bench.run())
    if arguments.json:
        json.dump(report, sys.stdout)
        print()
    else:
        show = show_grid if getattr(bench, "WIDE", False) else show_table
        # Into a file or a pipe goes all of it, however wide.
        show(report, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if arguments.plot:
        plot(report, arguments.plot)


if __name__ == "__main__":
    main()

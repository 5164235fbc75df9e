"""Curves on the command line, for those who design them. Behind scripts/curve."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from services.progression.domain.curve import Curve, load_curves, read_curve

CURVES = Path(__file__).parent / "data" / "curves"
ROWS = 100
"""Shown when nobody said how far."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/curve",
        description="Shows the levels of a curve in exact integers: each with its cost, which is from it to\n"
        "the next one, and its total, which is all experience that reaches it. Without a curve: which\n"
        "there are.",
        epilog="examples:\n"
        "  scripts/curve                                  the curves of services/progression/data/curves\n"
        "  scripts/curve base-1                           all of its levels\n"
        "  scripts/curve paragon-1 --to 50                levels 0 to 50 of one without end\n"
        "  scripts/curve paragon-1 --from 1000 --to 100000 --step 1000\n"
        "  scripts/curve runescape-1 --level-of 13034430  98, and how far to 99\n"
        "  scripts/curve ./mine.json --to 200 --plot mine.svg\n"
        "  scripts/curve ./mine.json --to 200 --json > levels.ndjson\n\n"
        "A file of your own says its kind and numbers; services/progression/data/curves/README.md teaches\n"
        "the five kinds. What is wrong with it is told with field and rule, exit code 1.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("curve", nargs="?", metavar="NAME|FILE", help="such as paragon-1 or ./mine.json")
    parser.add_argument("--from", dest="first", type=whole, metavar="M", help="default: the first level")
    parser.add_argument(
        "--to", dest="last", type=whole, metavar="N", help=f"default: the last level, {ROWS} rows at most"
    )
    parser.add_argument("--step", type=positive, default=1, metavar="K", help="only every K-th level")
    parser.add_argument("--level-of", type=whole, metavar="EXPERIENCE", help="the level that it reaches")
    parser.add_argument("--json", action="store_true", help="one JSON object a line; amounts as strings")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draws a picture too: .png, .svg or .pdf")
    return parser


def whole(text: str) -> int:
    """`1000000`, `1_000_000` or `1,000,000`."""
    try:
        number = int(text.replace(",", ""))
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return number


def positive(text: str) -> int:
    if (number := whole(text)) == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def found(name: str) -> Curve:
    """A curve of ours by its name, or that of a file. Raises ValueError, OSError."""
    if name.endswith(".json") or os.sep in name:
        return read_curve(Path(name))
    curves = load_curves(CURVES)
    if name not in curves:
        raise ValueError(
            f"there is no curve {name!r}: it is one of {', '.join(curves)}, or a file: ./mine.json"
        )
    return curves[name]


def cost(curve: Curve, level: int) -> int | None:
    """None: it is the last level."""
    return None if level == curve.last_level else curve.total(level + 1) - curve.total(level)


def show_list(as_json: bool) -> None:
    rows = [("CURVE", "KIND", "LEVELS", "WHAT IT IS")]
    for name, curve in load_curves(CURVES).items():
        document = json.loads((CURVES / f"{name}.json").read_text(encoding="utf-8"))
        kind, about = document["kind"], document.get("about", "")
        if as_json:
            levels = {"first_level": curve.first_level, "last_level": curve.last_level}
            _say(json.dumps({"curve": name, "kind": kind, **levels, "about": about}))
        last = "" if curve.last_level is None else curve.last_level
        rows.append((name, kind, f"{curve.first_level}..{last}", about))
    if not as_json:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_level_of(curve: Curve, experience: int, as_json: bool) -> None:
    level = curve.level(experience)
    inside, whole_level = experience - curve.total(level), cost(curve, level)
    if as_json:
        row = {"experience": str(experience), "level": level, "in_level": str(inside)}
        _say(json.dumps(row | {"of_level": None if whole_level is None else str(whole_level)}))
    elif whole_level is None:
        _say(f"level {level}, the last one, and {inside:,} beyond it")
    else:
        _say(f"level {level}, and {inside:,} of the {whole_level:,} to level {level + 1}")


def show_levels(curve: Curve, levels: range, as_json: bool) -> None:
    if as_json:
        for level in levels:
            price = cost(curve, level)
            row = {"level": level, "cost": None if price is None else str(price)}
            _say(json.dumps(row | {"total": str(curve.total(level))}))
        return
    last = _cells(curve, levels[-1])
    # Nothing in the rows before the last is wider than its total, or its cost.
    wide = (max(len(last[0]), 5), *[max(len(last[1]), len(last[2]), 5)] * 2)
    for cells in chain([("LEVEL", "COST", "TOTAL")], (_cells(curve, level) for level in levels)):
        _say("  ".join(cell.rjust(width) for cell, width in zip(cells, wide, strict=True)))


def _cells(curve: Curve, level: int) -> tuple[str, str, str]:
    price = cost(curve, level)
    return str(level), "-" if price is None else f"{price:,}", f"{curve.total(level):,}"


def chosen(curve: Curve, options: argparse.Namespace) -> range:
    """The levels asked for. Raises ValueError."""
    first = curve.first_level if options.first is None else options.first
    last = options.last
    if last is None:
        last = first + (ROWS - 1) * options.step
        last = last if curve.last_level is None else min(last, curve.last_level)
    for level in (first, last):
        curve.total(level)
    if first > last:
        raise ValueError(f"--from {first} is after --to {last}")
    return range(first, last + 1, options.step)


def draw(curve: Curve, levels: range, file: Path) -> None:
    """Raises ValueError: it cannot be drawn."""
    try:
        from services.progression.curves_plot import plot  # noqa: PLC0415 - a server goes without matplotlib
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise ValueError(
            '--plot needs matplotlib: pip install matplotlib, or pip install -e ".[dev]"'
        ) from error
    plot(curve, levels[0], levels[-1], file)


def show(options: argparse.Namespace) -> None:
    if options.curve is None:
        show_list(options.json)
        return
    curve = found(options.curve)
    if options.level_of is not None:
        show_level_of(curve, options.level_of, options.json)
        return
    levels = chosen(curve, options)
    show_levels(curve, levels, options.json)
    if options.plot is not None:
        draw(curve, levels, options.plot)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def run(given: Iterable[str] | None = None) -> int:
    options = arguments().parse_args(None if given is None else list(given))
    try:
        show(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has had enough, as `head` does; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())

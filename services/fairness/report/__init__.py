"""`report`: a simulated day of people, some of whom cheat, and how well the detectors find them.

What makes it needs numpy, which is where detectors are made and not where they run: it is imported when it
is asked for.
"""

import argparse
from typing import Any

from services.fairness.settings import FairnessSettings


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--players", type=int, default=10_000, help="how many; default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=1, help="of everything that is drawn; default: %(default)s"
    )
    parser.add_argument(
        "--cheats",
        type=int,
        default=5,
        metavar="N",
        help="of a thousand players, how many cheat in each of six ways; default: %(default)s",
    )
    parser.add_argument(
        "--prevalence",
        type=float,
        default=1.0,
        metavar="PERCENT",
        help="of all players that are assumed to cheat in one way, for the precision to expect; default:"
        " %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


async def report(settings: FairnessSettings, **told: Any) -> None:
    """Says how well the detectors of DATA_DIR find simulated cheats, and whom they flag wrongly."""
    try:
        from services.fairness.report.command import show  # noqa: PLC0415 - a server goes without numpy
    except ModuleNotFoundError as error:
        raise RuntimeError(f"the report needs {error.name}, as tests do") from error
    show(settings, **told)

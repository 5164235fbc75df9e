"""`scripts/chaos`: a mesh of its own, load, faults, and the verdict."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.chaos import match
from tests.chaos.cluster import running
from tests.chaos.nemesis import KINDS
from tests.chaos.report import summary, table
from tests.chaos.run import Plan, run


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Starts a whole mesh on free ports with data of its own, plays several sessions on it "
        "through the edge, and meanwhile kills, stops and drains its parts. Afterwards compares what the "
        "clients were told with what the database holds, re-simulates every session and counts its "
        "statistics again. Ends with 1 when anything acknowledged was lost, happened twice, forked or got "
        "stuck, or when there was too little load for the run to prove anything.",
        epilog="Examples: scripts/chaos --minutes 5; scripts/chaos --minutes 1 --faults worker-kill,"
        "worker-drain --seed 7; scripts/chaos --match 5",
    )
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="of faults (default 1)")
    parser.add_argument(
        "--seed", type=int, metavar="S", help="of faults and load; default: a new one, printed"
    )
    parser.add_argument("--faults", type=_kinds, default=KINDS, metavar="KIND,...", help=", ".join(KINDS))
    parser.add_argument(
        "--match",
        type=float,
        metavar="N",
        help="instead: one match of bots of so many minutes, its worker killed half way; then it is "
        "re-simulated and counted",
    )
    parser.add_argument("--bots", type=int, default=32, metavar="N", help="of that match (default 32)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="combat workers (default 2)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep history, logs and data here")
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    arguments = parser.parse_args()
    if arguments.keep and arguments.keep.exists() and any(arguments.keep.iterdir()):
        parser.error(f"--keep {arguments.keep}: the folder is not empty")
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", file=sys.stderr)
    if arguments.match:
        return asyncio.run(_match(arguments, seed))
    plan = Plan(
        minutes=arguments.minutes,
        seed=seed,
        kinds=arguments.faults,
        workers=arguments.workers,
        keep=arguments.keep.resolve() if arguments.keep else None,
        progress=sys.stderr.isatty(),
    )
    result = summary(asyncio.run(run(plan)))
    print("\r" + json.dumps(result) if arguments.json else f"\n{table(result)}")
    return 1 if result["findings"] else 0


async def _match(arguments: argparse.Namespace, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="arenamesh-chaos-") as scratch:
        async with running(arguments.keep or Path(scratch), arguments.workers) as cluster:
            seconds = arguments.match * 60
            played = await match.play(cluster, seconds=seconds, bots=arguments.bots, seed=seed)
    print(json.dumps(asdict(played)) if arguments.json else match.sentences(played))
    return 0 if played.findings.good else 1


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(sorted(unknown))}")
    return kinds


if __name__ == "__main__":
    sys.exit(main())

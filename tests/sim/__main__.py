"""`scripts/sim`: many seeds, or one to be read."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from tests.sim.runner import Summary, run_slice
from tests.sim.world import simulate

_SLICE = 50  # seeds that a process takes at a time


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/sim",
        description="Plays combat sessions on a virtual clock: the real committer, matches, streams, "
        "ownership and recovery with the native arena, against a model of PostgreSQL and with simulated "
        "clients, while workers crash, hang, drain and come back and the database loses, delays and refuses "
        "requests. Then it checks that nothing acknowledged is lost, doubled or told too early, that each "
        "journal is one gapless sequence that verifies, and that no session is stuck. A seed always does the "
        "same. Ends with 1 when one fails.",
        epilog="Examples: scripts/sim; scripts/sim --seeds 1000000; scripts/sim --seconds 600 --from 50000; "
        "scripts/sim --trace 220 | less (tests/sim/README.md tells how to read it)",
    )
    parser.add_argument("--seeds", type=int, default=10_000, metavar="N", help="how many; default: 10,000")
    parser.add_argument("--from", type=int, default=0, metavar="SEED", dest="begin", help="default: 0")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so much real time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J", help="processes")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")
    parser.add_argument("--trace", type=int, metavar="SEED", help="play this seed only and print all of it")
    arguments = parser.parse_args()
    if arguments.trace is not None:
        return trace(arguments.trace)
    begin_s = time.monotonic()
    total = Summary()
    try:
        for part in parts(arguments.begin, arguments.seeds, arguments.jobs):
            total.merge(part)
            elapsed = time.monotonic() - begin_s
            progress(total, elapsed)
            if arguments.seconds is not None and elapsed > arguments.seconds:
                break
    except KeyboardInterrupt:
        print(file=sys.stderr)
    report(total, time.monotonic() - begin_s, as_json=arguments.json)
    return 1 if total.failed else 0


def parts(begin: int, count: int, jobs: int) -> Iterator[Summary]:
    """The seeds in slices, as they are done."""
    slices = [(at, min(at + _SLICE, begin + count)) for at in range(begin, begin + count, _SLICE)]
    if jobs <= 1:
        yield from map(run_slice, slices)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_slice, slices)


def progress(total: Summary, elapsed: float) -> None:
    line = f"{total.line()}, {total.seeds / elapsed:.0f} seeds/s"
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif total.seeds % 5000 < _SLICE:
        print(line, file=sys.stderr, flush=True)


def report(total: Summary, elapsed: float, *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {
                    "seeds": total.seeds,
                    "seconds": round(elapsed, 1),
                    "simulated_seconds": round(total.seconds, 1),
                    "commands": total.commands,
                    "acknowledged": total.acknowledged,
                    "records": total.records,
                    "takeovers": total.takeovers,
                    "faults": dict(sorted(total.faults.items())),
                    "failed": {str(seed): wrong for seed, wrong in sorted(total.failed.items())},
                }
            )
        )
        return
    print(f"\r{total.line()}, in {elapsed:.0f} s")
    print("  " + ", ".join(f"{count:,} {kind}" for kind, count in total.faults.most_common()))
    for seed, violations in sorted(total.failed.items())[:10]:
        print(f"\nseed {seed}: scripts/sim --trace {seed}")
        for violation in violations[:5]:
            print(f"  {violation}")


def trace(seed: int) -> int:
    result = simulate(seed, trace=True)
    print("\n".join(result.trace))
    for violation in result.violations:
        print(f"VIOLATION {violation}")
    print(
        f"seed {seed}: {result.seconds:.1f} s simulated, {sum(result.faults.values())} faults, "
        f"{result.acknowledged} commands acknowledged, {len(result.violations)} violations"
    )
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())

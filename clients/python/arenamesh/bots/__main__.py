"""python -m arenamesh.bots: fills a match with bots."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from arenamesh.bots.cheat import Cheat
from arenamesh.bots.credentials import asked_at, signed_with
from arenamesh.bots.fleet import Fleet, Plan
from arenamesh.bots.tally import Tally, show
from arenamesh.client import MeshError

_REPORT_S = 2.0
_REPORT_TO_FILE_S = 15.0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m arenamesh.bots", description="Fills a match with bots.")
    parser.add_argument("--edge", default="localhost:8080", metavar="HOST:PORT", help="default: %(default)s")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--session", default="", metavar="ID", help="join this session")
    where.add_argument("--create", action="store_true", help="create a session (the default)")
    parser.add_argument("--map", default="yard", help="of a created session; default: %(default)s")
    parser.add_argument("--mode", default="deathmatch", help="of a created session; default: %(default)s")
    parser.add_argument("--bots", type=int, default=12, help="how many; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of everything a bot draws; default: %(default)s")
    parser.add_argument("--hz", type=float, default=20.0, help="moves a second; default: %(default)s")
    parser.add_argument(
        "--cheat",
        action="append",
        type=Cheat,
        default=[],
        metavar="aim|speed",
        help="the first bot cheats in this way, given again the second one; to see it flagged",
    )
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--seconds", type=float, metavar="N", help="stop then")
    until.add_argument("--matches", type=int, default=0, metavar="N", help="stop after so many")
    until.add_argument("--forever", action="store_true", help="match after match until stopped (the default)")
    identity = parser.add_mutually_exclusive_group()
    identity.add_argument(
        "--secret",
        default=os.environ.get("JWT_SECRET"),
        help="sign tokens with the mesh's HS256 secret; default: the environment's JWT_SECRET",
    )
    identity.add_argument(
        "--token-url",
        metavar="URL",
        help="ask for tokens there; default without a secret: http://EDGE/dev/token",
    )
    parser.add_argument("--one-stream", action="store_true", help="all bots on one game server's stream")
    parser.add_argument("--map-file", type=Path, metavar="FILE", help="instead of asking the edge")
    parser.add_argument("--ruleset-file", type=Path, metavar="FILE", help="instead of asking the edge")
    parser.add_argument("--json", action="store_true", help="figures as JSON lines on stdout")
    return parser


async def play(options: argparse.Namespace) -> int:
    if len(options.cheat) > options.bots:
        show("there are fewer bots than cheats")
        return 2
    tally = Tally()
    plan = Plan(
        edge=options.edge,
        bots=options.bots,
        seed=options.seed,
        map_id=options.map,
        mode=options.mode,
        session_id=options.session,
        matches=options.matches,
        one_stream=options.one_stream,
        moves_hz=options.hz,
        cheats=tuple(options.cheat),
        map_file=options.map_file,
        ruleset_file=options.ruleset_file,
    )
    tokens = (
        signed_with(options.secret)
        if options.secret and not options.token_url
        else asked_at(options.token_url or f"http://{options.edge}/dev/token")
    )
    fleet = asyncio.create_task(Fleet(plan, tokens, tally).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, fleet.cancel)
    reporter = asyncio.create_task(report(tally, options.json))
    status = 0
    try:
        async with asyncio.timeout(options.seconds) as limit:
            await fleet
    except (MeshError, OSError) as error:
        if not limit.expired():
            show(f"stopped: {error}")
            status = 1
    except asyncio.CancelledError:
        pass
    reporter.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reporter
    show(tally.line())
    if options.json:
        print(json.dumps(tally.figures()), flush=True)
    return status


async def report(tally: Tally, as_json: bool) -> None:
    interval = _REPORT_S if sys.stderr.isatty() else _REPORT_TO_FILE_S
    while True:
        await asyncio.sleep(interval)
        show(tally.line(), passing=True)
        if as_json:
            print(json.dumps(tally.figures()), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(play(arguments().parse_args())))

"""python -m arenamesh.replay: matches of the past on the command line."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from arenamesh.bots.credentials import asked_at, get
from arenamesh.client import Combat, Mesh, MeshError, connect
from arenamesh.combat.v1 import session_pb2, verdict_pb2
from arenamesh.replay.story import clock, story

FINISHED = (session_pb2.SESSION_STATUS_ENDED, session_pb2.SESSION_STATUS_ABORTED)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/replay",
        description="Lists, shows, verifies and exports matches of a running mesh.",
        epilog="examples:\n"
        "  scripts/replay list                        the newest matches\n"
        "  scripts/replay show SESSION                who came, hit and killed whom\n"
        "  scripts/replay show SESSION --player ada   why her shots counted, or did not\n"
        "  scripts/replay show SESSION --sequence 42  one record of the journal, explained\n"
        "  scripts/replay verify SESSION              judge it again and compare; exit code 1: it differs\n"
        "  scripts/replay export SESSION > match.ndjson",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--edge", default="localhost:8080", metavar="HOST:PORT", help="default: %(default)s")
    common.add_argument(
        "--token",
        default="",
        help="of an operator, see scripts/token; default: a development token, asked for at the edge",
    )
    common.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    commands = parser.add_subparsers(dest="command", required=True)
    each = commands.add_parser("list", parents=[common], help="matches, newest first")
    each.add_argument("--limit", type=int, default=20, metavar="N", help="how many; default: %(default)s")
    each.add_argument("--finished", action="store_true", help="only those that are over")
    each = commands.add_parser("show", parents=[common], help="a match in words")
    each.add_argument("session")
    each.add_argument("--sequence", type=int, metavar="N", help="explain this record of the journal")
    each.add_argument("--player", metavar="ID", help="explain each command of this player but accepted moves")
    each.add_argument("--kills", action="store_true", help="leave out hits")
    each.add_argument("--explain", action="store_true", help="explain each hit")
    each = commands.add_parser("verify", parents=[common], help="prove that a match was judged as recorded")
    each.add_argument("session")
    each = commands.add_parser("export", parents=[common], help="every record of the journal as NDJSON")
    each.add_argument("session")
    return parser


async def list_(mesh: Mesh, options: argparse.Namespace) -> int:
    rows = [("SESSION", "STATUS", "TYPE", "MAP", "PLAYERS", "STARTED", "LENGTH", "RECORDS")]
    shown = 0
    async for session in mesh.combat.list_sessions():
        if options.finished and session.status not in FINISHED:
            continue
        if shown == options.limit:
            break
        shown += 1
        if options.json:
            _say(_json(session))
        else:
            rows.append(_row(session))
    if not options.json:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


async def show(mesh: Mesh, options: argparse.Namespace) -> int:
    combat = mesh.combat
    if options.sequence:
        found = await combat.verdict(options.session, options.sequence)
        _say(_json(found) if options.json else found.explanation)
        return 0
    if options.player:
        return await _show_player(combat, options)
    session = await combat.get_session(options.session)
    weapons = await _weapons(options.edge, session)
    for line in await story(combat, options.session, weapons):
        if options.kills and line.kind == "hit":
            continue
        explanation = ""
        if options.explain and line.sequence:
            explanation = (await combat.verdict(options.session, line.sequence)).explanation
        if options.json:
            _say(json.dumps(line.__dict__ | ({"explanation": explanation} if explanation else {})))
            continue
        number = f"#{line.sequence}" if line.sequence else ""
        _say(f"{clock(line.time_us):>10}  {number:<8}  {line.text}")
        if explanation:
            _say(f"{'':22}{explanation}")
    return 0


async def _show_player(combat: Combat, options: argparse.Namespace) -> int:
    async for record in combat.records(options.session, player_id=options.player):
        judged = record.command
        accepted = judged.verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED
        if accepted and judged.command.HasField("move"):
            continue
        found = await combat.verdict(options.session, record.sequence)
        _say(_json(found) if options.json else f"{f'#{record.sequence}':<8}  {found.explanation}")
    return 0


async def verify(mesh: Mesh, options: argparse.Namespace) -> int:
    proof = await mesh.combat.verify(options.session)
    if options.json:
        _say(_json(proof))
    elif proof.verified:
        _say(
            f"verified: {proof.records} records and {proof.checkpoints} checkpoints judge to the same; "
            f"{proof.played_us / 1e6:.1f} s of play in {proof.took_us / 1e6:.2f} s"
        )
    else:
        _say(f"NOT verified, from record {proof.first_difference_sequence} on: {proof.first_difference}")
    return 0 if proof.verified else 1


async def export(mesh: Mesh, options: argparse.Namespace) -> int:
    async for record in mesh.combat.records(options.session, every_record=True):
        _say(_json(record))
    return 0


COMMANDS: dict[str, Callable[[Mesh, argparse.Namespace], Coroutine[Any, Any, int]]] = {
    "list": list_,
    "show": show,
    "verify": verify,
    "export": export,
}


def _row(session: session_pb2.Session) -> tuple[str, ...]:
    started = session.started_at.ToDatetime() if session.HasField("started_at") else None
    return (
        session.session_id,
        session_pb2.SessionStatus.Name(session.status).removeprefix("SESSION_STATUS_"),
        session_pb2.SessionType.Name(session.type).removeprefix("SESSION_TYPE_").lower(),
        session.map_id,
        f"{session.player_count}/{session.max_players}",
        f"{started:%Y-%m-%d %H:%M:%S}" if started else "-",
        clock(session.journal_tick * 1_000_000 // session.tick_rate_hz),
        str(session.journal_sequence),
    )


async def _weapons(edge: str, session: session_pb2.Session) -> Sequence[str]:
    """Names of the weapons; none when the edge does not serve rulesets."""
    ruleset = session.ruleset
    with contextlib.suppress(OSError, ValueError):
        body = json.loads(await get(f"http://{edge}/rulesets/{ruleset.name}-{ruleset.version}.json"))
        return [str(weapon["name"]) for weapon in body["weapons"]]
    return ()


def _json(message: Message) -> str:
    return json.dumps(MessageToDict(message, preserving_proto_field_name=True), separators=(",", ":"))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


async def main(options: argparse.Namespace) -> int:
    token = options.token or asked_at(f"http://{options.edge}/dev/token")("replay", "operator")
    async with connect(options.edge, token=token) as mesh:
        return await COMMANDS[options.command](mesh, options)


def run(given: Iterable[str] | None = None) -> int:
    options = arguments().parse_args(None if given is None else list(given))
    try:
        code = asyncio.run(main(options))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has had enough, as `head` does; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MeshError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(run())

"""The operator's hand on the bus of a service: `python -m services.chassis.bus COMMAND --schema SCHEMA`.

PostgreSQL and the bus are those of the environment, as the services have them.
"""

import argparse
import re
import sys
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from services.chassis import clock
from services.chassis.bus import connect
from services.chassis.db import connected
from services.chassis.dead_letters import DeadLetters
from services.chassis.outbox import Outbox
from services.chassis.program import ended
from services.chassis.settings import Settings

_SCHEMA = re.compile(r"[a-z_]+")
_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def since(text: str) -> datetime:
    """`90m`, `2h`, `1d` ago, or a time with its zone."""
    if ago := _AGO.fullmatch(text):
        return clock.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found


def schema(text: str) -> str:
    if not _SCHEMA.fullmatch(text):
        raise ValueError
    return text


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.chassis.bus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    letters = commands.add_parser("dead-letters", help="Shows what could not be handled, the oldest first.")
    letters.add_argument("--replayed", action="store_true", help="those that were replayed, too")
    again = commands.add_parser("replay", help="Publishes dead letters once more.")
    again.add_argument("event_ids", nargs="*", metavar="ID", help="default: all that were not replayed")
    for each in (letters, again):
        each.add_argument("--group", default="", help="only of this consumer group")
        each.add_argument("--limit", type=int, default=100)
    told = commands.add_parser("republish", help="Has the relay send again what was written since a time.")
    told.add_argument("--since", type=since, required=True, metavar="2h | TIME")
    for each in (letters, again, told):
        each.add_argument("--schema", type=schema, required=True, help="of the service, such as gameplay")
    return parser.parse_args(words)


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Does it, and prints what was done."""
    async with connected(settings) as connection:
        if arguments.command == "republish":
            await _republish(connection, arguments)
        elif arguments.command == "replay":
            await _replay(connection, arguments, settings)
        else:
            await _show(connection, arguments)


async def _republish(connection: asyncpg.Connection, arguments: argparse.Namespace) -> None:
    moved = await Outbox(arguments.schema).rewind(connection, arguments.since)
    print("The relay sends again." if moved else "Nothing that is still kept was sent since then.")


async def _show(connection: asyncpg.Connection, arguments: argparse.Namespace) -> None:
    found = await DeadLetters(arguments.schema).list(
        connection, group=arguments.group, replayed=arguments.replayed, limit=arguments.limit
    )
    for kept in found:
        letter = kept.letter
        print(
            f"{kept.last_at.isoformat(timespec='seconds')}  {letter.group}  {letter.topic}  "
            f"{letter.message.id}  {letter.attempts} attempts  {letter.error}"
        )
    print(f"{len(found)} dead letters")


async def _replay(connection: asyncpg.Connection, arguments: argparse.Namespace, settings: Settings) -> None:
    letters, bus = DeadLetters(arguments.schema), connect(settings)
    try:
        found = await letters.list(
            connection, group=arguments.group, event_ids=arguments.event_ids, limit=arguments.limit
        )
        for kept in found:
            await letters.replay(connection, bus, kept)
    finally:
        await bus.close()
    print(f"{len(found)} dead letters replayed")


def main(words: list[str] | None = None) -> int:
    arguments = _arguments(words)
    return ended("bus", Settings, partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())

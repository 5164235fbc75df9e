"""A process: `python -m services.<name>.main COMMAND`. Its settings, its log, what it ends with."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import asyncpg
import structlog

from services.chassis import logging
from services.chassis.errors import DomainError
from services.chassis.migrate import SchemaError
from services.chassis.settings import Settings, SettingsError

S = TypeVar("S", bound=Settings)
Command = Callable[..., Coroutine[Any, Any, None]]
"""Given the settings, and its options by name. Its docstring is what the help says of it."""
Options = Callable[[argparse.ArgumentParser], object]
"""Adds a command's options to its parser."""

_log = structlog.get_logger()
_FAULTS = (SchemaError, DomainError, OSError, asyncpg.PostgresError, RuntimeError, ValueError)


def main(
    name: str,
    about: str | None,
    settings: type[S],
    commands: Mapping[str, Command],
    options: Mapping[str, Options] | None = None,
    *,
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs a command; the exit code. `name`: of the service. `options`: by command. `arguments`: None for
    those that the process was started with."""
    parser = argparse.ArgumentParser(prog=f"services.{name}.main", description=about)
    parsers = parser.add_subparsers(dest="command", required=True)
    for word, command in commands.items():
        added = parsers.add_parser(word, help=command.__doc__)
        if options and word in options:
            options[word](added)
    told = vars(parser.parse_args(arguments))
    return ended(name, settings, partial(commands[told.pop("command")], **told))


def ended(name: str, settings: type[S], work: Callable[[S], Coroutine[Any, Any, None]]) -> int:
    """The exit code of `work`: 0, 1 when it could not go on, as its log says, 2 when the environment is
    wrong, as is printed."""
    try:
        loaded = settings.load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.configure(loaded.log_level, service=name, worker=loaded.worker_name, cloud=loaded.cloud)
    try:
        asyncio.run(work(loaded))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except _FAULTS as error:
        _log.error("cannot go on", error=f"{type(error).__name__}: {error}")
        return 1
    return 0

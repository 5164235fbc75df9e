"""Definitions that come as files: `<id>.json`, each with one message of the contract."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from services.chassis import validation
from services.chassis.errors import DomainError

T = TypeVar("T")


def read(folder: Path, kind: type[Message], make: Callable[[Any], T]) -> dict[Path, T]:
    """What `make` makes of each message, which has an id, if need be that of its file.

    Raises:
        ValueError: a message breaks a rule of the contract or of `make`, or has the id of another. It names
            the file and the field.
    """
    found: dict[Path, T] = {}
    ids: set[str] = set()
    for path in sorted(folder.glob("*.json")):
        message: Any = kind()
        try:
            json_format.Parse(path.read_text(), message)
            message.id = message.id or path.stem
            validation.check(message)
            found[path] = make(message)
        except (json_format.ParseError, DomainError) as error:
            raise ValueError(f"{path}: {error}") from error
        if message.id in ids:
            raise ValueError(f"{path}: there is another {kind.DESCRIPTOR.name.lower()} {message.id}")
        ids.add(message.id)
    return found

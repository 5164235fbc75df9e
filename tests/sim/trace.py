"""What happened, in order: for whoever reads a failing seed, and to compare two runs of one."""

from __future__ import annotations

import zlib
from typing import Any

from google.protobuf.message import Message

from services.combat.domain.session import Session
from services.combat.ports import Save, Segment
from tests.support.virtual_time import Loop


class Trace:
    """Keeps lines of (time, who, what, ...) while `on`."""

    def __init__(self, loop: Loop, on: bool) -> None:
        self.on = on
        self._loop = loop
        self._lines: list[tuple[float, str, str, tuple[Any, ...]]] = []

    def add(self, who: str, what: str, *details: Any) -> None:
        if self.on:
            self._lines.append((self._loop.now, who, what, details))

    def lines(self) -> list[str]:
        return [
            f"{at:10.6f}  {who:<8} {what:<12} {_shown(details)}" for at, who, what, details in self._lines
        ]


def _shown(details: tuple[Any, ...]) -> str:
    return " ".join(map(_brief, details))


def _brief(detail: Any) -> str:
    """Enough to tell two of its kind apart."""
    if isinstance(detail, Session):
        return (
            f"{detail.session_id} {detail.status} of {detail.owner or 'nobody'} epoch {detail.epoch} "
            f"at {detail.journal_sequence}"
        )
    if isinstance(detail, Segment):
        payload = zlib.crc32(detail.payload)
        save = " with save" if detail.save else ""
        return f"{detail.session_id} epoch {detail.epoch} {detail.first}..{detail.last} ({payload:08x}){save}"
    if isinstance(detail, Save):
        return f"save at {detail.sequence}"
    if isinstance(detail, Message):
        return str(detail).replace("\n", " ")
    if isinstance(detail, list | tuple | frozenset):
        order = sorted(detail) if isinstance(detail, frozenset) else detail
        return f"[{', '.join(map(_brief, order))}]"
    return str(detail)

"""The guards of the durable core, each with a way to take it away.

A simulation that passes proves something only if it fails without them. Each function patches one guard out
of the real code, or out of the model of what PostgreSQL checks; `test_guards.py` shows that it is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from arenamesh.combat.v1 import play_pb2

from native.arena import Arena
from services.chassis.errors import Unavailable
from services.combat import catalogue
from services.combat.domain.session import Session
from services.combat.durability.committer import Committer, Journaled
from services.combat.durability.recovery import Recovery
from services.combat.live.match import Match
from services.combat.live.ownership import Ownership
from services.combat.live.play import PlayStream
from services.combat.ports import Segment
from tests.sim.tables import Tables

Removal = Callable[[], Any]


def fence() -> Any:
    """A commit asks for neither owner nor epoch."""
    return patch.object(Tables, "holds", lambda *_: True)


def sequence_check() -> Any:
    """A commit does not ask where the journal ends: what was committed before is committed again."""
    return patch.multiple(Tables, follows=lambda *_: True, committed_before=lambda *_: False)


class _Forgetful(Arena):
    """Takes every repeated command for a new one."""

    def judge(self, now_us: int, frame: bytes, binding: int) -> bytes:
        request = play_pb2.PlayRequest.FromString(frame)
        newest: dict[int, int] = {}
        for command in request.commands:
            last = newest.get(command.slot, self.last_sequence(command.slot))
            command.sequence = newest[command.slot] = max(command.sequence, last + 1)
        return super().judge(now_us, request.SerializeToString(), binding)


def dedupe() -> Any:
    """A command that comes again is judged again."""
    return patch.object(catalogue, "Arena", _Forgetful)


def commit_before_answer() -> Any:
    """Verdicts leave as soon as they are judged."""
    return patch.object(PlayStream, "_hold", lambda stream, _awaits, reply: _send(stream, reply))


def commit_before_event() -> Any:
    """Events are shown as soon as they happen."""

    def take_events(match: Match) -> None:
        if events := match.arena.take_events():
            match._tell(events)

    return patch.object(Match, "_take_events", take_events)


def order_of_answers() -> Any:
    """An answer that waits for nothing overtakes those that do."""
    hold = PlayStream._hold

    def overtake(stream: PlayStream, awaits: int, reply: bytes) -> None:
        if awaits > stream._match.durable_through:
            hold(stream, awaits, reply)
        else:
            _send(stream, reply)

    return patch.object(PlayStream, "_hold", overtake)


def tail() -> Any:
    """A session is restored as its newest save has it, without the records behind it."""

    async def restore(self: Recovery, session: Session) -> Arena:
        return await self._saved(session)

    return patch.object(Recovery, "restore", restore)


def repetition() -> Any:
    """A commit without an answer is not asked for again: it counts as done."""

    async def insist(self: Committer, segments: list[Segment]) -> frozenset[str]:
        try:
            return await self._store.commit(self._owner, segments)
        except Unavailable:
            return frozenset()

    return patch.object(Committer, "_insist", insist)


def lease() -> Any:
    """A worker believes for ever that it is alive to others."""
    return patch.object(Ownership, "sure", property(lambda _: True))


def flush() -> Any:
    """Joins, hand-overs and ends do not wait for the journal."""

    async def at_once(_committer: Committer, _match: Journaled) -> None:
        return None

    return patch.object(Committer, "flush", at_once)


REMOVALS: dict[str, Removal] = {
    removal.__name__: removal
    for removal in (
        fence,
        sequence_check,
        dedupe,
        commit_before_answer,
        commit_before_event,
        order_of_answers,
        tail,
        repetition,
        lease,
        flush,
    )
}


@contextmanager
def without(guard: str) -> Iterator[None]:
    with REMOVALS[guard]():
        yield


def _send(stream: PlayStream, reply: bytes) -> None:
    stream.outbox.put(reply)
    stream.outbox.kick()

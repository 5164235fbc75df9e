"""Commands that were sent and not yet judged, in order: numbered once, sent again after a reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any

from arenamesh.client.view import View
from arenamesh.combat.v1 import play_pb2, verdict_pb2

# What the contract allows in a frame.
FRAME_COMMANDS_MAX = 1024


class Batch:
    """The commands of one `send`. Await it for their verdicts, in the order of the commands."""

    __slots__ = ("_error", "_future", "_left", "_verdicts", "commands", "view")

    def __init__(self, commands: Sequence[play_pb2.Command], view: View) -> None:
        self.commands = commands
        """With the seat and sequence they carry."""
        self.view = view
        """What the player saw."""
        self._verdicts: list[verdict_pb2.Verdict | None] = [None] * len(commands)
        self._left = len(commands)
        self._future: asyncio.Future[list[verdict_pb2.Verdict]] | None = None
        self._error: Exception | None = None

    @property
    def judged(self) -> bool:
        return self._left == 0

    @property
    def verdicts(self) -> list[verdict_pb2.Verdict | None]:
        """One for each command, in order; None where it has not come yet."""
        return self._verdicts

    def __await__(self) -> Generator[Any, None, list[verdict_pb2.Verdict]]:
        """Raises MeshError when the match ended or broke before every command was judged."""
        if self._future is None:
            self._future = asyncio.get_running_loop().create_future()
            self._resolve()
        # One of several that wait may be cancelled without the others.
        return asyncio.shield(self._future).__await__()

    def settle(self, index: int, verdict: verdict_pb2.Verdict) -> None:
        self._verdicts[index] = verdict
        self._left -= 1
        self._resolve()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._resolve()

    def _resolve(self) -> None:
        if self._future is None or self._future.done():
            return
        if self._left == 0:
            self._future.set_result([verdict for verdict in self._verdicts if verdict is not None])
        elif self._error is not None:
            self._future.set_exception(self._error)
            self._future.exception()  # whoever still awaits it sees it; nobody need


class Ledger:
    """Hands out sequence numbers and matches verdicts to commands."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._open: dict[tuple[int, int], tuple[Batch, int]] = {}

    @property
    def unanswered(self) -> int:
        """Commands without a verdict."""
        return len(self._open)

    def go_on_after(self, slot: int, sequence: int) -> None:
        """The highest sequence the mesh has judged for a seat."""
        self._last[slot] = max(self._last.get(slot, 0), sequence)

    def enter(self, commands: Sequence[play_pb2.Command], view: View) -> Batch:
        """Numbers the commands (in place) and remembers them.

        Raises:
            ValueError: none, or more than a frame may carry.
        """
        if not 1 <= len(commands) <= FRAME_COMMANDS_MAX:
            raise ValueError(f"a batch has 1 to {FRAME_COMMANDS_MAX} commands, not {len(commands)}")
        batch = Batch(commands, view)
        for index, command in enumerate(commands):
            sequence = self._last.get(command.slot, 0) + 1
            self._last[command.slot] = sequence
            command.sequence = sequence
            self._open[command.slot, sequence] = (batch, index)
        return batch

    def settle(self, verdict: verdict_pb2.Verdict) -> bool:
        """True when the verdict answers a command that waited for one."""
        entry = self._open.pop((verdict.slot, verdict.sequence), None)
        if entry is None:
            return False
        batch, index = entry
        batch.settle(index, verdict)
        return True

    def open_batches(self) -> list[Batch]:
        """Every batch that is not wholly judged, oldest first: what a new stream sends again."""
        return list(dict.fromkeys(batch for batch, _ in self._open.values()))

    def fail(self, error: Exception) -> None:
        """Nothing will be judged any more."""
        for batch in self.open_batches():
            batch.fail(error)
        self._open.clear()

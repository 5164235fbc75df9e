"""Who uses a data directory, and in which state its mesh is."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from services.mesh.errors import StartError

State = dict[str, Any]


class DataDirectory:
    """`mesh.lock` is held by the running supervisor, and released by the system however it ends.

    `mesh.json` is what it last said about itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Raises StartError when another supervisor has it, or when it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "mesh.lock").open("a")
        except OSError as error:
            raise StartError(
                f"The data directory {self.path} cannot be used: {error.strerror}.",
                "Choose another one: scripts/up --data DIR",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            state = self.read()
            who = f" (process {state['pid']}, {state['edge']})" if state else ""
            raise StartError(
                f"A mesh is already running on {self.path}{who}.",
                "Stop it with scripts/down, or start another: scripts/up --data DIR --port N",
            ) from None
        self._lock = lock

    def release(self) -> None:
        (self.path / "mesh.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_claimed(self) -> bool:
        """By anybody."""
        try:
            with (self.path / "mesh.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def write(self, state: State) -> None:
        draft = self.path / "mesh.json.new"
        draft.write_text(json.dumps(state))
        os.replace(draft, self.path / "mesh.json")  # noqa: PTH105 - atomic for readers

    def read(self) -> State | None:
        """The state of the mesh that runs now; None when none does."""
        if not self.is_claimed():
            return None
        try:
            state: State = json.loads((self.path / "mesh.json").read_text())
        except FileNotFoundError:
            return None
        return state

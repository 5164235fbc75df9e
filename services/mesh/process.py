"""One operating-system process of the mesh: started so that it can never outlive the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.mesh.errors import StartError

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 4096
_TAIL_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `environment` is added to the supervisor's own; output goes to the end of `log`."""

    command: tuple[str | Path, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Process:
    """A running program, the leader of a process group of its own, so Ctrl-C reaches only the supervisor."""

    def __init__(self, program: Program, child: asyncio.subprocess.Process) -> None:
        self.program = program
        self._child = child
        # Of this run alone, for messages.
        self._log_from = 0

    @classmethod
    async def start(cls, program: Program) -> Process:
        """Raises StartError when there is no such executable."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            position = log.tell()
            try:
                child = await asyncio.create_subprocess_exec(
                    *program.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=program.folder,
                    env={**os.environ, **program.environment},
                    start_new_session=True,
                    preexec_fn=_die_with_parent(os.getpid(), program.stop_signal),
                )
            except OSError as error:
                raise StartError(f"{program.command[0]} cannot be run: {error.strerror}.") from error
        process = cls(program, child)
        process._log_from = position
        return process

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        return self._child.returncode

    async def wait(self) -> int:
        return await self._child.wait()

    async def stop(self, seconds: float) -> bool:
        """Asks it to stop, then makes it. False: it had to be killed."""
        asked = True
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(self.program.stop_signal)
            try:
                await asyncio.wait_for(self._child.wait(), seconds)
            except TimeoutError:
                asked = False
        self.kill()
        await self._child.wait()
        return asked

    def kill(self) -> None:
        """Ends the whole group at once: the process, if it still runs, and whatever it left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what this run wrote."""
        with self.program.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(min(self._log_from, size), size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])


async def run(program: Program, what: str) -> None:
    """Runs a program to its end.

    Raises:
        StartError: it failed; `what` names it, and its last words follow.
    """
    process = await Process.start(program)
    try:
        code = await process.wait()
    finally:
        process.kill()
    if code != 0:
        raise StartError(f"{what} failed with {ending(code)}:\n{process.last_words()}", f"Log: {program.log}")


def ending(code: int) -> str:
    """An exit code in words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _die_with_parent(parent: int, stop_signal: signal.Signals) -> Callable[[], None] | None:
    """Linux signals the child when the supervisor is gone, whatever ended it. Others cannot."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:  # it went before we asked
            os._exit(1)

    return arrange

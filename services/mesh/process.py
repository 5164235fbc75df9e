"""One operating-system process of the mesh: started so that it can never outlive the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.mesh.errors import StartError

_TAIL_BYTES = 4096
_TAIL_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `environment` is added to the supervisor's own; output goes to the end of `log`.
    `background`: once it answers, it steps back."""

    command: tuple[str | Path, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    background: bool = False


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
        if shutil.which(program.command[0]) is None:
            raise StartError(f"{program.command[0]} cannot be run: there is no such program.")
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            position = log.tell()
            child = await asyncio.create_subprocess_exec(
                *_bound_to_us(program),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=program.folder,
                env={**os.environ, **program.environment},
                start_new_session=True,
            )
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
            if self.program.background:
                self._be_nice(0)
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

    def step_back(self) -> None:
        """Lets everybody else on the machine go first."""
        self._be_nice(19)

    def _be_nice(self, niceness: int) -> None:
        # Where Linux shares the processors out by session, a program's own niceness says nothing, and its
        # session has another; elsewhere there is no such file. Only root may make it less.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/autogroup").write_text(str(niceness))

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


def _bound_to_us(program: Program) -> tuple[str | Path, ...]:
    """The command, so that Linux signals it when the supervisor is gone, whatever ended that. Others cannot.

    Arranged by `setpriv`, which becomes the program. Not by a `preexec_fn`: Python between fork and exec can
    hang on what another thread held.
    """
    if not sys.platform.startswith("linux") or shutil.which("setpriv") is None:
        return program.command
    return ("setpriv", "--pdeathsig", program.stop_signal.name.removeprefix("SIG"), "--", *program.command)

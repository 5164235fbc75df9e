"""Keeps one process alive: starts it, waits until it answers, starts it again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from services.mesh import probes
from services.mesh.errors import StartError
from services.mesh.process import Process, Program, ending

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 10.0
# After this long without a crash, the next one is treated as the first: it is not the start that fails.
STEADY_S = 5.0


class Child:
    """One supervised part.

    Args:
        name: as people see it (`w0`, `postgres`).
        program: what to run; asked again for each start, so a port may change.
        answers: whether the part serves now; asked every 50 ms until it does. May be slow, must not raise.
        changed: told each change of state: `starting`, `running`, `waiting`, `stopped`, and why.
    """

    def __init__(
        self,
        name: str,
        program: Callable[[], Program],
        answers: Callable[[], Awaitable[bool]],
        changed: Callable[[Child, str], None],
        *,
        start_seconds: float,
        stop_seconds: float,
    ) -> None:
        self.name = name
        self.state = "stopped"
        self.restarts = 0
        self._program = program
        self._answers = answers
        self._changed = changed
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.exit_code is None else None

    async def start(self) -> None:
        """Returns when the part answers; from then on it is kept alive.

        Raises:
            StartError: it ended, or did not answer in time; it has been stopped.
        """
        await self._start_once()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> bool:
        """False: it had to be killed."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        asked = True
        if self._process is not None:
            asked = await self._process.stop(self._stop_seconds)
            self._process = None
        self._set("stopped", "")
        return asked

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def _start_once(self) -> None:
        self._set("starting", "")
        process = self._process = await Process.start(self._program())
        ended = asyncio.create_task(process.wait())
        answered = asyncio.create_task(probes.until(self._answers))
        try:
            await asyncio.wait(
                {ended, answered}, timeout=self._start_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if answered.done() and not ended.done():
                answered.result()
                if process.program.background:
                    process.step_back()
                self._set("running", "")
                return
        finally:
            ended.cancel()
            answered.cancel()
        if process.exit_code is not None:
            trouble = f"ended with {ending(process.exit_code)}"
        else:
            trouble = f"did not answer within {self._start_seconds:g} s"
        await process.stop(self._stop_seconds)
        raise StartError(f"{self.name} {trouble}:\n{process.last_words()}", f"Log: {process.program.log}")

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        failures, trouble = 0, ""
        while True:
            started = clock()
            if self.state == "running" and self._process is not None:
                trouble = f"ended with {ending(await self._process.wait())}"
                self._process.kill()  # what it may have left behind in its group
                if clock() - started > STEADY_S:
                    failures = 0
            delay = backoff(failures)
            failures += 1
            self.restarts += 1
            self._set("waiting", f"{trouble}; again in {delay:.2f} s")
            await asyncio.sleep(delay)
            try:
                await self._start_once()
            except StartError as error:
                trouble = error.message.partition("\n")[0]

    def _set(self, state: str, reason: str) -> None:
        if (state, reason) != (self.state, ""):
            self.state = state
            self._changed(self, reason)


def backoff(failures: int) -> float:
    """Seconds before the next start: doubles up to ten, less up to half for the crowd's sake."""
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures, 16))
    return longest * random.uniform(0.5, 1.0)

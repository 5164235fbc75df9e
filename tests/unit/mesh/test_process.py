"""Real processes: they end when they should, all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from services.mesh import probes
from services.mesh.child import LONGEST_DELAY_S, Child, backoff
from services.mesh.errors import StartError
from services.mesh.process import Process, Program, ending, run

DEADLINE_S = 20.0


def python(code: str, log: Path, **options: object) -> Program:
    return Program(command=(sys.executable, "-c", code), log=log, **options)  # type: ignore[arg-type]


def whole_lines(path: Path) -> str:
    text = path.read_text() if path.exists() else ""
    return text if text.endswith("\n") else ""


async def until_file(path: Path) -> str:
    async def written() -> bool:
        return whole_lines(path) != ""

    async with asyncio.timeout(DEADLINE_S):
        await probes.until(written)
    return whole_lines(path)


def supervise(code: str, folder: Path) -> subprocess.Popen[bytes]:
    """Another Python that runs `code`, with its output in `folder`/supervisor.log."""
    with (folder / "supervisor.log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", code, folder],
            stdout=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def until_gone(pid: int) -> None:
    async def gone() -> bool:
        return not alive(pid)

    async with asyncio.timeout(DEADLINE_S):
        await probes.until(gone)


class TestProcess:
    async def test_output_goes_to_the_end_of_the_log(self, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "a.log"
        await run(python("print('first')", log), "A")
        await run(python("import sys; print('second', file=sys.stderr)", log), "A")
        assert log.read_text() == "first\nsecond\n"

    async def test_a_failure_shows_the_last_words_of_this_run_only(self, tmp_path: Path) -> None:
        log = tmp_path / "a.log"
        await run(python("print('an old run')", log), "A")
        with pytest.raises(StartError) as failure:
            await run(python("raise SystemExit('the reason')", log), "The migration")
        assert failure.value.message == "The migration failed with exit code 1:\nthe reason"
        assert str(log) in failure.value.hint

    async def test_a_missing_program_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="no-such-program cannot be run"):
            await Process.start(Program(command=("no-such-program",), log=tmp_path / "a.log"))

    async def test_what_does_not_want_to_stop_is_killed(self, tmp_path: Path) -> None:
        code = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print(1, flush=True); time.sleep(60)"
        )
        process = await Process.start(python(code, tmp_path / "a.log"))
        await until_file(tmp_path / "a.log")
        assert not await process.stop(0.1)
        assert process.exit_code == -signal.SIGKILL

    async def test_stopping_takes_the_whole_group(self, tmp_path: Path) -> None:
        code = (
            "import subprocess, time; child = subprocess.Popen(['sleep', '60']);"
            "print(child.pid, flush=True); time.sleep(60)"
        )
        process = await Process.start(python(code, tmp_path / "a.log"))
        grandchild = int(await until_file(tmp_path / "a.log"))
        assert await process.stop(5)
        await until_gone(grandchild)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
    async def test_children_end_when_the_supervisor_is_killed(self, tmp_path: Path) -> None:
        code = """
import asyncio, pathlib, sys
from services.mesh.process import Process, Program
async def main():
    child = await Process.start(Program(command=("sleep", "60"), log=pathlib.Path(sys.argv[1]) / "child.log"))
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""
        supervisor = supervise(code, tmp_path)
        child = int(await until_file(tmp_path / "supervisor.log"))
        assert alive(child)
        supervisor.kill()
        supervisor.wait()
        await until_gone(child)

    def test_endings_in_words(self) -> None:
        assert ending(3) == "exit code 3"
        assert ending(-9) == "signal SIGKILL"


class Watched:
    """A child and every state it was in."""

    def __init__(
        self, code: str, log: Path, *, start_seconds: float = DEADLINE_S, background: bool = False
    ) -> None:
        self.states: list[tuple[str, str]] = []
        self.log = log
        self.healthy = True
        self.child = Child(
            "part",
            lambda: python(code, log, background=background),
            self._answers,
            lambda child, reason: self.states.append((child.state, reason)),
            start_seconds=start_seconds,
            stop_seconds=5,
        )

    async def _answers(self) -> bool:
        return self.healthy and self.log.exists() and "up" in self.log.read_text()

    async def until(self, state: str, restarts: int) -> None:
        async def reached() -> bool:
            return self.child.state == state and self.child.restarts >= restarts

        async with asyncio.timeout(DEADLINE_S):
            await probes.until(reached)


AUTOGROUP = Path("/proc/self/autogroup")


def session_niceness(pid: int | None) -> str:
    return Path(f"/proc/{pid}/autogroup").read_text().split()[-1]


SERVE = "import time; print('up', flush=True); time.sleep(60)"


class TestChild:
    @pytest.fixture
    async def served(self, tmp_path: Path) -> AsyncIterator[Watched]:
        watched = Watched(SERVE, tmp_path / "part.log")
        await watched.child.start()
        yield watched
        await watched.child.stop()

    async def test_it_runs_when_it_answers(self, served: Watched) -> None:
        assert served.states == [("starting", ""), ("running", "")]
        assert served.child.pid is not None

    @pytest.mark.skipif(not AUTOGROUP.exists(), reason="this machine has no such priorities")
    async def test_in_the_background_it_starts_like_others_and_then_steps_back(self, tmp_path: Path) -> None:
        own = f"import pathlib; print('began with', pathlib.Path('{AUTOGROUP}').read_text().split()[-1]);"
        watched = Watched(own + SERVE, tmp_path / "part.log", background=True)
        await watched.child.start()
        assert "began with 0" in watched.log.read_text()
        assert session_niceness(watched.child.pid) == "19"
        await watched.child.stop()

    async def test_killed_it_comes_back_as_another_process(self, served: Watched) -> None:
        first = served.child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await served.until("running", restarts=1)
        assert served.child.pid not in (None, first)
        state, reason = served.states[2]
        assert state == "waiting"
        assert reason.startswith("ended with signal SIGKILL; again in 0.0")

    async def test_it_never_gives_up(self, served: Watched) -> None:
        served.healthy = False
        served.child._start_seconds = 0.05  # it will not answer now
        assert served.child.pid is not None
        os.kill(served.child.pid, signal.SIGKILL)
        await served.until("waiting", restarts=3)
        served.healthy = True
        served.child._start_seconds = DEADLINE_S
        await served.until("running", restarts=3)

    async def test_stopped_it_stays_stopped(self, served: Watched) -> None:
        pid = served.child.pid
        assert pid is not None
        assert await served.child.stop()
        assert served.child.pid is None
        assert not alive(pid)
        assert served.states[-1] == ("stopped", "")

    async def test_an_end_during_the_start_is_told_with_its_last_words(self, tmp_path: Path) -> None:
        watched = Watched("raise SystemExit('no database')", tmp_path / "part.log")
        with pytest.raises(StartError, match="part ended with exit code 1:\nno database"):
            await watched.child.start()

    async def test_silence_during_the_start_is_told_and_ended(self, tmp_path: Path) -> None:
        watched = Watched("import time; time.sleep(60)", tmp_path / "part.log", start_seconds=0.3)
        with pytest.raises(StartError, match=r"part did not answer within 0\.3 s"):
            await watched.child.start()
        assert watched.child.pid is None


def test_the_delay_doubles_to_a_bound_and_is_never_the_full_beat_for_all() -> None:
    for failures in range(40):
        most = min(LONGEST_DELAY_S, 0.05 * 2**failures)
        delays = [backoff(failures) for _ in range(50)]
        assert all(most / 2 <= delay <= most for delay in delays)
        assert len(set(delays)) > 1

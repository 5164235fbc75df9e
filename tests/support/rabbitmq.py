"""A real RabbitMQ server for the tests, with what it keeps in a fresh directory."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

_START_S = 60.0
_NOTED_S = 1.0  # as in the driver, where `buses.make` sets it to nothing
_ROOT = Path(__file__).parents[2]
_PACKAGE = "rabbitmq-server"
# Debian's package as it is installed, or as `.ci/rabbitmq` unpacks it.
_PLACES = (Path("/"), _ROOT / "build" / "rabbitmq")
# One scheduler that sleeps when there is nothing to do, and no plugin.
_ARGUMENTS = (
    *("-noinput", "-boot", "start_sasl", "-s", "rabbit", "boot", "-start_epmd", "false"),
    *("+W", "w", "+S", "1:1", "+SDcpu", "1:1", "+SDio", "1", "+sbwt", "none"),
    *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
)


class RabbitServer:
    """See `brokers.Broker`. Started without Debian's scripts, which want its users and folders."""

    def __init__(self, place: Path, folder: Path) -> None:
        self._port, self._names_port, distribution = _free_ports(3)
        self._folder = folder
        erlang = place / "usr" / "lib" / "erlang"
        (self._programs,) = erlang.glob("erts-*/bin")
        (home,) = (place / "usr" / "lib" / "rabbitmq" / "lib").glob("rabbitmq_server-*")
        (folder / "plugins").write_text("[].\n")
        # Of Erlang's own form: the other one costs a second of processor time to read.
        (folder / "advanced.config").write_text(
            f'[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {self._port}}}]}}]}},\n'
            f" {{kernel, [{{inet_dist_use_interface, {{127, 0, 0, 1}}}}]}}].\n"
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "LD_LIBRARY_PATH": ":".join(map(str, place.glob("usr/lib/*-linux-gnu"))),
            **{"ROOTDIR": str(erlang), "BINDIR": str(self._programs), "EMU": "beam", "PROGNAME": "erl"},
            **{"ERL_LIBS": str(home / "plugins"), "HOME": str(folder), "SYS_PREFIX": ""},
            **{"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self._names_port)},
            "ERL_CRASH_DUMP": os.devnull,
            "RABBITMQ_HOME": str(home),
            "RABBITMQ_BASE": str(folder),
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
            "RABBITMQ_PLUGINS_DIR": str(home / "plugins"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        }
        self._names = self._run("epmd")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Returns when it answers."""
        said = self._folder / "said"
        self._process = self._run("erlexec", *_ARGUMENTS, output=said)
        end = time.monotonic() + _START_S
        while "completed with" not in said.read_text(errors="replace"):
            assert self._process.poll() is None and time.monotonic() < end, said.read_text(errors="replace")
            time.sleep(0.02)

    def kill(self) -> None:
        time.sleep(_NOTED_S)
        self._end()

    def pause(self) -> None:
        """Returns when it has stopped: on a busy machine its threads go on for a while."""
        assert self._process is not None
        self._signal(signal.SIGSTOP)
        while psutil.Process(self._process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def mend(self) -> None:
        self.resume()
        if self._process is None or self._process.poll() is not None:
            self.start()

    def end(self) -> None:
        self._end()
        self._names.kill()
        self._names.wait()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _run(self, program: str, *words: str, output: Path | None = None) -> subprocess.Popen[bytes]:
        with (output or Path(os.devnull)).open("wb") as said:
            return subprocess.Popen(
                [str(self._programs / program), *words],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )


@contextmanager
def server() -> Iterator[RabbitServer]:
    """Starts a server; ends it and removes its directory at the end."""
    place = next((each for each in _PLACES if (each / "usr" / "lib" / "rabbitmq" / "lib").exists()), None)
    if place is None:
        pytest.skip(f"RabbitMQ is not here: install the Debian package {_PACKAGE}, or run .ci/rabbitmq")
    folder = Path(tempfile.mkdtemp(prefix="arenamesh-rabbitmq-"))
    started = RabbitServer(place, folder)
    try:
        started.start()
        yield started
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in found]

"""`python -m services.mesh.main up|down|status`, behind scripts/up and scripts/down."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from services.mesh import report
from services.mesh.errors import StartError
from services.mesh.mesh import Mesh
from services.mesh.report import Report, Sink
from services.mesh.service import PACKAGES
from services.mesh.settings import ROOT, MeshSettings, cores, from_environment
from services.mesh.state import DataDirectory

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3
EXIT_INTERRUPTED = 130
_DOWN_SECONDS = 30.0


def main() -> int:
    arguments = _parser().parse_args()
    sink = report.json_lines if arguments.json else report.for_people()
    tell = Report(sink)
    arguments.data = arguments.data.resolve()
    try:
        match arguments.command:
            case "up" if arguments.detach:
                return _detach(arguments, sink)
            case "up":
                return asyncio.run(_up(_settings(arguments), tell))
            case "down":
                return _down(DataDirectory(arguments.data), tell, force=arguments.force)
            case _:
                return _status(DataDirectory(arguments.data), as_json=arguments.json)
    except StartError as error:
        tell.failed(error)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, default=ROOT / ".data", metavar="DIR")
    common.add_argument("--json", action="store_true")
    parser = argparse.ArgumentParser(prog="python -m services.mesh.main", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", prog="scripts/up", parents=[common])
    up.add_argument("--host", default="127.0.0.1", metavar="ADDRESS")
    up.add_argument("--port", type=_port, default=8080, metavar="N")
    up.add_argument("--workers", type=_count, default=cores(), metavar="N")
    up.add_argument("--services", type=_services, default=(), metavar="NAME,...")
    up.add_argument("--no-bots", dest="bots", action="store_false")
    up.add_argument("--no-web", dest="web", action="store_false")
    up.add_argument("--detach", action="store_true")
    down = commands.add_parser("down", prog="scripts/down", parents=[common])
    down.add_argument("--force", action="store_true")
    commands.add_parser("status", prog="scripts/up --status", parents=[common])
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError("the number of workers is 1 to 64")
    return int(text)


def _services(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in PACKAGES:
            raise argparse.ArgumentTypeError(f"there is no service {name!r}, but {', '.join(PACKAGES)}")
    return names


def _settings(arguments: argparse.Namespace) -> MeshSettings:
    told = from_environment(os.environ)
    return MeshSettings(
        data=arguments.data,
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        services=arguments.services,
        bots=arguments.bots,
        web=arguments.web,
        environment=told["environment"],
        database_url=told["database_url"],
        redis_url=told["redis_url"],
        jwt_secret=told["jwt_secret"],
        log_level=told["log_level"],
    )


async def _up(settings: MeshSettings, tell: Report) -> int:
    """Runs until a signal. The first one stops in order, the second one at once."""
    directory = DataDirectory(settings.data)
    directory.claim()
    mesh = Mesh(settings, tell, directory)
    asked = asyncio.Event()

    def on_signal() -> None:
        if asked.is_set():
            mesh.kill()
            os._exit(EXIT_INTERRUPTED)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)

    starting = asyncio.create_task(mesh.start())
    waiting = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await waiting
    except StartError as error:
        tell.failed(error)
        return EXIT_FAILED
    else:
        return 0
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await mesh.stop()
        directory.release()


def _detach(arguments: argparse.Namespace, sink: Sink) -> int:
    """Starts a supervisor of its own session and tells what it tells until it is ready."""
    log_path = arguments.data / "logs" / "mesh.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    options = [option for option in sys.argv[1:] if option not in ("--detach", "--json")]
    with log_path.open("ab") as log:
        position = log.tell()
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "services.mesh.main", *options, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with log_path.open() as lines:
        lines.seek(position)
        try:
            return _follow(supervisor, lines, sink)
        except KeyboardInterrupt:
            supervisor.terminate()
            supervisor.wait()
            return EXIT_INTERRUPTED


def _follow(supervisor: subprocess.Popen[bytes], lines: IO[str], sink: Sink) -> int:
    ended = False
    while True:
        line = lines.readline()
        if not line:
            if ended:
                return supervisor.wait() or EXIT_FAILED
            # One more look after it ended, for what it said last.
            ended = supervisor.poll() is not None
            time.sleep(0.05)
            continue
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "note", "text": line.rstrip()}
        sink(event)
        if event["event"] == "ready":
            return 0


def _down(directory: DataDirectory, tell: Report, *, force: bool) -> int:
    state = directory.read()
    if state is None:
        tell.tell("note", text=f"No mesh is running on {directory.path}.")
        return 0
    begun = time.monotonic()
    tell.tell("stopping")
    os.kill(state["pid"], signal.SIGTERM)
    while directory.is_claimed():
        if time.monotonic() - begun > _DOWN_SECONDS:
            if not force:
                raise StartError(
                    f"Process {state['pid']} has not stopped within {_DOWN_SECONDS:g} s.",
                    "scripts/down --force kills it.",
                )
            os.kill(state["pid"], signal.SIGTERM)  # the second signal kills everything
            force = False
            begun = time.monotonic()
        time.sleep(0.05)
    tell.tell("stopped", seconds=round(time.monotonic() - begun, 2))
    return 0


def _status(directory: DataDirectory, *, as_json: bool) -> int:
    state = directory.read()
    if as_json:
        print(json.dumps(state or {"state": "stopped"}))
    elif state is None:
        print(f"No mesh is running on {directory.path}.")
    else:
        lines = [f"{state['state']}, process {state['pid']}, {state['edge']}, logs in {state['logs']}"]
        for part in state["parts"]:
            restarts = f", restarted {part['restarts']} times" if part["restarts"] else ""
            lines.append(f"  {part['part']:<12} {part['state']}, process {part['pid']}{restarts}")
        # At once, since `head` does not wait for the rest.
        print("\n".join(lines))
    return EXIT_NOT_RUNNING if state is None else 0


if __name__ == "__main__":
    sys.exit(main())

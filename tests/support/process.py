"""A service as a process of its own."""

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "PORT": "0", "ADMIN_PORT": "0", **variables}


async def start(*command: str, service: str = "combat", **variables: str) -> Process:
    """`command`: a subcommand and its arguments."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{service}.main",
        *command,
        env=environment(**variables),
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
    )


async def run(*command: str, service: str = "combat", **variables: str) -> tuple[int | None, str]:
    """Exit code, and what was printed and logged."""
    process = await start(*command, service=service, **variables)
    printed, said = await process.communicate()
    return process.returncode, (printed + said).decode()


@asynccontextmanager
async def serving(
    *, service: str = "combat", **variables: str
) -> AsyncIterator[tuple[Process, dict[str, int]]]:
    """A process that serves, and its ports; killed at the end if it still runs."""
    process = await start("serve", service=service, **variables)
    assert process.stderr
    try:
        async with asyncio.timeout(30):
            while True:
                line = await process.stderr.readline()
                assert line, "the process ended before it served"
                event = json.loads(line)
                if event["event"] == "serving":
                    break
        yield process, event
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def fetch(url: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(get)

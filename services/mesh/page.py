"""Builds the web page with Node, when its sources changed. `python -m services.mesh.page --help`."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from services.mesh.errors import StartError
from services.mesh.process import Program, run
from services.mesh.settings import ROOT

FOLDER = ROOT / "clients" / "web"
DIST = FOLDER / "dist"
IMAGE = ROOT / "build" / "arenamesh.binpb"
_LOG = ROOT / "build" / "web.log"
NO_NODE = StartError(
    "Node is not installed, so the page is not built.",
    "Debian and Ubuntu: apt-get install nodejs npm; macOS: brew install node. It needs Node 20 or newer.",
)


async def install() -> bool:
    """`npm ci`, when the lock changed. True: it ran. Raises StartError, as everything here."""
    lock = [FOLDER / "package-lock.json"]
    stamp = FOLDER / "node_modules" / ".installed"
    if _is_current(stamp, lock):
        return False
    await _npm("ci", "--no-audit", "--no-fund")
    _write_stamp(stamp, lock)
    return True


async def stubs() -> bool:
    """The TypeScript stubs, when the contract changed."""
    await install()
    inputs = [IMAGE, FOLDER / "buf.gen.yaml"]
    stamp = FOLDER / "node_modules" / ".stubs"
    if _is_current(stamp, inputs) and (FOLDER / "src" / "gen").is_dir():
        return False
    await _npm("run", "gen")
    _write_stamp(stamp, inputs)
    return True


async def build() -> bool:
    """The page in `clients/web/dist`, when anything it is made of changed."""
    await stubs()
    inputs = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".md")
    for folder in ("src", "public"):
        inputs += sorted(path for path in (FOLDER / folder).rglob("*") if path.is_file())
    stamp = FOLDER / "node_modules" / ".built"
    if _is_current(stamp, inputs) and exists():
        return False
    await _npm("run", "build")
    _write_stamp(stamp, inputs)
    return True


def exists() -> bool:
    """Is there a page to serve, of whatever age?"""
    return (DIST / "index.html").is_file()


async def _npm(*arguments: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NO_NODE
    # `npm run gen` needs buf, which is installed beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {"CI": "1", "PATH": path}
    program = Program(command=(npm, *arguments), log=_LOG, folder=FOLDER, environment=environment)
    await run(program, f"npm {' '.join(arguments)}")


def _is_current(stamp: Path, inputs: Iterable[Path]) -> bool:
    return stamp.is_file() and stamp.read_text() == _digest(inputs)


def _write_stamp(stamp: Path, inputs: Iterable[Path]) -> None:
    stamp.write_text(_digest(inputs))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m services.mesh.page",
        description="Makes the page current. Without Node: says so, and that is not an error.",
    )
    parser.add_argument("step", choices=["install", "stubs", "build"])
    step = {"install": install, "stubs": stubs, "build": build}[parser.parse_args().step]
    try:
        asyncio.run(step())
    except StartError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)
        sys.exit(0 if error is NO_NODE else 1)


if __name__ == "__main__":
    main()

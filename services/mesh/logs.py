"""Keeps the logs of the parts from filling the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

CHECK_S = 10.0


async def keep_small(folder: Path, most: int) -> None:
    """For as long as the mesh runs."""
    while True:
        set_aside(folder, most)
        await asyncio.sleep(CHECK_S)


def set_aside(folder: Path, most: int) -> None:
    """Copies each log of more than `most` bytes to `<name>.log.1` and empties it.

    Everybody appends, so the file stays open. Lines written between the copy and the emptying are lost.
    """
    for log in folder.glob("*.log"):
        if log.stat().st_size > most:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)

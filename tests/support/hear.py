"""The consumer of progression, in this process or as one of its own that dies.

`python -m tests.support.hear DATABASE_URL REDIS_URL EVENT_ID`: it dies when that event's effect is in the
database, and nobody knows yet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from services.chassis.dead_letters import DeadLetters
from services.progression.domain.curve import load_curves
from services.progression.domain.definition import Definitions, load_definitions
from services.progression.heard import Heard
from services.progression.ledger import Ledger
from services.progression.schema import SCHEMA
from services.progression.settings import ProgressionSettings
from services.progression.told import tell
from tests.support.buses import make

DATA = ProgressionSettings().data_dir
INSTALLED = load_definitions(DATA / "definitions", load_curves(DATA / "curves"))
DEFINITIONS = Definitions(INSTALLED["default-1"], INSTALLED)


@asynccontextmanager
async def keeping(database_url: str) -> AsyncIterator[Ledger]:
    """A ledger."""
    database = await Database.connect(database_url, size=4, wait_s=5, command_s=5)
    ledger = Ledger(database, DEFINITIONS, tell=tell)
    ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()
        await database.close()


@asynccontextmanager
async def hearing(database_url: str, bus: Bus, heard: type[Heard] = Heard) -> AsyncIterator[None]:
    """A member of the group, with a ledger of its own; it leaves the group at the end."""
    database = await Database.connect(database_url, size=2, wait_s=5, command_s=5)
    async with keeping(database_url) as ledger:
        members = await heard(ledger, DEFINITIONS).subscribe(bus, DeadLetters(SCHEMA).sink(database))
        try:
            yield
        finally:
            await asyncio.gather(*(member.close() for member in members))
            await database.close()


class Dying(Heard):
    lethal = ""

    async def handle(self, message: Message) -> None:
        await super().handle(message)
        if message.id == self.lethal:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(database_url: str, redis_url: str, lethal: str) -> None:
    Dying.lethal = lethal
    async with hearing(database_url, make("redis", redis_url), Dying):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The consumer of gamification, in this process or as one of its own that dies.

`python -m tests.support.hear_gamification DATABASE_URL REDIS_URL EVENT_ID`: it dies when that event's effect
is in the database, and nobody knows yet.
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
from services.gamification.committer import Committer
from services.gamification.definition_commands import DefinitionCommands
from services.gamification.definitions_store import Definitions, DefinitionsStore
from services.gamification.heard import Heard
from services.gamification.schema import SCHEMA
from services.gamification.settings import GamificationSettings
from tests.support.buses import make

DATA = GamificationSettings().data_dir


async def install(database: Database) -> None:
    """What comes with the service."""
    await DefinitionCommands(database, DefinitionsStore()).install(DATA)


@asynccontextmanager
async def listening(database_url: str, heard: type[Heard] = Heard) -> AsyncIterator[Heard]:
    """A handler with a committer of its own, as a process has it."""
    database = await Database.connect(database_url, size=1, wait_s=5, command_s=10, by_key=True)
    reading = await Database.connect(database_url, size=1, wait_s=5, command_s=10)
    store = DefinitionsStore()
    committer = Committer(database, store)
    committer.start()
    try:
        yield heard(committer, Definitions(reading, store).current)
    finally:
        await committer.close()
        await database.close()
        await reading.close()


@asynccontextmanager
async def hearing(database_url: str, bus: Bus, heard: type[Heard] = Heard) -> AsyncIterator[None]:
    """A member of the group; it leaves the group at the end."""
    database = await Database.connect(database_url, size=2, wait_s=5, command_s=5)
    async with listening(database_url, heard) as handler:
        members = await handler.subscribe(bus, DeadLetters(SCHEMA).sink(database))
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

"""A consumer as a process of its own, to be killed; its effects go into a table.

`python -m tests.support.consume DATABASE_URL BUS_KIND BUS_URL TOPIC GROUP [hanging]`. It dies of
events about `lethal`; with `hanging` it is stopped by those about `hanging`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from services.chassis.bus.port import Message
from services.chassis.db import Connection, Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.inbox import Inbox
from services.combat.schema import SCHEMA
from tests.support.buses import make

TABLE = "CREATE TABLE effects (number BIGINT GENERATED ALWAYS AS IDENTITY, pid INTEGER, event_id TEXT)"


async def main(database_url: str, kind: str, bus_url: str, topic: str, group: str, *hangs: str) -> None:
    database = await Database.connect(database_url, size=4, wait_s=5, command_s=5)
    inbox = Inbox(SCHEMA)

    async def handle(event: Message) -> None:
        if event.subject == "lethal":
            os.kill(os.getpid(), signal.SIGKILL)
        if event.subject in hangs:
            os.kill(os.getpid(), signal.SIGSTOP)

        async def work(connection: Connection) -> None:
            if await inbox.once(connection, group, event.id):
                await connection.execute(
                    "INSERT INTO effects (pid, event_id) VALUES ($1, $2)", os.getpid(), event.id
                )

        await database.transaction(work)

    bus = make(kind, bus_url)
    await bus.subscribe(topic, group, handle, DeadLetters(SCHEMA).sink(database))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

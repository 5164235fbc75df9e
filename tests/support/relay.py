"""A relay, in this process or as one of its own, to be killed.

`python -m tests.support.relay DATABASE_URL BUS_KIND BUS_URL`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.chassis.bus.port import Bus
from services.chassis.db import Database
from services.chassis.outbox import Outbox
from services.chassis.relay import Relay, RelayLimits
from services.chassis.singleton import Singleton
from services.combat.schema import SCHEMA
from tests.support.buses import make

LIMITS = RelayLimits(batch=10, poll_s=0.01, backoff_s=0.05, keep=timedelta(hours=1))


@asynccontextmanager
async def relaying(url: str, bus: Bus, limits: RelayLimits = LIMITS) -> AsyncIterator[None]:
    """A relay in this process."""
    database = await Database.connect(url, size=3, wait_s=2, command_s=2)
    relay = Relay(database, Outbox(SCHEMA), bus, limits)
    task = asyncio.create_task(Singleton(url, f"relay {SCHEMA}", standby_s=0.05).run(relay.run))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.close()


async def main(database_url: str, kind: str, bus_url: str) -> None:
    async with relaying(database_url, make(kind, bus_url)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

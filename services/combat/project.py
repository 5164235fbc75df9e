"""The process `main project`: counts the journals, sends the outbox, keeps the journal's partitions.

Any number of them may run. One counts and one sends at a time; the others stand by and take over.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from services.chassis import clock, migrate
from services.chassis.admin import Admin, Check
from services.chassis.bus import connect
from services.chassis.db import Database
from services.chassis.errors import Unavailable
from services.chassis.outbox import Outbox
from services.chassis.relay import relay
from services.chassis.singleton import Singleton
from services.combat.catalogue import load_catalogue
from services.combat.durability import retention
from services.combat.durability.journal_store import PostgresJournal
from services.combat.schema import SCHEMA, migrations
from services.combat.settings import CombatSettings
from services.combat.statistics.projector import ProjectionLimits, Projector
from services.combat.statistics.recount import Recount

_log = structlog.get_logger()
# Beside workers on one machine, players' answers come first: what is not counted now is counted later.
_NICE = 19
_RETENTION_S = 3600.0
_RETENTION_RETRY_S = 10.0


async def project(settings: CombatSettings) -> None:
    """Until SIGTERM or SIGINT. Raises SchemaError when the database is not migrated, or newer."""
    os.nice(_NICE)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with _opened(settings) as (database, journal):
        bus = connect(settings)
        limits = ProjectionLimits(
            poll_s=settings.projection_poll_s,
            sessions=settings.projection_sessions,
            parallel=settings.projection_parallel,
            share=settings.projection_share,
            rest_s=settings.projection_rest_s,
            segments=settings.projection_segments,
            size=settings.projection_bytes,
            retry_s=settings.projection_retry_s,
        )
        projector = Projector(database, journal, load_catalogue(settings.data_dir), Outbox(SCHEMA), limits)
        turn = Singleton.of(settings, "combat projector")
        admin = Admin({"postgresql": Check(database.ping), "bus": Check(bus.ping, required=False)})
        port = await admin.start(settings.host, settings.admin_port)
        _log.info("projecting", admin_port=port)
        try:
            await _until(
                stopped,
                turn.run(projector.run),
                relay(database, SCHEMA, bus, settings),
                _retain(database, settings.journal_days),
            )
        finally:
            admin.drain()
            await admin.stop()
            await bus.close()
            _log.info("stopped")


async def rebuild(settings: CombatSettings, session_id: str) -> None:
    """Counts a session again, or every one that was ever counted ('')."""
    async with _opened(settings) as (database, journal):
        recount = Recount(database, journal, load_catalogue(settings.data_dir), settings.projection_segments)
        if session_id:
            records = await recount.rebuild(session_id)
            _log.info("rebuilt", session_id=session_id, records=records)
        else:
            _log.info("rebuilt", sessions=await recount.rebuild_all())


@asynccontextmanager
async def _opened(settings: CombatSettings) -> AsyncIterator[tuple[Database, PostgresJournal]]:
    url = settings.database_url.get_secret_value()
    database = await Database.of(settings)
    journal = PostgresJournal(
        url, database, wait_s=settings.database_wait_s, command_s=settings.database_command_s
    )
    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        yield database, journal
    finally:
        await journal.close()
        await database.close()


async def _until(stopped: asyncio.Event, *work: Awaitable[None]) -> None:
    """Does all of it until told to stop. What fails ends the rest, and the process: its supervisor starts it
    anew."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in work]
    told: asyncio.Future[Any] = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait({told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in (told, *tasks):
            task.cancel()
        await asyncio.gather(told, *tasks, return_exceptions=True)


async def _retain(database: Database, days: int) -> None:
    while True:
        try:
            await retention.maintain(database, clock.now().date(), days)
        except Unavailable as error:
            _log.warning("partitions wait", error=error.text)
            await asyncio.sleep(_RETENTION_RETRY_S)
        else:
            await asyncio.sleep(_RETENTION_S)

"""What an operator runs beside the service while it goes on: `rebuild` and `remap`."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from services.chassis import migrate
from services.chassis.db import Database
from services.chassis.errors import FailedPrecondition
from services.progression.cache import Cache
from services.progression.connections import connect_redis, installed
from services.progression.ledger import Ledger
from services.progression.rebuild import rebuild as rebuild_all
from services.progression.remapper import Change, remap_all
from services.progression.schema import SCHEMA, migrations
from services.progression.settings import ProgressionSettings
from services.progression.told import tell
from services.progression.write_through import WriteThrough

_log = structlog.get_logger()


async def rebuild(settings: ProgressionSettings) -> None:
    """Makes the projections anew from the events, and says what was wrong; nobody is told anything."""
    definitions = installed(settings)
    async with _opened(settings) as (database, cache):
        done = await rebuild_all(database, definitions, _progress("rebuilt"))
        await cache.renew()
    for table, differed in done.differed.items():
        for character_id in differed:
            print(f"{character_id}: {table} was not what its events say")
    _log.info("rebuilt", characters=done.characters, statistics_corrected=done.statistics, same=done.same)


async def remap(settings: ProgressionSettings, *, dry_run: bool) -> None:
    """Brings every character to the active definition, DEFINITION, and says what changes."""
    definitions = installed(settings)
    async with _opened(settings) as (database, cache):
        ledger = None if dry_run else Ledger(database, definitions, tell=tell)
        writing = WriteThrough(cache)
        if ledger is not None:
            ledger.listeners.append(writing.told)
            ledger.start()
        try:
            done = await remap_all(
                database, definitions, ledger, progress=_progress("remapped"), changed=_print_change
            )
        finally:
            if ledger is not None:
                await ledger.close()
            await writing.flushed()
    for character_id, reason in sorted(done.refused.items()):
        print(f"{character_id}: refused, {reason}")
    _log.info(
        "remapped" if ledger else "would be remapped",
        definition=definitions.active.name,
        characters=done.characters,
        changed=done.changed,
        refused=len(done.refused),
    )
    if done.refused:
        raise FailedPrecondition("Some characters stay as they were.", reason="CHARACTERS_REFUSED")


@asynccontextmanager
async def _opened(settings: ProgressionSettings) -> AsyncIterator[tuple[Database, Cache]]:
    database = await Database.of(settings)
    redis = connect_redis(settings)
    try:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        yield database, Cache(redis, seconds=settings.cache_seconds, retry_s=settings.cache_retry_s)
    finally:
        await redis.aclose()
        await database.close()


def _progress(what: str) -> Callable[[int, int], None]:
    def show(done: int, all_: int) -> None:
        print(f"\r{what} {done} of {all_}", end="\n" if done == all_ else "", file=sys.stderr, flush=True)

    return show


def _print_change(change: Change) -> None:
    parts = [f"{track} {before} -> {after}" for track, (before, after) in change.levels.items()]
    if change.points_returned:
        parts.append("points returned")
    print(f"{change.character_id}: {', '.join(parts)}")

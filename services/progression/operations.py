"""What an operator runs beside the service while it goes on: `rebuild` and `remap`."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import structlog

from services.chassis import migrate
from services.chassis.db import Database, opened
from services.chassis.errors import FailedPrecondition
from services.chassis.redis import connect_redis
from services.chassis.write_through import WriteThrough
from services.progression.cache import Cache, cache
from services.progression.definitions import installed
from services.progression.domain.definition import Definitions
from services.progression.ledger import Ledger
from services.progression.rebuild import rebuild as rebuild_all
from services.progression.remapper import Change, remap_all
from services.progression.schema import SCHEMA, migrations
from services.progression.settings import ProgressionSettings
from services.progression.told import tell

_log = structlog.get_logger()


async def rebuild(settings: ProgressionSettings) -> None:
    """Makes the projections anew from the events, and says what was wrong; nobody is told anything."""
    definitions = installed(settings)
    async with _opened(settings) as (database, cached):
        done = await rebuild_all(database, definitions, _progress("rebuilt"))
        await cached.renew()
    for table, differed in done.differed.items():
        for character_id in differed:
            print(f"{character_id}: {table} was not what its events say")
    _log.info("rebuilt", characters=done.characters, statistics_corrected=done.statistics, same=done.same)


async def remap(settings: ProgressionSettings, *, dry_run: bool) -> None:
    """Brings every character to the active definition, DEFINITION, and says what changes."""
    definitions = installed(settings)
    async with _opened(settings) as (database, cached):
        nothing: AbstractAsyncContextManager[Ledger | None] = nullcontext()
        async with nothing if dry_run else _ledger(settings, definitions, cached) as ledger:
            done = await remap_all(
                database, definitions, ledger, progress=_progress("remapped"), changed=_print_change
            )
    for character_id, reason in sorted(done.refused.items()):
        print(f"{character_id}: refused, {reason}")
    _log.info(
        "would be remapped" if dry_run else "remapped",
        definition=definitions.active.name,
        characters=done.characters,
        changed=done.changed,
        refused=len(done.refused),
    )
    if done.refused:
        raise FailedPrecondition("Some characters stay as they were.", reason="CHARACTERS_REFUSED")


@asynccontextmanager
async def _opened(settings: ProgressionSettings) -> AsyncIterator[tuple[Database, Cache]]:
    async with opened(settings) as database, connect_redis(settings, settings.cache_timeout_s) as redis:
        async with database.connection() as connection:
            await migrate.check(connection, SCHEMA, migrations())
        yield database, cache(redis, seconds=settings.cache_seconds, retry_s=settings.cache_retry_s)


@asynccontextmanager
async def _ledger(
    settings: ProgressionSettings, definitions: Definitions, cached: Cache
) -> AsyncIterator[Ledger]:
    """A running one, with a connection of its own."""
    database = await Database.dedicated(settings)
    writing = WriteThrough(cached.put)
    ledger = Ledger(database, definitions, tell=tell)
    ledger.listeners.append(writing.told)
    ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()
        await writing.flushed()
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

"""Puts the order of places into Redis anew, from PostgreSQL."""

import asyncio
import json
from collections.abc import Callable, Sequence

import structlog

from services.chassis import clock, sql
from services.chassis.db import Database
from services.chassis.errors import Unavailable
from services.chassis.metrics import LEADERBOARD_REBUILT
from services.leaderboard import rows
from services.leaderboard.batch import Key
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.board import Catalogue
from services.leaderboard.domain.places import Place, slot_of
from services.leaderboard.domain.scoring import Entry
from services.leaderboard.schema import SQL
from services.leaderboard.standings import Away, Standings

Progress = Callable[[Place, int], None]
"""Told of each place that is done, and how many entries it has."""
_PAGE = 2000
_AGAIN_S = 0.5
_log = structlog.get_logger()


class Rebuilder:
    """In each process: whoever misses a place builds it, the others wait."""

    def __init__(self, database: Database, catalogue: CatalogueStore, standings: Standings) -> None:
        self._database = database
        self._catalogue = catalogue
        self._standings = standings
        self._sql = sql.load(SQL / "reads.sql")

    async def run(self) -> None:
        """For ever: the places that are wanted."""
        while True:
            await self._standings.woken.wait()
            try:
                await self.build_wanted()
            except (Away, Unavailable) as error:
                _log.warning("not rebuilt", error=repr(error))
                await asyncio.sleep(_AGAIN_S)

    async def catch_up(self) -> None:
        """Writes what the last transaction of each process changed: it may have died before Redis knew. To
        be called before this process commits anything, which overwrites what an earlier one of its name has
        left; while Redis is away the places are dirty from then on. Raises Unavailable.
        """
        async with self._database.connection() as connection:
            catalogue = await self._catalogue.present(connection)
            left = [
                Key(Place(*place), player)
                for row in await connection.fetch(self._sql["unprojected"])
                for *place, player in json.loads(row["changes"])
            ]
            keys = rows.keys_columns([key for key in left if key.player])
            entries = [rows.entry(row) for row in await connection.fetch(self._sql["some"], *keys)]
        for key in left:
            if not key.player:
                await self._standings.drop(key.place)
        await self._standings.write(entries, catalogue)

    async def build_wanted(self) -> None:
        """Those that are wanted by now. Raises Away, Unavailable: the rest is still wanted."""
        wanted = self._standings.wanted
        self._standings.woken.clear()
        try:
            while wanted:
                await self.build(next(iter(wanted)))
                wanted.pop(next(iter(wanted)))
        finally:
            if wanted:
                self._standings.woken.set()

    async def build(self, place: Place) -> int | None:
        """How many entries it has; None: another is building it, or it is final. Raises Away,
        Unavailable."""
        async with self._database.connection() as connection:
            catalogue = await self._catalogue.present(connection)
        slot = slot_of(place, catalogue)
        if slot is None or slot.final(clock.now()):
            return None
        token = await self._standings.begin(place)
        if not token or (count := await self._fill(catalogue, place, token)) is None:
            return None
        if not await self._standings.finish(catalogue, place, token):
            return None
        LEADERBOARD_REBUILT.inc()
        return count

    async def _fill(self, catalogue: Catalogue, place: Place, token: str) -> int | None:
        """How many entries; None: another has begun anew. While Redis takes a page the next one is read."""
        count = 0
        following = asyncio.ensure_future(self._page(place, ""))
        try:
            while entries := await following:
                following = asyncio.ensure_future(self._page(place, entries[-1].player))
                if not await self._standings.fill(catalogue, place, token, entries):
                    return None
                count += len(entries)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        return count

    async def _page(self, place: Place, after: str) -> Sequence[Entry]:
        async with self._database.connection() as connection:
            found = await connection.fetch(self._sql["all"], *place, after, _PAGE)
        return [rows.entry(row) for row in found]

    async def rebuild(self, progress: Progress) -> None:
        """Every place that is not final, whatever Redis has of it. Raises Away, Unavailable."""
        async with self._database.connection() as connection:
            places = [rows.place(row) for row in await connection.fetch(self._sql["open_places"])]
        for place in places:
            await self._standings.drop(place)
            count = await self.build(place)
            if count is not None:
                progress(place, count)

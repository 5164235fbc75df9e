"""Definitions that everybody asks for and that seldom change."""

from typing import Generic, Protocol, TypeVar

from services.chassis.db import Connection, Database, DatabaseUnavailable
from services.chassis.lookup import Lookup

_ALL = ""
"""What is looked up: everything."""


class Revised(Protocol):
    """Definitions as they were once. `revision`: less than 0: before any was read."""

    @property
    def revision(self) -> int: ...


D = TypeVar("D", bound=Revised)


class Store(Protocol[D]):
    """Where they are. `known`: as they were read last."""

    known: D

    async def present(self, connection: Connection) -> D:
        """As they are now."""
        ...


class Current(Generic[D]):
    """What there is, for whoever asks. One a process."""

    def __init__(self, database: Database, store: Store[D]) -> None:
        self._database = database
        self._definitions = store
        self._asked: Lookup[str, D] = Lookup(self._look, batch=1)

    async def current(self) -> D:
        """As of now or later; who asks at the same time is answered by one look. While PostgreSQL is away
        nobody changes them: as they were last seen.

        Raises:
            DatabaseUnavailable: it is away, and they were never seen.
            Overloaded: too many wait for it.
        """
        found = await self._asked.get(_ALL)
        assert found is not None
        return found

    async def _look(self, _asked: list[str]) -> dict[str, D]:
        try:
            async with self._database.connection() as connection:
                return {_ALL: await self._definitions.present(connection)}
        except DatabaseUnavailable:
            if self._definitions.known.revision < 0:
                raise
            return {_ALL: self._definitions.known}

"""A combat worker of the real parts, wired as `main` wires them, without gRPC and PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

from services.chassis.auth import Principal
from services.chassis.errors import Unavailable
from services.combat.catalogue import Catalogue
from services.combat.domain.session import Draft
from services.combat.live.matches import Matches
from services.combat.live.play import Play
from services.combat.live.sessions import Sessions
from services.combat.settings import CombatSettings
from tests.sim.database import Database, Journal, Network, Ownership, Rows
from tests.support.virtual_time import Node


class Worker:
    """A process. To be made in the context of its node."""

    def __init__(
        self,
        node: Node,
        settings: CombatSettings,
        catalogue: Catalogue,
        network: Network,
        draw: random.Random,
    ) -> None:
        self.node = node
        self._network = network
        journal = Journal(network, node)
        self._matches = Matches(Ownership(network, node, draw), journal, catalogue, settings)
        # Only the shape of the real ones.
        database, store = cast(Any, Database(network, node)), cast(Any, Rows(network.tables))
        self._sessions = Sessions(database, store, self._matches, catalogue, settings)
        self._play = Play(self._sessions, journal, settings)
        self.owner = self._matches.ownership.owner

    async def start(self) -> None:
        """Until the database lets it."""
        while True:
            try:
                return await self._matches.start()
            except Unavailable:
                await asyncio.sleep(0.1)

    async def drain(self) -> None:
        """What SIGTERM does."""
        await self._matches.drain()

    # -- what clients call ------------------------------------------------------------------------

    async def serve(self, context: Any, caller: Principal) -> None:
        await self._play.serve(context, caller)

    async def create(self, session_id: str, draft: Draft) -> None:
        await self._sessions.create(draft, session_id, None, lambda _session: b"")

    async def join(self, session_id: str, player_id: str) -> int:
        """The seat."""
        _, slot = await self._sessions.join(session_id, player_id, 0)
        return slot

    async def end(self, session_id: str) -> None:
        await self._sessions.end(session_id, None, lambda _session: b"")

    async def read(self, session_id: str) -> tuple[int, float]:
        """The last record of the state that GetState shows, and when it was looked at."""
        match = await self._sessions.match(session_id)
        return match.arena.sequence, self._network.loop.now

    # -- what the checkers ask --------------------------------------------------------------------

    async def settled(self, session_id: str) -> tuple[int, int] | None:
        """Sequence and state hash of the arena at a moment when all of it is durable; None: it is not
        played here.

        Raises:
            Unavailable: that does not come.
        """
        match = self._matches.known(session_id)
        if match is None:
            return None
        for _ in range(20):
            match.demand()
            if match.durable_through == match.arena.sequence:
                return match.arena.sequence, match.arena.state_hash()
            await asyncio.sleep(0.02)
        raise Unavailable("It never is.", reason="NOT_DURABLE")

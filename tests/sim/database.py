"""The way from the workers to the tables: requests and answers take time, get lost, come late.

A request that fails says Unavailable, as a broken connection does, whether or not it was, or will be,
carried out. That is the whole difficulty of the committer's and the owner's life.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from services.chassis.errors import Unavailable
from services.combat.domain.session import Session
from services.combat.ports import Save, Segment
from tests.sim.tables import Tables
from tests.sim.trace import Trace
from tests.support.virtual_time import Loop, Node

T = TypeVar("T")


class Network:
    """What the database and the ways to it are like just now. The faults turn its knobs."""

    def __init__(self, loop: Loop, draw: random.Random, tables: Tables, trace: Trace) -> None:
        self.loop = loop
        self.tables = tables
        self.trace = trace
        self.down = False
        """Refuses whoever asks."""
        self.stalled: list[Callable[[], None]] | None = None
        """Answers nobody; requests pile up until it goes on."""
        self.slow = 1.0
        self.lossy = 0.0
        """How likely a request comes to grief by itself."""
        self.notify_lossy = 0.0
        self.timeout_s = 1.0
        self._draw = draw

    def latency(self) -> float:
        """One way, in seconds: mostly short, sometimes ten times as long."""
        draw = self._draw
        base = 0.0003 + 0.0012 * draw.random()
        if draw.random() < 0.03:
            base *= 10
        return base * self.slow

    async def ask(self, node: Node, name: str, about: object, operation: Callable[[], T]) -> T:
        """The answer to a request that is carried out as a whole or not at all."""
        future: asyncio.Future[T] = self.loop.create_future()
        request = _Request(self, node, name, about, operation, future)
        fate = self._draw.random()
        after = self.loop.world_after
        if fate >= self.lossy:
            after(self.latency(), request.arrive, True)
        elif fate < self.lossy * 0.3:  # never arrives
            after(self._trouble(), request.fail)
        elif fate < self.lossy * 0.6:  # carried out, and the answer is lost
            after(self.latency(), request.arrive, False)
            after(self._trouble() + 0.1, request.fail)
        else:  # given up here, carried out later
            give_up = self._trouble()
            after(give_up, request.fail)
            after(give_up + self._draw.random() * 0.6, request.arrive, False)
        return await future

    def _trouble(self) -> float:
        """How long it takes to see that a connection is broken."""
        return self.timeout_s if self._draw.random() < 0.1 else 0.02 + 0.2 * self._draw.random()

    def go_on(self) -> None:
        """Ends a stall: everything that piled up is carried out."""
        piled, self.stalled = self.stalled or [], None
        for arrive in piled:
            arrive()

    def cut(self, owner: str) -> None:
        """The worker's presence is gone: what the server knows of it a moment later."""
        presence = self.tables.workers.get(owner)
        if presence is not None:
            self.tables.cut_at = self.loop.now
            self.loop.world_after(0.03 * self._draw.random(), setattr, presence, "backend", False)


@dataclass(slots=True)
class _Request:
    network: Network
    node: Node
    name: str
    about: object
    operation: Callable[[], Any]
    future: asyncio.Future[Any]

    def arrive(self, answered: bool) -> None:
        network = self.network
        if network.down:
            network.loop.world_after(network.latency() * 5, self.fail)
            return
        if network.stalled is not None:
            network.stalled.append(lambda: self.arrive(answered))
            network.loop.world_after(network.timeout_s, self.fail)
            return
        result = self.operation()
        network.trace.add(self.node.name, self.name, self.about, "->", result)
        if answered:
            network.loop.world_after(network.latency(), self.answer, result)

    def answer(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self) -> None:
        if not self.future.done():
            self.network.trace.add(self.node.name, self.name, self.about, "-> no answer")
            self.future.set_exception(_unavailable())


class Journal:
    """`ports.JournalStore` of one worker."""

    def __init__(self, network: Network, node: Node) -> None:
        self._network = network
        self._node = node

    async def commit(self, owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        tables = self._network.tables
        return await self._network.ask(self._node, "commit", segments, lambda: tables.commit(owner, segments))

    async def read(self, session_id: str, after: int, limit: int) -> list[Segment]:
        tables = self._network.tables
        return await self._network.ask(
            self._node, "read", (session_id, after), lambda: tables.read(session_id, after, limit)
        )

    async def save_before(self, session_id: str, tick: int | None = None) -> Save | None:
        tables = self._network.tables
        return await self._network.ask(
            self._node, "save_before", session_id, lambda: tables.save_before(session_id, tick)
        )


class Ownership:
    """`ports.OwnershipStore` of one worker."""

    def __init__(self, network: Network, node: Node, draw: random.Random) -> None:
        self._network = network
        self._node = node
        self._draw = draw

    async def join(self, owner: str, name: str, asked: Callable[[str], None]) -> None:
        loop, node, tables = self._network.loop, self._node, self._network.tables

        def told(session_id: str) -> None:
            loop.call_soon(asked, session_id, context=loop.context(node))

        await self._network.ask(node, "join", owner, lambda: tables.join(owner, name, told))

    async def beat(self, owner: str) -> bool:
        tables = self._network.tables
        try:
            return await self._network.ask(self._node, "beat", owner, lambda: tables.beat(owner))
        except Unavailable:
            self._network.cut(owner)  # the connection that failed is given up
            raise

    async def leave(self, owner: str) -> None:
        tables = self._network.tables
        await self._network.ask(self._node, "leave", owner, lambda: tables.leave(owner))

    async def claim(self, session_id: str, owner: str) -> Session | None:
        tables = self._network.tables
        return await self._network.ask(
            self._node, "claim", (session_id, owner), lambda: tables.claim(session_id, owner)
        )

    async def release(self, session_id: str, owner: str, epoch: int) -> bool:
        tables = self._network.tables
        return await self._network.ask(
            self._node,
            "release",
            (session_id, owner, epoch),
            lambda: tables.release(session_id, owner, epoch),
        )

    async def ask(self, session_id: str, holder: str) -> None:
        network, tables = self._network, self._network.tables

        def notify() -> None:
            told = tables.ask(session_id, holder)
            if told is not None and self._draw.random() >= network.notify_lossy:
                network.loop.world_after(network.latency(), told)

        await network.ask(self._node, "ask", (session_id, holder), notify)

    async def held(self, owner: str) -> dict[str, int]:
        tables = self._network.tables
        return await self._network.ask(self._node, "held", owner, lambda: tables.held(owner))

    async def orphans(self, owner: str, limit: int) -> list[str]:
        def look() -> list[str]:
            found = self._network.tables.orphans(owner)
            self._draw.shuffle(found)
            return found[:limit]

        return await self._network.ask(self._node, "orphans", owner, look)

    async def write(self, session: Session) -> bool:
        tables = self._network.tables
        return await self._network.ask(self._node, "write", session, lambda: tables.update(session))


class Connection:
    """A transaction: what it would change, until it commits."""

    def __init__(self) -> None:
        self.effects: list[Callable[[], bool]] = []


class Database:
    """`chassis.db.Database` as far as sessions need it, of one worker.

    Statements are answered at once and carried out with the commit; one that is not possible any more by
    then breaks the transaction, as a lock that cannot be had would.
    """

    def __init__(self, network: Network, node: Node) -> None:
        self._network = network
        self._node = node

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connection = Connection()
        await self._network.ask(self._node, "begin", "", lambda: None)
        result = await work(connection)

        def commit() -> bool:
            return all(effect() for effect in connection.effects)

        if not await self._network.ask(self._node, "end", len(connection.effects), commit):
            raise _unavailable()
        return result

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        await self._network.ask(self._node, "query", "", lambda: None)
        yield Connection()


class Rows:
    """`combat.store.SessionStore` as far as sessions need it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def insert(self, connection: Connection, session: Session) -> bool:
        connection.effects.append(lambda: self._tables.insert(session))
        return session.session_id not in self._tables.sessions

    async def update(self, connection: Connection, session: Session) -> bool:
        connection.effects.append(lambda: self._tables.update(session))
        return self._tables.may_update(session)

    async def get(self, _connection: Connection, session_id: str) -> Session | None:
        return self._tables.get(session_id)


def _unavailable() -> Unavailable:
    return Unavailable("The database does not answer.", reason="DATABASE_UNAVAILABLE", retry_after_s=1.0)

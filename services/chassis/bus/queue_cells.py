"""Small documents, each the only message of a queue of its own: who has received it may replace it, nobody
else sees it meanwhile."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from services.chassis import clock
from services.chassis.bus.queues import PAGE, Queues, Sent

T = TypeVar("T")
Document = dict[str, Any]
"""Of JSON. Empty: there is none."""
_NEW = "{}"
_WAIT_S = 1


@dataclass(slots=True)
class Taken:
    """A document in our hands until `until_s` (monotonic), or longer when it is kept."""

    name: str
    handle: str
    document: Document
    until_s: float
    written: bool = False

    @property
    def ours(self) -> bool:
        return clock.monotonic_s() < self.until_s


class Cells:
    """`keep_s`: how long whoever has died keeps one from the others."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self.keep_s = queues.keep_s

    async def take(self, cell: str, wait_s: int = 0) -> Taken | None:
        """None: it is in other hands."""
        name = f"arenamesh-cell_{cell}.fifo"
        while True:
            until_s, found = await self._queues.receive(name, PAGE)
            if not found and await self._queues.length(name) == 0:
                await self._queues.send(name, [Sent("cell", _NEW)])
                until_s, found = await self._queues.receive(name, PAGE)
            if not found and wait_s:
                until_s, found = await self._queues.receive(name, PAGE, wait_s=wait_s)
            if not found:
                return None
            # One that was made although there was a document counts for nothing.
            newest = max(found, key=lambda each: (each.text != _NEW, each.number))
            await self._queues.delete(name, [each.handle for each in found if each is not newest])
            if len(found) < PAGE:
                return Taken(name, newest.handle, json.loads(newest.text), until_s)
            await self._queues.give_back(name, [newest.handle])  # there may be more behind it

    async def keep(self, taken: Taken) -> bool:
        """For longer, from now on. False: it is not ours any more."""
        until_s = clock.monotonic_s() + self.keep_s
        if not await self._queues.keep(taken.name, [taken.handle]):
            taken.until_s = 0.0
        if not taken.ours:
            return False
        taken.until_s = until_s
        return True

    async def write(self, taken: Taken) -> None:
        """What its document is now, for whoever takes it next."""
        text = json.dumps(taken.document, separators=(",", ":"))
        await self._queues.send(taken.name, [Sent("cell", text)])
        taken.written = True

    async def free(self, taken: Taken) -> None:
        """For others."""
        if taken.written:
            await self._queues.delete(taken.name, [taken.handle])
        else:
            await self._queues.give_back(taken.name, [taken.handle])

    async def change(self, cell: str, change: Callable[[Document], T]) -> T:
        """Sets what `change` makes of it."""
        while (taken := await self.take(cell, _WAIT_S)) is None:
            pass
        before = json.dumps(taken.document)
        result = change(taken.document)
        if json.dumps(taken.document) != before:
            await self.write(taken)
        await self.free(taken)
        return result

"""WatchProgress: how a character stands, then every event of it, none left out and none twice.

A stream reads the event store from where it is; what wakes it is in the chassis (`wake.py`).
"""

from typing import Any

from arenamesh.progression.v1 import service_pb2

from services.chassis.auth import Principal
from services.chassis.errors import DomainError, OutOfRange
from services.chassis.method import Context
from services.chassis.metrics import PROGRESSION_WATCH_ENDS, PROGRESSION_WATCH_EVENTS
from services.chassis.wake import Hub, Watcher, write
from services.progression.batch import Recorded
from services.progression.domain.character import Character, applied
from services.progression.domain.definition import Definitions
from services.progression.domain.standing import standing
from services.progression.history import History
from services.progression.reader import Reader
from services.progression.translate import history_event, progress


class Watch:
    """Opens streams. `batch`: events that one holds at once. `write_s`: how long one write may take."""

    def __init__(
        self,
        hub: Hub,
        reader: Reader,
        history: History,
        definitions: Definitions,
        *,
        batch: int,
        write_s: float,
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._history = history
        self._definitions = definitions
        self._batch = batch
        self._write_s = write_s

    async def serve(
        self, request: service_pb2.WatchProgressRequest, context: Context, caller: Principal
    ) -> None:
        """Runs one stream until it is ended, or nobody reads it any more.

        Raises:
            DomainError: why it was refused, or ended by the server.
        """
        try:
            with self._hub.watching(request.character_id) as watcher:
                await self._run(request, context, caller, watcher)
        except DomainError as error:
            PROGRESSION_WATCH_ENDS.labels(error.reason).inc()
            raise

    async def _run(
        self,
        request: service_pb2.WatchProgressRequest,
        context: Context,
        caller: Principal,
        watcher: Watcher,
    ) -> None:
        character = await self._reader.character(request.character_id, caller)
        if request.HasField("after_version"):
            if request.after_version > character.version:
                # It was told by a process that Redis has not heard of yet.
                character = await self._reader.stored(request.character_id, caller)
            watcher.version = _started(request.after_version, character)
            watcher.woken.set()
        else:
            watcher.version = character.version
            first = service_pb2.WatchProgressResponse(progress=self._progress(character))
            await write(context, first, self._write_s)
        while True:
            await watcher.wait(caller)
            while found := await self._history.after(character.character_id, watcher.version, self._batch):
                for recorded in found:
                    # One that was read with the character already is told with how it stood when read.
                    if recorded.version > character.version:
                        character = applied(character, character.character_id, recorded.event, recorded.at)
                    await self._tell(context, recorded, character)
                    watcher.version = recorded.version
                    self._hub.check(caller)
            self._hub.check(caller)

    def _progress(self, character: Character) -> Any:
        definition = self._definitions.of(character)
        return progress(character, standing(definition, character))

    async def _tell(self, context: Context, recorded: Recorded, character: Character) -> None:
        answer = service_pb2.WatchProgressResponse(
            event=history_event(recorded), progress=self._progress(character)
        )
        await write(context, answer, self._write_s)
        PROGRESSION_WATCH_EVENTS.inc()


def _started(after_version: int, character: Character) -> int:
    if after_version > character.version:
        raise OutOfRange(
            f"after_version: the character is at version {character.version}.",
            reason="VERSION_AHEAD",
            metadata={"version": str(character.version)},
        )
    return after_version

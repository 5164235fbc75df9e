"""Takes sessions that nobody plays and nobody asks for, so that they go on, and end some day."""

import asyncio
from contextvars import Context

import structlog

from services.chassis import clock
from services.chassis.errors import DataLoss, DomainError, FailedPrecondition, Unavailable
from services.combat.domain import session as rules
from services.combat.domain.session import SessionStatus
from services.combat.live.matches import Matches
from services.combat.ports import OwnershipStore

_log = structlog.get_logger()
_AT_ONCE = 16


class Sweeper:
    """Looks every `interval_s`, and at once when it starts: for what earlier processes of its name left."""

    def __init__(self, matches: Matches, store: OwnershipStore, interval_s: float) -> None:
        self._matches = matches
        self._store = store
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            found: list[str] = []
            try:
                self._matches.refuse()
                self._matches.check_room()
                found = await self._store.orphans(self._matches.ownership.owner, _AT_ONCE)
                for session_id in found:
                    await self._take(session_id)
            except DomainError as error:
                _log.warning("not sweeping", reason=error.reason)
                found = []
            except Exception:
                _log.exception("sweep failed")
                found = []
            if len(found) < _AT_ONCE:
                await asyncio.sleep(self._interval_s)

    async def _take(self, session_id: str) -> None:
        try:
            await self._matches.take(session_id)
        except (FailedPrecondition, DataLoss) as error:
            if error.reason != "SESSION_OVER":
                _log.error("session given up", session_id=session_id, reason=error.reason, error=error.text)
                await self._give_up(session_id)
        except Unavailable as error:
            _log.info("session not taken over", session_id=session_id, reason=error.reason)

    async def _give_up(self, session_id: str) -> None:
        """It cannot be played again, here or by anybody of this build."""
        session = await self._matches.ownership.acquire(session_id, ask=False)
        await self._store.write(rules.transition(session, SessionStatus.ABORTED, clock.now()))

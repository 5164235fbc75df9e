"""Whether this worker lives, as others see it, and which sessions are its own."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

import structlog

from services.chassis import clock
from services.chassis.errors import Unavailable
from services.combat.domain import session as rules
from services.combat.domain.session import Session
from services.combat.ports import OwnershipStore
from services.combat.refusals import not_here

_log = structlog.get_logger()
_ASK_AGAIN_S = 0.25
_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.05


class Ownership:
    """`asked` is called with each session that another worker wants. `check` must find out which sessions
    are still this worker's; it is called when others may have thought it dead."""

    def __init__(
        self,
        store: OwnershipStore,
        name: str,
        *,
        heartbeat_s: float,
        lease_s: float,
        handover_wait_s: float,
        asked: Callable[[str], None],
        check: Callable[[], Awaitable[None]],
    ) -> None:
        self.owner = f"{name}.{clock.new_id()[:12]}"
        """This process; its sessions' rows say so."""
        self._store = store
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._lease_s = lease_s
        self._handover_wait_s = handover_wait_s
        self._asked = asked
        self._check = check
        self._alive_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Makes the worker known. Raises Unavailable."""
        begin_s = clock.monotonic_s()
        await self._store.join(self.owner, self._name, self._asked)
        self._alive_s = begin_s
        self._task = asyncio.get_running_loop().create_task(self._beat(), context=Context())

    async def stop(self) -> None:
        """Whatever the worker still holds is free for others."""
        if self._task is None:
            return
        self._task.cancel()
        self._task = None
        try:
            await self._store.leave(self.owner)
        except Unavailable as error:
            _log.warning("others will find out by themselves", reason=error.reason)

    @property
    def sure(self) -> bool:
        """Whether nobody can have taken a session without being told to: false when the worker could not
        show that it lives for a lease, until it has checked."""
        return clock.monotonic_s() - self._alive_s < self._lease_s

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            begin_s = clock.monotonic_s()
            try:
                known = await self._store.beat(self.owner)
                if not known:
                    await self._store.join(self.owner, self._name, self._asked)
                if not known or not self.sure:
                    _log.warning("taken for dead", seconds=begin_s - self._alive_s)
                    await self._check()
            except Unavailable as error:
                _log.warning("no heartbeat", reason=error.reason)
            except Exception:
                _log.exception("heartbeat failed")
            else:
                self._alive_s = begin_s

    async def acquire(self, session_id: str, *, ask: bool = True) -> Session:
        """The session, which is this worker's from now on. `ask`: a living worker that has it, and wait.

        Raises:
            NotFound: SESSION_NOT_FOUND.
            FailedPrecondition: SESSION_OVER.
            Unavailable: SESSION_NOT_HERE, another worker keeps it; DATABASE_UNAVAILABLE.
        """
        deadline_s = clock.monotonic_s() + self._handover_wait_s if ask else 0.0
        ask_s, look_s = 0.0, _FIRST_LOOK_S
        while True:
            session = await self._store.claim(session_id, self.owner)
            if session is None:
                raise rules.not_found(session_id)
            if not session.live:
                raise rules.over(session)
            if session.owner == self.owner:
                return session
            now_s = clock.monotonic_s()
            if now_s >= deadline_s:
                raise not_here(session_id, session.owner)
            if now_s >= ask_s:
                await self._store.ask(session_id, session.owner)
                ask_s = now_s + _ASK_AGAIN_S
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, _LAST_LOOK_S)

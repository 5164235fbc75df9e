"""How calls are made: token, deadline, another try where that is safe, typed errors."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from grpc import aio

from arenamesh.client.errors import Unauthenticated, from_rpc
from arenamesh.client.retry import Backoff, retrying
from arenamesh.client.tokens import TokenSource

T = TypeVar("T")
ONCE = Backoff(attempts=1)


class Caller:
    """What all services of one mesh are called by.

    Attributes:
        tokens: of the caller.
        backoff: how calls are tried again.
    """

    def __init__(self, tokens: TokenSource, *, deadline_s: float, backoff: Backoff) -> None:
        self.tokens = tokens
        self.backoff = backoff
        self._deadline_s = deadline_s

    async def call(
        self,
        method: Callable[..., Awaitable[T]],
        request: Any,
        metadata: Mapping[str, str] | None = None,
        *,
        retry: bool = False,
        deadline_s: float = 0.0,
    ) -> T:
        """The answer of an unary call.

        Args:
            retry: a repeat is harmless.
            deadline_s: 0 for the client's own.

        Raises:
            MeshError: it was refused, or not answered in time.
        """

        async def once() -> T:
            headers = await self._headers(metadata)
            try:
                return await method(request, metadata=headers, timeout=deadline_s or self._deadline_s)
            except aio.AioRpcError as error:
                raise from_rpc(error) from error

        backoff = self.backoff if retry else ONCE
        try:
            return await retrying(once, backoff)
        except Unauthenticated:
            # Refused before anything happened, so safe for every call: once more with a fresh token.
            if not self.tokens.renewable:
                raise
            self.tokens.refuse(await self.tokens.get())
            return await retrying(once, backoff)

    async def stream(
        self, method: Callable[..., Any], request: Any, metadata: Mapping[str, str] | None = None
    ) -> AsyncIterator[Any]:
        """The messages of a server's stream. Raises MeshError when it breaks."""
        call = method(request, metadata=await self._headers(metadata))
        try:
            while (message := await call.read()) is not aio.EOF:
                yield message
        except aio.AioRpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

    async def _headers(self, metadata: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
        bearer = {"authorization": f"Bearer {await self.tokens.get()}"}
        return tuple((name, value) for name, value in {**bearer, **(metadata or {})}.items() if value)


def key() -> str:
    """An idempotency key: of one call, however often it is tried."""
    return uuid.uuid4().hex

"""How calls are made: token, deadline, another try where that is safe, typed errors."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from grpc import aio

from arenamesh.client.errors import MeshError, Unauthenticated, Unavailable, from_rpc
from arenamesh.client.retry import Backoff, Resumption, retrying
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
    ) -> AsyncGenerator[Any, None]:
        """The messages of a server's stream. Raises MeshError when it breaks."""
        call = method(request, metadata=await self._headers(metadata))
        try:
            while (message := await call.read()) is not aio.EOF:
                yield message
        except aio.AioRpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

    async def follow(
        self, method: Callable[..., Any], request: Callable[[], Any]
    ) -> AsyncGenerator[Any, None]:
        """The messages of a server's stream that is opened again whenever it is lost.

        Args:
            request: makes the request of each stream, so that it can say where the last one ended.

        Raises:
            MeshError: it was refused, or could not be opened again within the tries of the backoff.
        """
        resumption = Resumption(self.backoff, renewable=self.tokens.renewable)
        while True:
            started, token = time.monotonic(), await self.tokens.get()
            try:
                async with aclosing(self.stream(method, request())) as messages:
                    async for message in messages:
                        yield message
                error: MeshError = Unavailable("the stream ended")
            except MeshError as caught:
                error = caught
            if isinstance(error, Unauthenticated):
                self.tokens.refuse(token)
            wait = resumption.wait(error, lived_s=time.monotonic() - started)
            if wait is None:
                raise error
            await asyncio.sleep(wait)

    async def pages(self, method: Callable[..., Awaitable[Any]], request: Any) -> AsyncGenerator[Any, None]:
        """The answers of a list's pages, each fetched when it is wanted."""
        while True:
            page = await self.call(method, request, retry=True)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _headers(self, metadata: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
        bearer = {"authorization": f"Bearer {await self.tokens.get()}"}
        return tuple((name, value) for name, value in {**bearer, **(metadata or {})}.items() if value)


def key() -> str:
    """An idempotency key: of one call, however often it is tried."""
    return uuid.uuid4().hex

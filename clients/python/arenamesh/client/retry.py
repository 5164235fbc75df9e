"""When to try again and how long to wait before it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc

from arenamesh.client.errors import MeshError, ResourceExhausted, Unauthenticated

T = TypeVar("T")

# The first way back after a break, and every one that the mesh asked for, is tried almost at once: another
# worker is there already. Only so much is waited that a worker's clients do not come in one burst.
_PROMPT_S = 0.02

# A worker that stops answers CANCELLED to what it still held; nothing local cancels with that code.
LOST = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})

# What a stream may end with and be opened again. Envoy shows a worker that died as INTERNAL, and a
# status that raced with a write as the same; a refusal that stays comes back as itself.
RESUMABLE = LOST | {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}

# A stream that lived this long was a good one: the count of tries starts again.
SETTLED_S = 5.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, with full jitter so that clients of a lost worker do not come back at the same instant."""

    first_s: float = 0.05
    factor: float = 2.0
    max_s: float = 2.0
    attempts: int = 8
    """Tries altogether; the error of the last one is raised."""

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the failed try number `attempt`, 1 for the first."""
        ceiling = min(self.max_s, self.first_s * self.factor ** min(attempt - 1, 32))
        return ceiling * (0.5 + 0.5 * random.random())

    def prompt_delay(self) -> float:
        """Seconds to wait when another worker is likely to be ready."""
        return min(self.first_s, _PROMPT_S) * random.random()


def may_retry(error: MeshError) -> bool:
    """Nothing came of the call, and another try may succeed. Only asked of idempotent calls."""
    if isinstance(error, ResourceExhausted):
        return error.retry_after is not None
    return error.status in LOST


async def retrying(call: Callable[[], Awaitable[T]], backoff: Backoff) -> T:
    """Awaits `call()` until it succeeds, is refused for good, or the tries are used up.

    Raises:
        MeshError: of the last try.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except MeshError as error:
            if attempt >= backoff.attempts or not may_retry(error):
                raise
            wait = max(error.retry_after or 0.0, backoff.delay(attempt))
        await asyncio.sleep(wait)


class Resumption:
    """Whether, and when, a stream that was lost is opened again.

    Args:
        backoff: tries in a row.
        renewable: a refused token can be replaced.
    """

    def __init__(self, backoff: Backoff, *, renewable: bool) -> None:
        self._backoff = backoff
        self._renewable = renewable
        self._failures = 0
        self._refusals = 0

    def wait(self, error: MeshError, *, lived_s: float, prompt: bool = False) -> float | None:
        """Seconds until the next try; None: no more of them. `prompt`: the mesh asked for another stream."""
        if lived_s > SETTLED_S:
            self._failures = self._refusals = 0
        self._failures += 1
        # A token runs out under a long stream too; one that is fresh and refused stays refused.
        self._refusals += isinstance(error, Unauthenticated)
        renewed = isinstance(error, Unauthenticated) and self._refusals == 1 and self._renewable
        if not (renewed or error.status in RESUMABLE) or self._failures >= self._backoff.attempts:
            return None
        if prompt or self._failures == 1:
            delay = self._backoff.prompt_delay()
        else:
            delay = self._backoff.delay(self._failures - 1)
        return max(delay, error.retry_after or 0.0)

"""Bearer tokens: a fixed one, or a callback that is asked again before the last one runs out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import json
import time
from collections.abc import Awaitable, Callable

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or a function (plain or async) that returns a fresh one."""

REFRESH_BEFORE_S = 30.0


class TokenSource:
    """Holds the newest token. A callback runs once however many calls wait for it."""

    def __init__(self, token: Token) -> None:
        self._callback = None if isinstance(token, str) else token
        self._token = token if isinstance(token, str) else ""
        self._refresh_at = 0.0
        self._lock = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        return self._callback is not None

    def refuse(self, token: str) -> None:
        """The mesh did not accept `token`: the next call asks for another one."""
        if token == self._token:
            self._refresh_at = 0.0

    async def get(self) -> str:
        """The token to send now."""
        if self._callback is None or time.time() < self._refresh_at:
            return self._token
        async with self._lock:
            if time.time() >= self._refresh_at:
                answer = self._callback()
                self._token = await answer if inspect.isawaitable(answer) else answer
                self._refresh_at = _expiry(self._token) - REFRESH_BEFORE_S
        return self._token


def _expiry(token: str) -> float:
    """The `exp` claim, seconds since 1970; never, for a token that has none or is not a JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return float("inf")

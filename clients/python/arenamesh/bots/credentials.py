"""Where bots get their tokens: signed here with the mesh's secret, or asked for at a token address."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial

TokenFor = Callable[[str, str], Callable[[], str | Awaitable[str]]]
"""(subject, role) -> what `connect(token=...)` takes."""

ISSUER = AUDIENCE = "arenamesh"
LIFETIME_S = 3600
HTTP_TIMEOUT_S = 5.0


def signed_with(secret: str) -> TokenFor:
    """Tokens signed with the mesh's HS256 secret. Needs PyJWT: the extra `arenamesh[bots]`."""
    import jwt  # noqa: PLC0415 - only who holds the secret needs it

    def mint(subject: str, role: str) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "role": role,
            "iat": now,
            "exp": now + LIFETIME_S,
        }
        return jwt.encode(claims, secret, algorithm="HS256")

    return lambda subject, role: partial(mint, subject, role)


def asked_at(url: str) -> TokenFor:
    """Tokens from a development mesh: GET `url?role=...&subject=...`, answered by JSON with `token`."""

    async def ask(subject: str, role: str) -> str:
        query = urllib.parse.urlencode({"role": role, "subject": subject})
        answer = json.loads(await get(f"{url}?{query}"))
        return str(answer["token"])

    return lambda subject, role: partial(ask, subject, role)


async def get(url: str) -> bytes:
    """The body of an HTTP(S) address. Raises OSError when it is not there."""

    def read() -> bytes:
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_S) as response:
            return bytes(response.read())

    return await asyncio.to_thread(read)

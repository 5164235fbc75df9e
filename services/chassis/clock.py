"""The only door to time and randomness. Nothing else in the services reads a clock or draws a number."""

import re
import secrets
import time
from datetime import UTC, datetime

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def monotonic_us() -> int:
    """Microseconds of a clock that never goes back; the same clock as `asyncio`'s `loop.time()`."""
    return time.monotonic_ns() // 1000


def monotonic_s() -> float:
    """The same clock in seconds."""
    return time.monotonic()


def now() -> datetime:
    """Wall clock, in UTC, to the microsecond that PostgreSQL keeps."""
    return datetime.now(UTC)


def unix_s() -> int:
    """Whole seconds since 1970, as tokens count them."""
    return int(time.time())


def new_id() -> str:
    """A random id of 26 characters (104 bits), safe in a URL and as a session id."""
    return secrets.token_hex(13)


def is_id(text: str) -> bool:
    """Whether a text may serve as an id of ours."""
    return _ID.fullmatch(text) is not None


def secret_key64() -> int:
    """64 unpredictable bits, such as the key of a session's random draws."""
    return secrets.randbits(64)


def jittered(pause_s: float) -> float:
    """From half of a pause up to all of it, at random: who waits for the same does not come back together."""
    return pause_s * (1 + secrets.randbits(53) / (1 << 53)) / 2


def secret_bytes(count: int) -> bytes:
    """Unpredictable bytes, such as a key."""
    return secrets.token_bytes(count)

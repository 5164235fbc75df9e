"""The connection to Redis of whatever can do without it."""

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.chassis.settings import Settings

_log = structlog.get_logger()


def connect_redis(settings: Settings, timeout_s: float) -> Redis:
    """Nothing is only there, so nothing waits for it longer than `timeout_s`, or asks it twice."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


async def warn_when_away(settings: Settings, timeout_s: float, without: str) -> None:
    """Says in the log what a service does `without` Redis, when it is away now."""
    async with connect_redis(settings, timeout_s) as redis:
        try:
            await redis.ping()
        except RedisError as error:
            _log.warning(f"redis is away: {without}", error=repr(error))

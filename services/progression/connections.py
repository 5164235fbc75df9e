"""What a process of this service is made of, as the settings say."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.progression.domain.curve import load_curves
from services.progression.domain.definition import Definitions, load_definitions
from services.progression.settings import ProgressionSettings


def installed(settings: ProgressionSettings) -> Definitions:
    """The definitions of `data_dir`. Raises ValueError, naming file and field, or DEFINITION."""
    found = load_definitions(settings.data_dir / "definitions", load_curves(settings.data_dir / "curves"))
    if settings.definition not in found:
        raise ValueError(f"DEFINITION: {settings.definition!r} is not one of {', '.join(sorted(found))}")
    return Definitions(found[settings.definition], found)


def connect_redis(settings: ProgressionSettings) -> Redis:
    """Nothing is only there, so nothing waits for it for long."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=settings.cache_timeout_s,
        socket_connect_timeout=settings.cache_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )

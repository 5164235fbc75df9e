"""The bus between services: one port, one driver a file."""

from services.chassis.bus.inmem import InMemoryBus
from services.chassis.bus.lanes import BusLimits
from services.chassis.bus.port import Bus
from services.chassis.bus.redis import RedisBus
from services.chassis.settings import Settings


def connect(settings: Settings) -> Bus:
    """The bus that the settings name. It may be away: only the use of it waits or fails."""
    limits = BusLimits(
        in_flight=settings.bus_in_flight,
        max_attempts=settings.bus_max_attempts,
        backoff_s=settings.bus_backoff_s,
        max_backoff_s=settings.bus_max_backoff_s,
        close_s=settings.bus_close_s,
        stream_length=settings.bus_stream_length,
    )
    match settings.bus_kind:
        case "inmem":
            return InMemoryBus(limits)
        case "redis":
            return RedisBus(
                settings.redis_url.get_secret_value(),
                limits,
                timeout_s=settings.bus_timeout_s,
                lease_s=settings.bus_lease_s,
            )

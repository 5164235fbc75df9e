"""The bus between services: one port, one driver a kind."""

from pkgutil import resolve_name
from typing import Protocol

from services.chassis.bus.inmem import InMemoryBus
from services.chassis.bus.lanes import BusLimits
from services.chassis.bus.port import Bus
from services.chassis.settings import Settings, SettingsError


class Driver(Protocol):
    """Makes the bus of a server. `timeout_s`: for an answer; `lease_s`: of a member's share."""

    def __call__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> Bus: ...


# Imported when it is chosen: the client of each kind but `redis` is an optional dependency of that name.
_DRIVERS = {
    "kafka": "services.chassis.bus.kafka:KafkaBus",
    "nats": "services.chassis.bus.nats:NatsBus",
    "rabbitmq": "services.chassis.bus.rabbitmq:RabbitBus",
    "redis": "services.chassis.bus.redis:RedisBus",
    "servicebus": "services.chassis.bus.servicebus:ServiceBus",
    "sqs": "services.chassis.bus.sqs:SqsBus",
}


def driver(kind: str) -> Driver:
    """The driver of a kind that has a server.

    Raises:
        SettingsError: its client is not installed.
    """
    try:
        found: Driver = resolve_name(_DRIVERS[kind])
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"BUS_KIND: {kind} needs the Python module {error.name}: pip install 'arenamesh-server[{kind}]'"
        ) from None
    return found


def connect(settings: Settings) -> Bus:
    """The bus that the settings name. It may be away: only the use of it waits or fails.

    Raises:
        SettingsError: the client of this kind is not installed.
    """
    limits = BusLimits(
        in_flight=settings.bus_in_flight,
        max_attempts=settings.bus_max_attempts,
        backoff_s=settings.bus_backoff_s,
        max_backoff_s=settings.bus_max_backoff_s,
        close_s=settings.bus_close_s,
        stream_length=settings.bus_stream_length,
    )
    if settings.bus_kind == "inmem":
        return InMemoryBus(limits)
    url = {"redis": settings.redis_url}.get(settings.bus_kind, settings.bus_url)
    return driver(settings.bus_kind)(
        url.get_secret_value(), limits, timeout_s=settings.bus_timeout_s, lease_s=settings.bus_lease_s
    )

"""The bus on Azure Service Bus: see `queue_bus.py`, and `servicebus_queues.py` for the requests."""

import math

from services.chassis.bus.lanes import BusLimits
from services.chassis.bus.queue_bus import QueueBus
from services.chassis.bus.servicebus_queues import SHORTEST_LOCK_S, ServiceBusQueues


class ServiceBus(QueueBus):
    """See `port.Bus`. `url`: a connection string of the namespace with the right to manage it."""

    def __init__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> None:
        keep_s = max(SHORTEST_LOCK_S, math.ceil(lease_s))
        super().__init__(ServiceBusQueues(url, timeout_s=timeout_s, keep_s=keep_s), limits, lease_s=lease_s)

"""The bus on Amazon SQS: see `queue_bus.py`, and `sqs_queues.py` for the requests."""

import math

from services.chassis.bus.lanes import BusLimits
from services.chassis.bus.queue_bus import QueueBus
from services.chassis.bus.sqs_queues import SqsQueues


class SqsBus(QueueBus):
    """See `port.Bus`. `url`: `https://sqs.REGION.amazonaws.com`; where the credentials of AWS are not found
    in the usual places, `https://KEY:SECRET@...`."""

    def __init__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> None:
        queues = SqsQueues(url, timeout_s=timeout_s, keep_s=math.ceil(lease_s))
        super().__init__(queues, limits, lease_s=lease_s)

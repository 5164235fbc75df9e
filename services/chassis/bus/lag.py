"""How far a group is behind, as a metric: of every driver the same."""

from services.chassis.bus.lanes import Consumer
from services.chassis.metrics import BUS_LAG


class Lag:
    """What one member tells: events of the partitions that it holds. All members together tell of the whole
    topic; those of one process add up in its gauge."""

    def __init__(self, consumer: Consumer) -> None:
        self._gauge = BUS_LAG.labels(consumer.topic, consumer.group)
        self._told = 0

    def tell(self, events: int) -> None:
        self._gauge.inc(events - self._told)
        self._told = events

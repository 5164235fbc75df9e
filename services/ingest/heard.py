"""What fairness says of players: how they stand decides whether their events are taken.

Each event has the whole standing and a revision, so however often and in whatever order they come, the last
word counts.
"""

from arenamesh.events.v1 import fairness_pb2

from services.chassis.bus.port import Bus, DeadLetterSink, Message, Subscription
from services.chassis.db import Database
from services.chassis.event_fields import envelope_of, malformed, payload, player_of, time_of
from services.ingest.domain.standing import Standing, State
from services.ingest.store import IngestStore

TOPIC = "game.fairness.events"
GROUP = "ingest"
_CHANGED = "fairness.standing_changed"
_MOST_REASON = 256
"""Characters."""


class Heard:
    """The service's part of the group."""

    def __init__(self, database: Database, store: IngestStore) -> None:
        self._database = database
        self._store = store

    async def subscribe(self, bus: Bus, dead_letters: DeadLetterSink) -> Subscription:
        """Joins the group."""
        return await bus.subscribe(TOPIC, GROUP, self.handle, dead_letters)

    async def handle(self, message: Message) -> None:
        """See `port.Handler`. Raises InvalidArgument for what cannot be read, Unavailable without a
        database."""
        envelope = envelope_of(message.body)
        if envelope.type != _CHANGED:
            return
        changed = payload(envelope)
        if not isinstance(changed, fairness_pb2.FairnessStandingChanged):
            raise malformed("data", "must be an arenamesh.events.v1.FairnessStandingChanged")
        player = player_of(changed.player_id, ("player_id",))
        standing = _standing(changed)
        async with self._database.connection() as connection:
            await self._store.stand(connection, player, standing, changed.revision)


def _standing(changed: fairness_pb2.FairnessStandingChanged) -> Standing:
    try:
        state = State(changed.state)
    except ValueError as error:
        raise malformed("state", f"must be one of {', '.join(each.value for each in State)}") from error
    until = time_of(changed.until, "until") if changed.HasField("until") else None
    return Standing(state, changed.reason[:_MOST_REASON], until)

"""What comes of others' events: an envelope from the bus becomes one command, or nothing.

The event's id is noted in the transaction of its effect, so however often and in whatever order events come,
each counts once.
"""

from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis import clock
from services.chassis.bus.port import Bus, DeadLetterSink, Message, Subscription
from services.chassis.errors import Conflict, InvalidArgument
from services.chassis.event_fields import envelope_of, event_id, occurred_at, payload
from services.fairness.batch import observed
from services.fairness.committer import Committer
from services.fairness.detectors import Detectors
from services.fairness.domain.detector import Catalogue
from services.fairness.signals import Readings, Signals
from services.fairness.store import GROUP

TOPICS = (
    "game.combat.events",
    "game.combat.damage.validation",
    "game.liveops.events",
    "game.progression.events",
    "game.gamification.events",
)


class Heard:
    """The service's part of the group."""

    def __init__(self, committer: Committer, detectors: Detectors) -> None:
        self._committer = committer
        self._detectors = detectors
        self._signals = Signals(Catalogue(-1, {}))

    async def subscribe(self, bus: Bus, dead_letters: DeadLetterSink) -> list[Subscription]:
        """Joins the group on every topic."""
        return [await bus.subscribe(topic, GROUP, self.handle, dead_letters) for topic in TOPICS]

    async def handle(self, message: Message) -> None:
        """See `port.Handler`. Raises InvalidArgument for what cannot be read, what the committer raises."""
        envelope = envelope_of(message.body)
        # By what is known first: it is not committed when the detectors are others by now.
        if not await self._judged(envelope, self._signals):
            while not await self._judged(envelope, await self._present(), sure=True):
                pass

    async def _judged(self, envelope: Envelope, signals: Signals, *, sure: bool = False) -> bool:
        """Whether the event has had its effect. `sure`: these are the detectors as of now; that they have
        nothing to do with it is an effect, too."""
        try:
            readings = _read(signals, envelope)
        except InvalidArgument:
            if sure:
                raise
            return False
        if not readings:
            return sure
        # A clock that is fast is no reason not to look: what is said to come is now.
        at = min(occurred_at(envelope), clock.now())
        try:
            await self._committer.run(
                observed(envelope.id, at, readings, signals.catalogue, envelope.traceparent)
            )
        except Conflict:
            return False
        return True

    async def _present(self) -> Signals:
        """Of the detectors as of now or later, so that one made elsewhere a moment ago counts, too."""
        catalogue = await self._detectors.current()
        if catalogue is not self._signals.catalogue:
            self._signals = Signals(catalogue)
        return self._signals


def _read(signals: Signals, envelope: Envelope) -> Readings:
    if not signals.name(envelope.type):
        return {}
    event_id(envelope)
    return signals.read(envelope, payload(envelope))

"""What comes of others' events: an envelope from the bus becomes one command, or nothing.

The event's id is noted in the transaction of its effect, so however often and in whatever order events come,
each counts once, and when it happened.
"""

from collections.abc import Sequence

from arenamesh.events.v1 import fairness_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.chassis import clock
from services.chassis.bus import port
from services.chassis.bus.port import Bus, DeadLetterSink, Subscription
from services.chassis.event_fields import (
    MAX_ID,
    envelope_of,
    event_id,
    malformed,
    payload,
    player_of,
    time_of,
)
from services.chassis.metrics import LEADERBOARD_SCORES
from services.leaderboard.batch import Command, quarantine
from services.leaderboard.boards import Boards
from services.leaderboard.committer import Committer
from services.leaderboard.domain.board import Catalogue
from services.leaderboard.domain.hold import Hidden, Hold
from services.leaderboard.domain.scoring import Outcome, Score
from services.leaderboard.sources import Sources
from services.leaderboard.store import GROUP

TOPICS = (
    "game.combat.events",
    "game.liveops.events",
    "game.progression.events",
    "game.gamification.events",
    "game.fairness.events",
)
_HIDDEN = "fairness.scores_changed"
_MAX_ID = MAX_ID - 15
"""Room is left for a number behind it."""


class Heard:
    """The service's part of the group."""

    def __init__(self, committer: Committer, boards: Boards) -> None:
        self._committer = committer
        self._boards = boards
        self._read_by = Sources(Catalogue(-1, {}, {}, {}))

    async def subscribe(self, bus: Bus, dead_letters: DeadLetterSink) -> list[Subscription]:
        """Joins the group on every topic."""
        return [await bus.subscribe(topic, GROUP, self.handle, dead_letters) for topic in TOPICS]

    async def handle(self, message: port.Message) -> None:
        """See `port.Handler`. Raises InvalidArgument, NotFound for what cannot be read, and what the
        committer raises."""
        envelope = envelope_of(message.body)
        if envelope.type == _HIDDEN:
            await self._quarantine(envelope)
        elif scores := await self._scores(envelope):
            await self._count(envelope, scores)

    async def _quarantine(self, envelope: Envelope) -> None:
        hold = _hold(payload(envelope))
        id_ = event_id(envelope, _MAX_ID)
        await self._committer.run(quarantine(hold, actor=f"event:{id_}", event=id_))

    async def _count(self, envelope: Envelope, scores: Sequence[Score]) -> None:
        last: Sequence[Outcome] = ()

        def answer(outcomes: Sequence[Outcome]) -> bytes:
            nonlocal last
            last = outcomes
            return b""

        await self._committer.run(
            Command(answer=answer, actor=f"event:{envelope.id}", scores=tuple(scores), event=envelope.id)
        )
        for outcome in last:
            LEADERBOARD_SCORES.labels("heard", outcome.name.lower()).inc()

    async def _scores(self, envelope: Envelope) -> list[Score]:
        sources = await self._sources()
        if not sources.name(envelope.type):
            return []
        event_id(envelope, _MAX_ID)
        return sources.read(envelope, payload(envelope), clock.now())

    async def _sources(self) -> Sources:
        """By the boards as of now or later, so that one made elsewhere a moment ago counts, too."""
        catalogue = await self._boards.current()
        if catalogue is not self._read_by.catalogue:
            self._read_by = Sources(catalogue)
        return self._read_by


def _hold(event: Message) -> Hold:
    if not isinstance(event, fairness_pb2.FairnessScoresChanged):
        raise malformed("data", "must be an arenamesh.events.v1.FairnessScoresChanged")
    player = player_of(event.player_id, ("player_id",))
    hidden = tuple(Hidden(each.board, time_of(each.since, "hidden.since")) for each in event.hidden)
    return Hold(player, event.revision, hidden)

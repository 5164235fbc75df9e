"""What comes of others' events: an envelope from the bus becomes one command, or nothing.

The event's id is noted in the transaction of its effect, so however often and in whatever order events come,
each counts once, and when it happened.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from arenamesh.events.v1 import progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.bus.port import Bus, DeadLetterSink, Message, Subscription
from services.chassis.errors import Conflict
from services.chassis.event_fields import MAX_ID, envelope_of, event_id, payload, player_of
from services.chassis.metrics import GAMIFICATION_OBSERVED
from services.gamification.batch import Command, Turn
from services.gamification.committer import Committer
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.grants import grant, grant_id
from services.gamification.domain.observation import Outcome
from services.gamification.domain.observe import observe
from services.gamification.shelf import Shelf
from services.gamification.sources import Seen, Sources
from services.gamification.store import GROUP

TOPICS = (
    "game.combat.events",
    "game.combat.damage.validation",
    "game.progression.events",
    "game.liveops.events",
)
MASTERY_LEVEL_UP = "progression.mastery_level_up"
MASTERY = "mastery"
"""The source of grants that a mastery level unlocked; the source's id is the character's."""

_MAX_ID = MAX_ID - 15
"""Room is left for a number behind it."""
_log = structlog.get_logger()


class Unlocked(NamedTuple):
    """A reward of a mastery level."""

    user_id: str
    character_id: str
    reward_id: str

    @property
    def grant_id(self) -> str:
        return grant_id(self.user_id, MASTERY, self.character_id, self.reward_id, 1)


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says, by one catalogue."""

    seen: tuple[Seen, ...]
    unlocked: tuple[Unlocked, ...]

    @property
    def user_ids(self) -> tuple[str, ...]:
        users = [each.user_id for each in self.seen] + [each.user_id for each in self.unlocked]
        return tuple(dict.fromkeys(users))


def told(envelope: Envelope, sources: Sources) -> Told:
    """Raises InvalidArgument: EVENT_MALFORMED."""
    rewards = envelope.type == MASTERY_LEVEL_UP
    if not rewards and not sources.name(envelope.type):
        return Told((), ())
    event_id(envelope, _MAX_ID)
    event = payload(envelope)
    unlocked: Iterable[Unlocked] = ()
    if isinstance(event, progression_pb2.ProgressionMasteryLevelUp):
        unlocked = _unlocked(event, sources.catalogue.rewards)
    return Told(tuple(sources.read(envelope, event)), tuple(unlocked))


def _unlocked(up: progression_pb2.ProgressionMasteryLevelUp, defined: Collection[str]) -> list[Unlocked]:
    player_of(up.player_id, ("player_id",))
    for reward_id in up.reward_ids:
        if reward_id not in defined:
            _log.info("a mastery reward is not defined", reward_id=reward_id)
    return [
        Unlocked(up.player_id, up.character_id, reward_id)
        for reward_id in dict.fromkeys(up.reward_ids)
        if reward_id in defined
    ]


@dataclass(slots=True)
class _Effect:
    """What an event does to the players whom it speaks of. `outcomes`: of the last run."""

    envelope: Envelope
    told: Told
    sources: Sources
    outcomes: list[Outcome] = field(default_factory=list)

    def decide(self, turn: Turn) -> bytes:
        """Raises Conflict (DEFINITIONS_CHANGED), and what the rules say."""
        found = self.told
        if turn.catalogue.revision != self.sources.catalogue.revision:
            found = told(self.envelope, Sources(turn.catalogue))
            if found != self.told:
                raise Conflict("There are other definitions by now.", reason="DEFINITIONS_CHANGED")
        self.outcomes = [
            observe(turn.player(user_id), turn.catalogue, observation, turn.now, turn.entropy)
            for user_id, observation in found.seen
        ]
        for each in found.unlocked:
            grant(
                turn.player(each.user_id),
                turn.catalogue,
                each.reward_id,
                source=MASTERY,
                source_id=each.character_id,
                cycle=1,
                cause=self.envelope.id,
                now=turn.now,
                entropy=turn.entropy,
            )
        return b""


class Heard:
    """The service's part of the group. `definitions`: as of now or later, so that a metric which was made
    elsewhere a moment ago counts, too."""

    def __init__(self, committer: Committer, definitions: Callable[[], Awaitable[Shelf]]) -> None:
        self._committer = committer
        self._definitions = definitions
        self._read_by = Sources(Catalogue())

    async def subscribe(self, bus: Bus, dead_letters: DeadLetterSink) -> list[Subscription]:
        """Joins the group on every topic."""
        return [await bus.subscribe(topic, GROUP, self.handle, dead_letters) for topic in TOPICS]

    async def handle(self, message: Message) -> None:
        """See `port.Handler`. Raises InvalidArgument for what cannot be read, and what the rules and the
        committer raise."""
        envelope = envelope_of(message.body)
        while not await self._applied(envelope):
            pass

    async def _applied(self, envelope: Envelope) -> bool:
        """False: the definitions have changed meanwhile; it has to be read again, by the new ones."""
        sources = await self._sources()
        found = told(envelope, sources)
        if not found.user_ids:
            return True
        effect = _Effect(envelope, found, sources)
        try:
            await self._committer.run(
                Command(
                    user_ids=found.user_ids,
                    decide=effect.decide,
                    actor=f"event:{envelope.id}",
                    event=envelope.id,
                    grant_ids=tuple(each.grant_id for each in found.unlocked),
                    traceparent=envelope.traceparent,
                )
            )
        except Conflict as conflict:
            if conflict.reason == "DEFINITIONS_CHANGED":
                return False
            raise
        for outcome in effect.outcomes:
            GAMIFICATION_OBSERVED.labels(outcome.value).inc()
        return True

    async def _sources(self) -> Sources:
        catalogue = (await self._definitions()).catalogue
        if catalogue is not self._read_by.catalogue:
            self._read_by = Sources(catalogue)
        return self._read_by

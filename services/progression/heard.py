"""What others' events are worth: an envelope from the bus becomes one command of the ledger, or nothing.

The ledger notes the event's id in the transaction of the effect, so however often and in whatever order
events come, each has its effect once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from arenamesh.events.v1 import combat_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.bus.port import Bus, DeadLetterSink, Message, Subscription
from services.chassis.errors import DomainError
from services.chassis.event_fields import envelope_of, event_id, malformed, payload, player_of
from services.chassis.metrics import PROGRESSION_AWARDS_REFUSED
from services.progression.batch import Command, Recorded
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character
from services.progression.domain.definition import Definitions, Gain
from services.progression.domain.events import Event
from services.progression.ledger import GROUP, Ledger

TOPICS = ("game.combat.events", "game.liveops.events")
ABORTED = "aborted"

_log = structlog.get_logger()
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Earned:
    """What one character gets: what its definition gives to these `roles`, or what was `given`."""

    player_id: str
    character_id: str
    roles: tuple[str, ...] = ()
    given: Gain | None = None
    content_level: int | None = None


def earned(envelope: Envelope) -> list[Earned]:
    """Of whom and for what an event is; each character once. Nothing for a type that gives nobody anything.

    Raises:
        InvalidArgument: EVENT_MALFORMED, it is not what its type says.
    """
    read = _READINGS.get(envelope.type)
    if read is None:
        return []
    data = payload(envelope)
    event_id(envelope)
    return read(data)


# -- what is in which event ---------------------------------------------------------------------------


def _kill(kill: combat_pb2.CombatKill) -> list[Earned]:
    """Who kills a friend, or themselves, has earned nothing; who helped an enemy of theirs has."""
    roles: dict[str, tuple[str, ...]] = {}
    if not kill.friendly:
        roles[kill.killer_id] = ("killer",)
    if kill.assist_id:
        roles[kill.assist_id] = (*roles.get(kill.assist_id, ()), "assist")
    return [_own(player_id, *names) for player_id, names in roles.items()]


def _session_ended(ended: combat_pb2.CombatSessionEnded) -> list[Earned]:
    if ended.end_reason == ABORTED:
        return []
    found = {}
    for result in ended.results:
        won = ("winner",) if result.won else ()
        roles = ("player", ended.session_type, *won, f"place_{result.place}")
        found[result.player_id] = _own(result.player_id, *roles)
    return list(found.values())


def _progression(given: liveops_pb2.LiveopsProgression) -> list[Earned]:
    if not 0 <= given.experience <= _MOST:
        raise malformed("experience", "must not be negative")
    mastery: tuple[tuple[str, int], ...] = ()
    if given.mastery_type:
        if given.mastery_experience <= 0:
            raise malformed("mastery_experience", "must be positive")
        mastery = ((given.mastery_type, given.mastery_experience),)
    return [_named(given.player_id, given.character_id, given=Gain(given.experience, mastery))]


def _boss_kill(kill: liveops_pb2.LiveopsBossKill) -> list[Earned]:
    if kill.boss_level < 0:
        raise malformed("boss_level", "must not be negative")
    level = kill.boss_level or None
    return [_named(kill.player_id, kill.character_id, roles=("killer",), content_level=level)]


def _drop_claimed(claimed: liveops_pb2.LiveopsDropClaimed) -> list[Earned]:
    """A claim is one, however many of the item it brought."""
    return [_named(claimed.player_id, claimed.character_id, roles=("claimer",))]


_READINGS: Mapping[str, Callable[[Any], list[Earned]]] = {
    "combat.kill": _kill,
    "combat.session_ended": _session_ended,
    "liveops.progression": _progression,
    "liveops.boss_kill": _boss_kill,
    "liveops.drop_claimed": _drop_claimed,
}


def _own(player_id: str, *roles: str) -> Earned:
    """By the character that is the player's own id."""
    return _named(player_id, "", roles=roles)


def _named(
    player_id: str,
    character_id: str,
    *,
    roles: tuple[str, ...] = (),
    given: Gain | None = None,
    content_level: int | None = None,
) -> Earned:
    player_of(player_id, ("player_id",))
    if character_id:
        player_of(character_id, ("character_id",))
    return Earned(player_id, character_id or player_id, roles, given, content_level)


# -- what comes of it ---------------------------------------------------------------------------------


class _Payout:
    """Pays what an event is worth, to each character by itself: one that cannot take it does not keep it from
    the others. `refused`: those of the last run."""

    def __init__(self, source: str, definitions: Definitions, all_earned: Sequence[Earned]) -> None:
        self._source = source
        self._definitions = definitions
        self._all = all_earned
        self.refused: list[tuple[Earned, DomainError]] = []

    def decide(self, characters: Mapping[str, Character | None], _now: datetime) -> list[tuple[str, Event]]:
        """See `ledger.Decide`. Raises DomainError when nobody can take it."""
        self.refused = []
        paid = 0
        decided: list[tuple[str, Event]] = []
        for each in self._all:
            try:
                events = self._events(each, characters[each.character_id])
            except DomainError as error:
                self.refused.append((each, error))
            else:
                paid += 1
                decided += [(each.character_id, event) for event in events]
        if self.refused and not paid:
            raise self.refused[0][1]
        return decided

    def _events(self, one: Earned, character: Character | None) -> list[Event]:
        definition = self._definitions.of(character)
        gain = one.given if one.given is not None else definition.gain(self._source, *one.roles)
        if not gain.experience and not gain.mastery:
            return []
        return award(
            definition,
            character,
            Award(
                character_id=one.character_id,
                player_id=one.player_id,
                source=self._source,
                experience=gain.experience,
                mastery=gain.mastery,
                multipliers=(),
                content_level=one.content_level,
            ),
        )


class Heard:
    """The service's part of the group: what it hears on the bus, paid by the ledger."""

    def __init__(self, ledger: Ledger, definitions: Definitions) -> None:
        self._ledger = ledger
        self._definitions = definitions

    async def subscribe(self, bus: Bus, dead_letters: DeadLetterSink) -> list[Subscription]:
        """Joins the group on every topic."""
        return [await bus.subscribe(topic, GROUP, self.handle, dead_letters) for topic in TOPICS]

    async def handle(self, message: Message) -> None:
        """See `port.Handler`. Raises InvalidArgument for what cannot be read, and what the ledger raises."""
        envelope = envelope_of(message.body)
        found = earned(envelope)
        if not found:
            return
        payout = _Payout(envelope.type, self._definitions, found)
        await self._ledger.run(
            Command(
                character_ids=tuple(each.character_id for each in found),
                decide=payout.decide,
                actor=f"event:{envelope.id}",
                answer=_nothing,
                event=envelope.id,
                traceparent=envelope.traceparent,
            )
        )
        for one, refusal in payout.refused:
            PROGRESSION_AWARDS_REFUSED.labels(refusal.reason).inc()
            _log.warning(
                "award refused",
                event_id=envelope.id,
                character_id=one.character_id,
                reason=refusal.reason,
                text=refusal.text,
            )


def _nothing(_characters: Mapping[str, Character], _recorded: Sequence[Recorded]) -> bytes:
    """Nobody waits for an answer."""
    return b""

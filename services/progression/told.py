"""What others hear of a character: integration events, made of the events that were recorded."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from arenamesh.events.v1 import progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.progression.batch import Recorded
from services.progression.domain.character import Character
from services.progression.domain.events import (
    DefinitionChanged,
    Event,
    ExperienceAwarded,
    PrestigeReset,
    TrackChange,
)

SOURCE = "arenamesh/progression"
MASTERY = "mastery."


class _Saying(NamedTuple):
    """`which`: sets events of one type that one change tells apart."""

    type: str
    which: str
    data: Message


class _About(NamedTuple):
    """Fields that every event of progression has."""

    character_id: str
    player_id: str
    version: int


def tell(recorded: Recorded, character: Character) -> list[Envelope]:
    """What one event tells others, given the character after it.

    An id is made of the character, its version and what is told, so the same change is always told under the
    same ids. Levels that went down are not told: a reset says so itself.
    """
    about = _About(recorded.character_id, character.player_id, recorded.version)
    return [_envelope(recorded, saying) for saying in _sayings(recorded.event, about)]


def _envelope(recorded: Recorded, saying: _Saying) -> Envelope:
    parts = [recorded.character_id, str(recorded.version), saying.type, saying.which]
    envelope = Envelope(
        id=":".join(part for part in parts if part),
        source=SOURCE,
        type=f"progression.{saying.type}",
        subject=recorded.character_id,
        traceparent=recorded.traceparent,
    )
    envelope.time.FromDatetime(recorded.at)
    envelope.data.Pack(saying.data)
    return envelope


def _sayings(event: Event, about: _About) -> Iterator[_Saying]:
    match event:
        case ExperienceAwarded():
            yield _awarded(event, about)
            yield from _level_up(about, "base", event.from_base_level, event.to_base_level)
            yield from _level_up(about, "paragon", event.from_paragon_level, event.to_paragon_level)
            for gain in event.mastery:
                yield from _mastery_up(about, gain.type, gain.from_level, gain.to_level, gain.reward_ids)
        case PrestigeReset():
            yield _reset(event, about)
        case DefinitionChanged():
            for change in event.tracks:
                yield from _changed(change, about)


def _awarded(event: ExperienceAwarded, about: _About) -> _Saying:
    awarded = progression_pb2.ProgressionExperienceAwarded(
        **about._asdict(),
        source=event.source,
        base=str(event.base),
        experience=str(event.experience),
        mastery=[
            progression_pb2.ProgressionMasteryGain(type=gain.type, experience=str(gain.experience))
            for gain in event.mastery
        ],
    )
    return _Saying("experience_awarded", "", awarded)


def _reset(event: PrestigeReset, about: _About) -> _Saying:
    reset = progression_pb2.ProgressionPrestigeReset(
        **about._asdict(),
        resets=event.number,
        xp_micro=event.xp_micro,
        currency_micro=event.currency_micro,
        drop_rate_micro=event.drop_rate_micro,
    )
    return _Saying("prestige_reset", "", reset)


def _changed(change: TrackChange, about: _About) -> Iterator[_Saying]:
    """Another definition may give more levels for the same experience, and rewards at a level that was
    reached before."""
    if change.track.startswith(MASTERY):
        type_ = change.track.removeprefix(MASTERY)
        yield from _mastery_up(about, type_, change.from_level, change.to_level, change.reward_ids)
    else:
        yield from _level_up(about, change.track, change.from_level, change.to_level)


def _level_up(about: _About, track: str, from_level: int, to_level: int) -> Iterator[_Saying]:
    if to_level > from_level:
        up = progression_pb2.ProgressionLevelUp(
            **about._asdict(), track=track, from_level=from_level, to_level=to_level
        )
        yield _Saying("level_up", track, up)


def _mastery_up(
    about: _About, type_: str, from_level: int, to_level: int, reward_ids: Sequence[str]
) -> Iterator[_Saying]:
    if to_level > from_level or reward_ids:
        up = progression_pb2.ProgressionMasteryLevelUp(
            **about._asdict(), type=type_, from_level=from_level, to_level=to_level, reward_ids=reward_ids
        )
        yield _Saying("mastery_level_up", type_, up)

"""Sessions between the contract and the domain."""

from arenamesh.combat.v1 import session_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from services.chassis.errors import InvalidArgument
from services.chassis.times import stamp
from services.combat.domain.session import Change, Draft, Session, SessionStatus, SessionType

_UPDATABLE = ("name", "status", "max_players", "min_players", "spectator_delay_s")
_IMMUTABLE = ("type", "map_id", "game_mode", "ruleset", "tick_rate_hz")


def type_of(number: session_pb2.SessionType) -> SessionType | None:
    """None for UNSPECIFIED."""
    name = session_pb2.SessionType.Name(number).removeprefix("SESSION_TYPE_").lower()
    return None if name == "unspecified" else SessionType(name)


def status_of(number: session_pb2.SessionStatus) -> SessionStatus | None:
    """None for UNSPECIFIED."""
    name = session_pb2.SessionStatus.Name(number).removeprefix("SESSION_STATUS_")
    return None if name == "UNSPECIFIED" else SessionStatus(name)


def to_message(session: Session) -> session_pb2.Session:
    return session_pb2.Session(
        session_id=session.session_id,
        name=session.name,
        type=f"SESSION_TYPE_{session.type.upper()}",
        status=f"SESSION_STATUS_{session.status}",
        max_players=session.max_players,
        map_id=session.map_id,
        game_mode=session.game_mode,
        ruleset=session_pb2.RulesetRef(name=session.ruleset_name, version=session.ruleset_version),
        tick_rate_hz=session.tick_rate_hz,
        spectator_delay_s=session.spectator_delay_s,
        min_players=session.min_players,
        created_at=stamp(session.created_at),
        started_at=stamp(session.started_at),
        ended_at=stamp(session.ended_at),
        player_count=session.player_count,
        journal_sequence=session.journal_sequence,
        journal_tick=session.journal_tick,
    )


def to_draft(asked: session_pb2.Session) -> Draft:
    """What a creator may choose; everything else of the message is output only."""
    return Draft(
        name=asked.name,
        type=type_of(asked.type),
        max_players=asked.max_players,
        min_players=asked.min_players if asked.HasField("min_players") else None,
        map_id=asked.map_id,
        game_mode=asked.game_mode,
        ruleset_name=asked.ruleset.name,
        ruleset_version=asked.ruleset.version,
        tick_rate_hz=asked.tick_rate_hz,
        spectator_delay_s=asked.spectator_delay_s if asked.HasField("spectator_delay_s") else None,
    )


def to_change(asked: session_pb2.Session, mask: FieldMask, current: session_pb2.Session) -> Change:
    """The fields named by the mask; without one, the fields that are set and differ from `current`, so that
    a session which was read can be sent back with one field changed.

    Raises:
        InvalidArgument: FIELD_IMMUTABLE, or a mask that names no field.
    """
    named = set(mask.paths)
    unknown = named - set(_UPDATABLE) - set(_IMMUTABLE)
    if unknown:
        raise InvalidArgument.of("update_mask", f"cannot be updated: {', '.join(sorted(unknown))}")
    if not named:
        given = {field.name for field, _ in asked.ListFields()} & {*_UPDATABLE, *_IMMUTABLE}
        named = {name for name in given if getattr(asked, name) != getattr(current, name)}
    for name in _IMMUTABLE:
        if name in named:
            raise InvalidArgument.of(f"session.{name}", "cannot change", reason="FIELD_IMMUTABLE")
    status = status_of(asked.status)
    if "status" in named and status is None:
        raise InvalidArgument.of("session.status", "must be given")
    return Change(
        name=asked.name if "name" in named else None,
        status=status if "status" in named else None,
        max_players=asked.max_players if "max_players" in named else None,
        min_players=asked.min_players if "min_players" in named else None,
        spectator_delay_s=asked.spectator_delay_s if "spectator_delay_s" in named else None,
    )

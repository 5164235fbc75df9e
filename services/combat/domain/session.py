"""What a combat session is, and which changes of it are legal."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound


class SessionType(StrEnum):
    DUEL = "duel"
    TEAM_DEATHMATCH = "team_deathmatch"
    BATTLE_ROYALE = "battle_royale"
    RAID = "raid"
    TOURNAMENT = "tournament"
    TRAINING = "training"


class SessionStatus(StrEnum):
    WAITING = "WAITING"
    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    ABORTED = "ABORTED"


LIVE = frozenset({SessionStatus.WAITING, SessionStatus.ACTIVE})
_NEXT = {
    SessionStatus.WAITING: {SessionStatus.ACTIVE, SessionStatus.ABORTED},
    SessionStatus.ACTIVE: {SessionStatus.ENDED, SessionStatus.ABORTED},
    SessionStatus.ENDED: set(),
    SessionStatus.ABORTED: set(),
}


@dataclass(frozen=True, slots=True)
class Session:
    """One match. Times are UTC; `epoch` rises with each change of `owner`, the worker that plays it ('' when
    nobody does)."""

    session_id: str
    name: str
    type: SessionType
    status: SessionStatus
    max_players: int
    min_players: int
    map_id: str
    game_mode: str
    ruleset_name: str
    ruleset_version: int
    tick_rate_hz: int
    spectator_delay_s: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    player_count: int
    owner: str
    epoch: int
    arena_key: int
    """64 bits, secret: of its random draws."""
    ruleset_hash: str
    map_hash: str
    """Of the content it was created with."""
    journal_sequence: int = 0
    """The last record committed; `journal_time_us` and `journal_tick` are that record's."""
    journal_time_us: int = 0
    journal_tick: int = 0

    @property
    def live(self) -> bool:
        return self.status in LIVE


@dataclass(frozen=True, slots=True)
class Draft:
    """A session as its creator asks for it; None or 0 or '' takes the default."""

    name: str
    type: SessionType | None
    max_players: int = 0
    min_players: int | None = None
    map_id: str = ""
    game_mode: str = ""
    ruleset_name: str = ""
    ruleset_version: int = 0
    tick_rate_hz: int = 0
    spectator_delay_s: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What an update sets; None leaves a field as it is."""

    name: str | None = None
    status: SessionStatus | None = None
    max_players: int | None = None
    min_players: int | None = None
    spectator_delay_s: int | None = None


@dataclass(frozen=True, slots=True)
class _Defaults:
    game_mode: str
    max_players: int = 16
    spectator_delay_s: int = 0


DEFAULT_MAP = "yard"
DEFAULT_RULESET = "default"
DEFAULT_TICK_RATE_HZ = 30
DEFAULT_MIN_PLAYERS = 1
TICK_RATES_HZ = range(10, 129)
MAX_PLAYERS = 1000
DEFAULTS = {
    SessionType.DUEL: _Defaults("duel", max_players=2),
    SessionType.TEAM_DEATHMATCH: _Defaults("team_deathmatch"),
    SessionType.BATTLE_ROYALE: _Defaults("battle_royale"),
    SessionType.RAID: _Defaults("raid"),
    SessionType.TOURNAMENT: _Defaults("deathmatch", spectator_delay_s=30),
    SessionType.TRAINING: _Defaults("training"),
}


class Content(Protocol):
    """The maps and rulesets there are."""

    def has_map(self, map_id: str) -> bool: ...

    def newest_ruleset(self, name: str) -> int | None:
        """Its highest version, or None when there is no ruleset of that name."""

    def modes(self, name: str, version: int) -> tuple[str, ...] | None:
        """The game modes of a ruleset, or None when there is no such version."""

    def map_hash(self, map_id: str) -> str: ...

    def ruleset_hash(self, name: str, version: int) -> str: ...


def create(
    draft: Draft, content: Content, *, session_id: str, owner: str, arena_key: int, now: datetime
) -> Session:
    """A new WAITING session with every default filled in.

    Raises:
        InvalidArgument: naming the field, with reason MAP_UNKNOWN, RULESET_UNKNOWN, MODE_UNKNOWN or
            FIELD_INVALID.
    """
    if not draft.name.strip():
        raise InvalidArgument.of("session.name", "must not be empty")
    if draft.type is None:
        raise InvalidArgument.of("session.type", "must be given")
    defaults = DEFAULTS[draft.type]
    ruleset = draft.ruleset_name or DEFAULT_RULESET
    version = draft.ruleset_version or content.newest_ruleset(ruleset) or 0
    modes = content.modes(ruleset, version)
    mode = draft.game_mode or defaults.game_mode
    map_id = draft.map_id or DEFAULT_MAP
    if modes is None:
        raise InvalidArgument.of("session.ruleset", "there is no such version", reason="RULESET_UNKNOWN")
    if mode not in modes:
        raise InvalidArgument.of(
            "session.game_mode", f"the ruleset has only {', '.join(modes)}", reason="MODE_UNKNOWN"
        )
    if not content.has_map(map_id):
        raise InvalidArgument.of("session.map_id", "there is no such map", reason="MAP_UNKNOWN")
    tick_rate = draft.tick_rate_hz or DEFAULT_TICK_RATE_HZ
    if tick_rate not in TICK_RATES_HZ:
        raise InvalidArgument.of("session.tick_rate_hz", "must be 10 to 128")
    delay = defaults.spectator_delay_s if draft.spectator_delay_s is None else draft.spectator_delay_s
    session = Session(
        session_id=session_id,
        name=draft.name,
        type=draft.type,
        status=SessionStatus.WAITING,
        max_players=draft.max_players or defaults.max_players,
        min_players=DEFAULT_MIN_PLAYERS if draft.min_players is None else draft.min_players,
        map_id=map_id,
        game_mode=mode,
        ruleset_name=ruleset,
        ruleset_version=version,
        tick_rate_hz=tick_rate,
        spectator_delay_s=delay,
        created_at=now,
        started_at=None,
        ended_at=None,
        player_count=0,
        owner=owner,
        epoch=1,
        arena_key=arena_key,
        ruleset_hash=content.ruleset_hash(ruleset, version),
        map_hash=content.map_hash(map_id),
    )
    return _sized(session)


def check_content(session: Session, content: Content) -> None:
    """Raises FailedPrecondition (CONTENT_CHANGED) unless map and ruleset are what it was created with."""
    name, version = session.ruleset_name, session.ruleset_version
    same = (
        content.has_map(session.map_id)
        and content.modes(name, version) is not None
        and content.map_hash(session.map_id) == session.map_hash
        and content.ruleset_hash(name, version) == session.ruleset_hash
    )
    if not same:
        raise FailedPrecondition(
            "The map or the ruleset of the session is not what it was created with.",
            reason="CONTENT_CHANGED",
            metadata={"map_id": session.map_id, "ruleset": f"{name}-{version}"},
        )


def transition(session: Session, to: SessionStatus, now: datetime) -> Session:
    """The session in its next status, with the time that goes with it.

    Raises:
        FailedPrecondition: SESSION_OVER, SESSION_ALREADY_ACTIVE or ILLEGAL_TRANSITION.
    """
    if not session.live:
        raise over(session)
    if to not in _NEXT[session.status]:
        already = to is session.status is SessionStatus.ACTIVE
        raise FailedPrecondition(
            f"A session that is {session.status} cannot become {to}.",
            reason="SESSION_ALREADY_ACTIVE" if already else "ILLEGAL_TRANSITION",
            metadata={"from": session.status, "to": to},
        )
    if to is SessionStatus.ACTIVE:
        return replace(session, status=to, started_at=now)
    return replace(session, status=to, ended_at=now)


def end(session: Session, now: datetime) -> Session:
    """What EndSession does: ACTIVE becomes ENDED, WAITING becomes ABORTED."""
    ending = SessionStatus.ENDED if session.status is SessionStatus.ACTIVE else SessionStatus.ABORTED
    return transition(session, ending, now)


def ended(session: Session, now: datetime) -> Session:
    """What becomes of a session whose arena has ended by itself: as `end`; one that is over stays so."""
    return end(session, now) if session.live else session


def is_complete(session: Session, players: int) -> bool:
    """Whether a waiting session begins by itself, with so many players."""
    return session.status is SessionStatus.WAITING and 0 < session.min_players <= players


def update(session: Session, change: Change, now: datetime) -> Session:
    """What UpdateSession does.

    Raises:
        FailedPrecondition: as `transition`; NOT_WAITING when seats change in a session that has begun.
        InvalidArgument: naming the field.
    """
    if not session.live:
        raise over(session)
    if change.name is not None and not change.name.strip():
        raise InvalidArgument.of("session.name", "must not be empty")
    resized = change.max_players is not None or change.min_players is not None
    if resized and session.status is not SessionStatus.WAITING:
        raise FailedPrecondition(
            "max_players and min_players can change only while the session is WAITING.", reason="NOT_WAITING"
        )
    if change.status is SessionStatus.ENDED:
        raise FailedPrecondition("EndSession ends a session.", reason="ILLEGAL_TRANSITION")
    given = {
        field: value
        for field in ("name", "max_players", "min_players", "spectator_delay_s")
        if (value := getattr(change, field)) is not None
    }
    updated = _sized(replace(session, **given))
    return updated if change.status is None else transition(updated, change.status, now)


def over(session: Session) -> FailedPrecondition:
    """The refusal of anything that a finished session cannot do."""
    return FailedPrecondition(
        f"The session is {session.status}.", reason="SESSION_OVER", metadata={"status": session.status}
    )


def not_found(session_id: str) -> NotFound:
    return NotFound(
        "There is no such session.", reason="SESSION_NOT_FOUND", metadata={"session_id": session_id}
    )


def _sized(session: Session) -> Session:
    if not 1 <= session.max_players <= MAX_PLAYERS:
        raise InvalidArgument.of("session.max_players", f"must be 1 to {MAX_PLAYERS}")
    if session.min_players > session.max_players:
        raise InvalidArgument.of("session.min_players", "must not exceed max_players")
    return session

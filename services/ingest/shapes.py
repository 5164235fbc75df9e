"""JSON as an event, with every field that breaks a rule.

An event has `type`, `playerId`, `ts` and `payload`, and nothing else. Whole numbers may be texts, as
Protobuf's JSON has those of 64 bits. The payloads of the known types:

| type | members |
|---|---|
| progression | deltaXp or experience, or masteryType and masteryExperience, or both; characterId |
| boss_kill | bossId; bossLevel, characterId |
| drop_claimed | itemId; quantity (1), characterId |
| score | score; columns (at most two), board |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.errors import FieldViolation
from services.ingest import strict_json
from services.ingest.domain import refusals
from services.ingest.domain.event import (
    BossKill,
    Custom,
    DropClaimed,
    Event,
    Json,
    Payload,
    Progression,
    Score,
)
from services.ingest.fields import Fields
from services.ingest.schemas import Schemas

_INT64 = 2**63 - 1
_INT32 = 2**31 - 1
_MEMBERS = frozenset({"type", "playerId", "ts", "payload"})
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
_BOARD = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# Of seconds, the year 5138; of milliseconds, 1973.
_MILLISECONDS_FROM = 100_000_000_000
_MOST_MILLISECONDS = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Times:
    """How far from now an event may have happened. `behind`: None: as long ago as it likes."""

    ahead: timedelta = timedelta(minutes=5)
    behind: timedelta | None = None

    def problem(self, at: datetime, now: datetime) -> str:
        """Empty: none."""
        if at > now + self.ahead:
            return f"is more than {int(self.ahead.total_seconds())} s ahead"
        if self.behind is not None and at < now - self.behind:
            return f"is more than {int(self.behind.total_seconds())} s ago"
        return ""


@dataclass(frozen=True, slots=True)
class Shapes:
    """`schemas`: of the registered types. `times`: of events, seen from now."""

    schemas: Schemas
    times: Times

    def event(self, document: Json, now: datetime) -> Event:
        """Of one JSON value, as `strict_json.read` gives it.

        Raises EventRefused: EVENT_INVALID with every problem, or UNKNOWN_TYPE.
        """
        if not isinstance(document, dict):
            raise refusals.invalid([FieldViolation("event", "must be an object")])
        fields = Fields(document)
        fields.only(_MEMBERS)
        if "payload" not in fields.members:
            fields.add("payload", "is missing")
        return self._whole(fields, _time(fields), fields.members.get("payload"), now)

    def from_parts(self, type_: str, player_id: str, at: datetime, payload: Json, now: datetime) -> Event:
        """Of one that came typed. `at`: in UTC. Raises as `event`."""
        return self._whole(Fields({"type": type_, "playerId": player_id}), at, payload, now)

    def _whole(self, fields: Fields, at: datetime | None, payload: Json, now: datetime) -> Event:
        type_ = fields.text("type", _TYPE, required=True)
        player_id = fields.text("playerId", _ID, required=True)
        too_far = self.times.problem(at, now) if at is not None else ""
        if too_far:
            fields.add("ts", too_far)
        made = self._payload(type_, payload, fields) if not fields.has_problem("type", "payload") else None
        if fields.problems or made is None or at is None:
            raise refusals.invalid(fields.problems)
        return Event(type_, player_id, at, made)

    def _payload(self, type_: str, payload: Json, fields: Fields) -> Payload | None:
        """None: its problems are among the fields'."""
        schema = self.schemas.newest(type_)
        if type_ not in _KNOWN and schema is None:
            raise refusals.unknown_type(type_)
        if not isinstance(payload, dict):
            fields.add("payload", "must be an object")
            return None
        if schema is None:
            members = Fields(payload, "payload")
            made = _KNOWN[type_](members)
            fields.problems += members.problems
            return made
        found = strict_json.problems(payload, "payload") or schema.problems(payload)
        fields.problems += found
        return Custom(schema.version, payload) if not found else None


def _time(fields: Fields) -> datetime | None:
    if "ts" not in fields.members:
        fields.add("ts", "is missing")
        return None
    at = instant(fields.members["ts"])
    if at is None:
        fields.add("ts", "must be seconds or milliseconds since 1970, or a text as in RFC 3339")
    return at


def instant(value: Json) -> datetime | None:
    """In UTC, in whole microseconds (what is finer is cut off). None: it says no time."""
    if isinstance(value, str):
        return _rfc3339(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_MILLISECONDS:
        return None
    milliseconds = value >= _MILLISECONDS_FROM
    try:
        since = timedelta(milliseconds=value) if milliseconds else timedelta(seconds=value)
    except (OverflowError, ValueError):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + since


def _rfc3339(text: str) -> datetime | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups(default="")
    micros = fraction[:7].ljust(7, "0") if fraction else ""
    try:
        return datetime.fromisoformat(f"{day}T{clock}{micros}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _progression(fields: Fields) -> Progression:
    fields.only({"deltaXp", "experience", "characterId", "masteryType", "masteryExperience"})
    if "deltaXp" in fields.members and "experience" in fields.members:
        fields.add("experience", "says the same as deltaXp: only one of them")
    experience = fields.integer("experience" if "experience" in fields.members else "deltaXp", 0, _INT64)
    mastery = fields.text("masteryType", _NAME)
    mastery_experience = fields.integer("masteryExperience", 1, _INT64)
    if bool(mastery) != bool(mastery_experience) and not fields.has_problem(
        "masteryType", "masteryExperience"
    ):
        fields.add("masteryExperience" if mastery else "masteryType", "is missing")
    if not fields.problems and not experience and not mastery_experience:
        fields.add("deltaXp", "must be at least 1, where no mastery gains anything")
    return Progression(experience, fields.text("characterId", _ID), mastery, mastery_experience)


def _boss_kill(fields: Fields) -> BossKill:
    fields.only({"bossId", "bossLevel", "characterId"})
    return BossKill(
        fields.text("bossId", _NAME, required=True),
        fields.integer("bossLevel", 1, _INT32),
        fields.text("characterId", _ID),
    )


def _drop_claimed(fields: Fields) -> DropClaimed:
    fields.only({"itemId", "quantity", "characterId"})
    return DropClaimed(
        fields.text("itemId", _NAME, required=True),
        fields.integer("quantity", 1, _INT64, default=1),
        fields.text("characterId", _ID),
    )


def _score(fields: Fields) -> Score:
    fields.only({"score", "columns", "board"})
    if "score" not in fields.members:
        fields.add("score", "is missing")
    return Score(
        fields.integer("score", -_INT64 - 1, _INT64),
        fields.integers("columns", -_INT64 - 1, _INT64, most=2),
        fields.text("board", _BOARD),
    )


_KNOWN: Mapping[str, Callable[[Fields], Payload]] = {
    "progression": _progression,
    "boss_kill": _boss_kill,
    "drop_claimed": _drop_claimed,
    "score": _score,
}

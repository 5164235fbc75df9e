"""Why an event is not accepted. Each has a reason of its own in the contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.chassis.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)

SIGNATURE_MISSING = "SIGNATURE_MISSING"
SIGNATURE_WRONG = "SIGNATURE_WRONG"
SIGNATURE_NOT_ALLOWED = "SIGNATURE_NOT_ALLOWED"
TIMESTAMP_INVALID = "TIMESTAMP_INVALID"
TIMESTAMP_TOO_OLD = "TIMESTAMP_TOO_OLD"
TIMESTAMP_TOO_NEW = "TIMESTAMP_TOO_NEW"
MESSAGE_ID_INVALID = "MESSAGE_ID_INVALID"
KEY_UNKNOWN = "KEY_UNKNOWN"
KEY_RETIRED = "KEY_RETIRED"
MALFORMED_JSON = "MALFORMED_JSON"
EVENT_INVALID = "EVENT_INVALID"
UNKNOWN_TYPE = "UNKNOWN_TYPE"
PLAYER_BLOCKED = "PLAYER_BLOCKED"
PLAYER_THROTTLED = "PLAYER_THROTTLED"
RATE_LIMITED = "RATE_LIMITED"


class EventRefused(FailedPrecondition):
    """It could be read, and breaks a rule. Over HTTP: 422, where what cannot be read is 400."""


def unsigned(reason: str, text: str, metadata: Mapping[str, str] | None = None) -> Unauthenticated:
    """Nobody knows who says it."""
    return Unauthenticated(text, reason=reason, metadata=metadata)


def malformed(text: str) -> InvalidArgument:
    """The body is not JSON, or not JSON that means one thing only."""
    return InvalidArgument(f"The body cannot be read: {text}", reason=MALFORMED_JSON)


def invalid(problems: Sequence[FieldViolation]) -> EventRefused:
    """With every field that breaks a rule."""
    first, more = problems[0], len(problems) - 1
    text = f"{first.field}: {first.description}" + (f" (and {more} more)" if more else "")
    return EventRefused(text, reason=EVENT_INVALID, violations=problems)


def unknown_type(type_: str) -> EventRefused:
    """Neither one of ours nor a registered one."""
    return EventRefused(
        f"There is no type {type_!r} of events.",
        reason=UNKNOWN_TYPE,
        metadata={"type": type_},
        violations=[FieldViolation("type", "is not registered")],
    )


def blocked(why: str, until: datetime | None) -> PermissionDenied:
    """`why`: the public reason that fairness gave. `until`: None: for good."""
    metadata = {"blocked_for": why} | ({} if until is None else {"until": until.isoformat()})
    return PermissionDenied(f"The player is blocked: {why}", reason=PLAYER_BLOCKED, metadata=metadata)


def throttled(why: str, retry_after_s: float) -> ResourceExhausted:
    """By fairness, not by a rate."""
    return ResourceExhausted(
        f"The player is throttled: {why}",
        reason=PLAYER_THROTTLED,
        metadata={"throttled_for": why},
        retry_after_s=retry_after_s,
    )


def rate_limited(limit: str, retry_after_s: float) -> ResourceExhausted:
    """`limit`: which one, `producer` or `player`."""
    return ResourceExhausted(
        f"Too many events of the {limit}.",
        reason=RATE_LIMITED,
        metadata={"limit": limit},
        retry_after_s=retry_after_s,
    )

"""What can go wrong, in the words of the domain. Pure: rules may raise these and know nothing of gRPC.

`text` is shown to the caller; the cause (`raise ... from`) is only logged. `reason` is for programs,
UPPER_SNAKE_CASE, and never changes its meaning. How an error travels is in `status.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that broke a rule. `field` is a path such as `session.max_players`."""

    field: str
    description: str


class DomainError(Exception):
    """Base of every error that a caller may see.

    `metadata` holds each dynamic value of the text; `retry_after_s` is set when trying again can help.
    `elsewhere`: nothing of the call was done here, and another worker can do it at once.
    """

    def __init__(
        self,
        text: str,
        *,
        reason: str,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        elsewhere: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.elsewhere = elsewhere


class InvalidArgument(DomainError):
    """The request breaks a rule whatever the state."""

    @classmethod
    def of(cls, field: str, description: str, *, reason: str = "FIELD_INVALID") -> "InvalidArgument":
        """One field, one rule."""
        return cls(f"{field}: {description}", reason=reason, violations=[FieldViolation(field, description)])


class OutOfRange(InvalidArgument):
    """A position past the end of what exists."""


class NotFound(DomainError):
    """There is no such thing."""


class AlreadyExists(DomainError):
    """The thing to create is there."""


class FailedPrecondition(DomainError):
    """Not in this state; trying again without a change is useless."""


class Conflict(DomainError):
    """Somebody else was faster; the whole operation may be tried again."""


class PermissionDenied(DomainError):
    """Known, and not allowed."""


class Unauthenticated(DomainError):
    """No valid token."""


class ResourceExhausted(DomainError):
    """A limit is reached."""


class Unavailable(DomainError):
    """Not now, or not here; trying again can help."""


class Overloaded(Unavailable):
    """Not now, because too many ask. Told early, before anything was done."""


class DataLoss(DomainError):
    """What was stored is not what was written."""


class DeadlineExceeded(DomainError):
    """It took longer than allowed."""


class NotImplementedYet(DomainError):
    """In the contract, but not built."""

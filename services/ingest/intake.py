"""From what came over the wire to what is committed: whose it is, what it says, what makes it the same as
another."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from arenamesh.liveops.v1 import event_pb2

from services.chassis import clock
from services.chassis.errors import (
    DomainError,
    FieldViolation,
    InvalidArgument,
    OutOfRange,
    ResourceExhausted,
    Unavailable,
)
from services.chassis.idempotency import MAX_KEY
from services.ingest import strict_json, translate
from services.ingest.batch import Claim, Command, Item, Rejection
from services.ingest.committer import Committer
from services.ingest.domain import refusals
from services.ingest.domain.event import Event, Json
from services.ingest.shapes import Shapes
from services.ingest.signatures import Signed, Verifier
from services.ingest.structs import plain

MAX_EVENTS = 1000
"""Of one request, as the contract has it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body with one event, and with a list."""

    body: int
    batch: int


class Intake:
    """`verifier`: of signatures."""

    def __init__(self, committer: Committer, verifier: Verifier, shapes: Shapes, limits: Limits) -> None:
        self._committer = committer
        self._verifier = verifier
        self._shapes = shapes
        self._limits = limits

    async def post(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """A signed event; PostEventResponse.

        Raises:
            OutOfRange: BODY_TOO_LARGE.
            Unauthenticated: see `Verifier.verify`.
            InvalidArgument: MALFORMED_JSON, or the idempotency key is too long.
            FailedPrecondition: EVENT_INVALID, UNKNOWN_TYPE, IDEMPOTENCY_KEY_REUSED.
            PermissionDenied, ResourceExhausted: PLAYER_BLOCKED; PLAYER_THROTTLED, RATE_LIMITED.
            Overloaded, Unavailable: see `Committer.run`.
        """
        now = clock.now()
        _check_size(body, self._limits.body)
        signed = self._verifier.verify(headers, body, now)
        key = _key_claim(signed, headers)
        try:
            event = self._shapes.event(strict_json.read(body), now)
        except DomainError as error:
            await self._log_rejected(signed, error, body)
            raise
        claims = [key] if key else []
        if not signed.message_id:
            claims.append(Claim(f"body/{signed.producer}", signed.digest.hex(), signed.digest, event.at))
        item = Item(clock.new_id(), event, body, tuple(claims))
        return await self._run(signed, headers, [item], translate.one)

    async def post_list(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """A signed list of events; PostEventsResponse. Raises as `post`, but for what breaks a rule in one of
        them only."""
        now = clock.now()
        _check_size(body, self._limits.batch)
        signed = self._verifier.verify(headers, body, now)
        key = _key_claim(signed, headers)
        try:
            documents = _list(strict_json.read(body))
        except DomainError as error:
            await self._log_rejected(signed, error, body)
            raise
        items: list[Item | Rejection] = []
        for number, document in enumerate(documents):
            raw = json.dumps(document).encode()
            try:
                event = self._shapes.event(document, now)
            except DomainError as error:
                items.append(Rejection(clock.new_id(), error, raw))
            else:
                items.append(Item(clock.new_id(), event, raw, (_numbered(signed, number, event.at),)))
        return await self._run(signed, headers, items, translate.each, key)

    async def submit(self, producer: str, traceparent: str, events: Sequence[event_pb2.Event]) -> bytes:
        """Events of a caller with a token; SubmitEventsResponse. Raises Overloaded, Unavailable: see
        `Committer.run`."""
        now = clock.now()
        items: list[Item | Rejection] = []
        for event in events:
            raw = event.SerializeToString(deterministic=True)
            try:
                read = self._submitted(event, now)
            except DomainError as error:
                items.append(Rejection(clock.new_id(), error, raw))
            else:
                digest = hashlib.sha256(raw).digest()
                claims = (Claim(f"key/{producer}", event.key, digest),) if event.key else ()
                items.append(Item(clock.new_id(), read, raw, claims))
        command = Command(producer, items, translate.each, traceparent=traceparent)
        return await self._committer.run(command)

    def _submitted(self, event: event_pb2.Event, now: datetime) -> Event:
        try:
            at = event.ts.ToDatetime(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise refusals.invalid([FieldViolation("ts", "is no time")]) from None
        if at < _EPOCH:
            raise refusals.invalid([FieldViolation("ts", "must not be before 1970")])
        if "\0" in event.key:
            raise refusals.invalid([FieldViolation("key", "must not have NUL in it")])
        return self._shapes.from_parts(event.type, event.player_id, at, plain(event.payload), now)

    async def _run(
        self,
        signed: Signed,
        headers: Mapping[str, str],
        items: Sequence[Item | Rejection],
        answer: translate.Answer,
        claim: Claim | None = None,
    ) -> bytes:
        command = Command(signed.producer, items, answer, signed.kid, claim, headers.get("traceparent", ""))
        return await self._committer.run(command)

    async def _log_rejected(self, signed: Signed, error: DomainError, body: bytes) -> None:
        """It is refused whether or not this can be written."""
        rejection = Rejection(clock.new_id(), error, body)
        command = Command(signed.producer, [rejection], translate.each, signed.kid)
        try:
            await self._committer.run(command)
        except (Unavailable, ResourceExhausted) as unwritten:
            _log.warning("rejected event is not kept", reason=unwritten.reason, rejected=error.reason)


def _check_size(body: bytes, most: int) -> None:
    if len(body) > most:
        raise OutOfRange(
            f"The body has more than {most} bytes.",
            reason="BODY_TOO_LARGE",
            metadata={"max_bytes": str(most)},
        )


def _key_claim(signed: Signed, headers: Mapping[str, str]) -> Claim | None:
    """By `webhook-id`, which is signed, or else by the header `idempotency-key`."""
    if signed.message_id:
        return Claim(f"webhook/{signed.producer}", signed.message_id, signed.digest)
    key = headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise InvalidArgument.of("idempotency-key", f"must have at most {MAX_KEY} characters")
    return Claim(f"key/{signed.producer}", key, signed.digest) if key else None


def _numbered(signed: Signed, number: int, happened_at: datetime) -> Claim:
    """Of one in a list: the list again, with those that were too many, has each once."""
    if signed.message_id:
        whole = hashlib.sha256(signed.message_id.encode()).hexdigest()
        return Claim(f"webhook-item/{signed.producer}", f"{whole}/{number}", b"")
    return Claim(f"body-item/{signed.producer}", f"{signed.digest.hex()}/{number}", b"", happened_at)


def _list(document: Json) -> list[Json]:
    if not isinstance(document, list) or not 1 <= len(document) <= MAX_EVENTS:
        raise refusals.invalid([FieldViolation("events", f"must be a list of 1 to {MAX_EVENTS}")])
    return document

"""The same request twice has one effect and one answer.

The key's row, with the answer, commits in the transaction of the effect. A concurrent duplicate waits for the
end of that: when it commits it gets the stored answer, when it fails the duplicate runs itself.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from google.protobuf.message import Message

from services.chassis import clock
from services.chassis.auth import principal
from services.chassis.db import Connection
from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.chassis.method import Context
from services.chassis.sql import Statement

MAX_KEY = 128
Name = tuple[str, str]
"""Scope and key."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """`scope`: the method and the caller, so that keys of different callers never meet. `payload`: the whole
    request; no log has it."""

    scope: str
    key: str
    payload: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) > MAX_KEY:
            raise InvalidArgument.of("idempotency-key", f"must have at most {MAX_KEY} characters")
        if "\0" in self.key:
            raise InvalidArgument.of("idempotency-key", "must not have NUL in it")

    @property
    def name(self) -> Name:
        return self.scope, self.key

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.payload).digest()


def key_of(context: Context, method: str, request: Message, request_id: str = "") -> IdempotencyKey | None:
    """Of the call that is being handled: `request_id`, or else the header `idempotency-key`. None: it came
    with neither."""
    key = request_id or str(dict(context.invocation_metadata() or ()).get("idempotency-key", ""))
    if not key:
        return None
    payload = request.SerializeToString(deterministic=True)
    return IdempotencyKey(f"{method}/{principal().subject}"[:255], key, payload)


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer, and the digest of the request that it was given to."""

    digest: bytes
    answer: bytes

    def to(self, key: IdempotencyKey) -> bytes:
        """The answer, when `key` comes with that request.

        Raises:
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED, it comes with another one.
        """
        if self.digest != key.digest:
            raise FailedPrecondition(
                "This idempotency key was used with another request.",
                reason="IDEMPOTENCY_KEY_REUSED",
                metadata={"key": key.key},
            )
        return self.answer


class Idempotency:
    """Answers kept in `<schema>.idempotency_keys`, a table of the service's own migrations.

    `run` does everything for one request. Who commits the effects of many together reads with `stored` and
    writes with `storing`.
    """

    def __init__(self, schema: str) -> None:
        table = f"{schema}.idempotency_keys"
        self._lock = f"SELECT pg_advisory_xact_lock(hashtextextended('{schema} ' || $1 || ' ' || $2, 0))"
        self._stored = (
            f"SELECT scope, key, payload_hash, answer FROM {table} "
            "WHERE (scope, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
        )
        self._store = (
            f"INSERT INTO {table} (scope, key, payload_hash, answer, created_at) "
            "SELECT *, $5::timestamp FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[])"
        )
        self._purge = f"DELETE FROM {table} WHERE created_at < $1"

    async def run(
        self, connection: Connection, key: IdempotencyKey | None, work: Callable[[], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """The answer, and whether it is a stored one. `connection` must be in a transaction.

        Raises:
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED, the key came with another payload before.
        """
        if key is None:
            return await work(), False
        await connection.execute(self._lock, *key.name)
        found = await self.stored(connection, [key])
        if key.name in found:
            return found[key.name].to(key), True
        answer = await work()
        text, arguments = self.storing({key.name: Stored(key.digest, answer)})
        await connection.execute(text, *arguments)
        return answer, False

    async def stored(self, connection: Connection, keys: Iterable[IdempotencyKey]) -> dict[Name, Stored]:
        """The answers that were given to requests with these keys."""
        names = {key.name for key in keys}
        if not names:
            return {}
        scopes, texts = zip(*names, strict=True)
        rows = await connection.fetch(self._stored, scopes, texts)
        return {(row["scope"], row["key"]): Stored(row["payload_hash"], row["answer"]) for row in rows}

    def storing(self, answers: Mapping[Name, Stored]) -> Statement:
        """Stores new answers, in the transaction of the effects. It waits for the end of another transaction
        that stores one of these keys, and fails with UniqueViolationError when that commits."""
        names = sorted(answers)
        return Statement(
            self._store,
            (
                [scope for scope, _ in names],
                [key for _, key in names],
                [answers[name].digest for name in names],
                [answers[name].answer for name in names],
                _stamp(),
            ),
        )

    async def purge(self, connection: Connection, keep: timedelta) -> None:
        """Forgets keys older than `keep`."""
        await connection.execute(self._purge, _stamp(keep))


def _stamp(ago: timedelta = timedelta(0)) -> object:
    return (clock.now() - ago).replace(tzinfo=None)

"""The same request twice has one effect and one answer.

The key row commits in the transaction of the effect. A concurrent duplicate waits on the row: when the
first commits it gets the stored answer, when the first fails it runs itself.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from services.chassis import clock
from services.chassis.db import Connection
from services.chassis.errors import FailedPrecondition, InvalidArgument

MAX_KEY = 128


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """`scope`: the method and the caller, so that keys of different callers never meet."""

    scope: str
    key: str
    payload: bytes

    def __post_init__(self) -> None:
        if len(self.key) > MAX_KEY:
            raise InvalidArgument.of("idempotency-key", f"must have at most {MAX_KEY} characters")

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.payload).digest()


class Idempotency:
    """Answers kept in `<schema>.idempotency_keys`, a table of the service's own migrations."""

    def __init__(self, schema: str) -> None:
        table = f"{schema}.idempotency_keys"
        self._claim = (
            f"INSERT INTO {table} (scope, key, payload_hash, created_at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT DO NOTHING RETURNING 1"
        )
        self._stored = f"SELECT payload_hash, answer FROM {table} WHERE scope = $1 AND key = $2"
        self._store = f"UPDATE {table} SET answer = $3 WHERE scope = $1 AND key = $2"
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
        if await connection.fetchval(self._claim, key.scope, key.key, key.digest, _stamp()):
            answer = await work()
            await connection.execute(self._store, key.scope, key.key, answer)
            return answer, False
        row = await connection.fetchrow(self._stored, key.scope, key.key)
        if row is None or row["payload_hash"] != key.digest:
            raise FailedPrecondition(
                "This idempotency key was used with another request.",
                reason="IDEMPOTENCY_KEY_REUSED",
                metadata={"key": key.key},
            )
        return row["answer"], True

    async def purge(self, connection: Connection, keep: timedelta) -> None:
        """Forgets keys older than `keep`."""
        await connection.execute(self._purge, _stamp(keep))


def _stamp(ago: timedelta = timedelta(0)) -> object:
    return (clock.now() - ago).replace(tzinfo=None)

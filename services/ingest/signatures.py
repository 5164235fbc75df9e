"""Whether a body was sent by a producer, by one of two schemes.

Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`, a list
separated by spaces of `v1,<base64>` (HMAC-SHA256) or `v1a,<base64>` (Ed25519) of `<id>.<timestamp>.<body>`.
One that matches is enough: a producer that changes its key signs with both for a while.

Of the body only: `x-signature: sha256=<hex>`, or without `sha256=`: HMAC-SHA256 of the body. Neither its time
nor its idempotency key is signed, so the same body can be sent again by whoever saw it: what counts once is
the digest of the body too. A setting allows it.

`x-key-id` may name the key; without it, all are tried.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.ingest.domain import refusals
from services.ingest.domain.refusals import unsigned
from services.ingest.keys import Key

TOLERANCE = timedelta(minutes=5)
"""How far a signature's time may be from now, both ways."""
MAX_SIGNATURES = 8
"""Of one body. More: it is wrong, and none is looked at."""
_BODY, _ID, _TIMESTAMP, _SIGNATURE = "x-signature", "webhook-id", "webhook-timestamp", "webhook-signature"
_KEY_ID = "x-key-id"
HEADERS = frozenset({_BODY, _ID, _TIMESTAMP, _SIGNATURE, _KEY_ID})
"""What of a request is looked at, in small letters."""
_BODY_PREFIX = "sha256="
# A point would let two ids and times be the same signed text.
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class Signed:
    """Who says it. `message_id`: the signed `webhook-id`, empty of a signature of the body only. `digest`:
    the SHA-256 of the body."""

    producer: str
    kid: str
    message_id: str
    digest: bytes


class Verifier:
    """`body_signatures`: whether a signature of the body only is enough."""

    def __init__(self, keys: Sequence[Key], *, body_signatures: bool) -> None:
        self._keys = tuple(keys)
        self._by_kid = {key.kid: key for key in keys}
        self._body_signatures = body_signatures

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Signed:
        """Who signed the body, byte for byte. Headers by their names in small letters; a request that has
        both schemes counts by Standard Webhooks.

        Raises:
            Unauthenticated: SIGNATURE_MISSING, SIGNATURE_WRONG, SIGNATURE_NOT_ALLOWED, MESSAGE_ID_INVALID,
                TIMESTAMP_INVALID, TIMESTAMP_TOO_OLD, TIMESTAMP_TOO_NEW, KEY_UNKNOWN or KEY_RETIRED.
        """
        keys = self._candidates(headers)
        if any(name in headers for name in (_ID, _TIMESTAMP, _SIGNATURE)):
            key = self._standard(headers, body, now, keys)
        elif _BODY in headers:
            key = self._of_body(headers[_BODY], body, now, keys)
        else:
            raise unsigned(
                refusals.SIGNATURE_MISSING,
                f"The request has neither {_BODY} nor {_SIGNATURE}.",
                {"header": _BODY if self._body_signatures else _SIGNATURE},
            )
        return Signed(key.producer, key.kid, headers.get(_ID, ""), hashlib.sha256(body).digest())

    def _candidates(self, headers: Mapping[str, str]) -> Sequence[Key]:
        if _KEY_ID not in headers:
            return self._keys
        key = self._by_kid.get(headers[_KEY_ID])
        if key is None:
            raise unsigned(refusals.KEY_UNKNOWN, f"There is no key of the name in {_KEY_ID}.")
        return (key,)

    def _standard(self, headers: Mapping[str, str], body: bytes, now: datetime, keys: Sequence[Key]) -> Key:
        for name in (_ID, _TIMESTAMP, _SIGNATURE):
            if not headers.get(name):
                raise unsigned(refusals.SIGNATURE_MISSING, f"The request has no {name}.", {"header": name})
        message_id, timestamp = headers[_ID], headers[_TIMESTAMP]
        if not _MESSAGE_ID.fullmatch(message_id):
            rule = "at most 128 printable ASCII characters, no point and no space"
            raise unsigned(refusals.MESSAGE_ID_INVALID, f"{_ID}: must be {rule}.")
        _check_time(timestamp, now)
        content = b".".join((message_id.encode(), timestamp.encode(), body))
        given = headers[_SIGNATURE].split(" ")
        return _signer(keys, now, content, given if len(given) <= MAX_SIGNATURES else ())

    def _of_body(self, signature: str, body: bytes, now: datetime, keys: Sequence[Key]) -> Key:
        if not self._body_signatures:
            raise unsigned(
                refusals.SIGNATURE_NOT_ALLOWED,
                f"{_BODY} signs the body only, which is not allowed here: sign as Standard Webhooks do.",
            )
        given = signature.removeprefix(_BODY_PREFIX)
        if not _HEX.fullmatch(given):
            return _signer(keys, now, body, ())
        return _signer(keys, now, body, (_v1(bytes.fromhex(given)),))


def _check_time(timestamp: str, now: datetime) -> None:
    """Compared in whole microseconds, as a timedelta is."""
    if not _SECONDS.fullmatch(timestamp):
        raise unsigned(refusals.TIMESTAMP_INVALID, f"{_TIMESTAMP}: must be whole seconds since 1970.")
    age = timedelta(seconds=now.timestamp()) - timedelta(seconds=int(timestamp))
    limit = {"tolerance_s": str(int(TOLERANCE.total_seconds()))}
    if age > TOLERANCE:
        raise unsigned(refusals.TIMESTAMP_TOO_OLD, f"{_TIMESTAMP}: is too long ago.", limit)
    if age < -TOLERANCE:
        raise unsigned(refusals.TIMESTAMP_TOO_NEW, f"{_TIMESTAMP}: is too far ahead.", limit)


def _signer(keys: Sequence[Key], now: datetime, content: bytes, given: Iterable[str]) -> Key:
    """The key that one of the signatures is of. One that is over is told from one that nobody knows, but only
    to whoever has it."""
    signatures = [each.encode() for each in given]
    signer = None
    for key in keys:
        if _matches(key, content, signatures):
            signer = key
            if not key.is_over(now):
                break
    if signer is None:
        raise unsigned(refusals.SIGNATURE_WRONG, "No key of a producer made this signature of this body.")
    if signer.is_over(now):
        raise unsigned(refusals.KEY_RETIRED, f"The key {signer.kid} is retired.", {"kid": signer.kid})
    return signer


def _matches(key: Key, content: bytes, signatures: Sequence[bytes]) -> bool:
    if isinstance(key.material, bytes):
        right = _v1(hmac.digest(key.material, content, "sha256")).encode()
        return any(hmac.compare_digest(right, each) for each in signatures)
    return any(_is_of(key.material, content, each) for each in signatures)


def _is_of(key: Ed25519PublicKey, content: bytes, signature: bytes) -> bool:
    version, _, text = signature.partition(b",")
    if version != b"v1a":
        return False
    try:
        key.verify(base64.b64decode(text, validate=True), content)
    except (ValueError, InvalidSignature):
        return False
    return True


def _v1(digest: bytes) -> str:
    return f"v1,{base64.b64encode(digest).decode()}"

"""Receipts: signed proof of what a claim paid, as JSON Web Signatures (RFC 7515, compact).

The key alone says by which algorithm a receipt is checked; a header that says another is refused.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol, Self

import jwt
from jwt.api_jws import PyJWS
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from services.gamification.domain.definitions import Amount
from services.gamification.domain.ledger import MOST
from services.gamification.domain.player import Grant, Transfer
from services.gamification.keys import Key, PublicPart, parse, public_part

ISSUER = "arenamesh"
TYPE = "arenamesh-receipt+jwt"
MAX_BYTES = 49152
"""Of a receipt: more than the greatest reward needs. Longer ones are not even looked into."""
_ALGORITHMS = ("EdDSA", "HS256")
_AHEAD = timedelta(seconds=60)  # how far the clocks of processes may be apart
_JWS = PyJWS(_ALGORITHMS)


@dataclass(frozen=True, slots=True)
class ReceiptClaims:
    """What a receipt says. `issued_at`: to the second."""

    grant_id: str
    user_id: str
    issued_at: datetime
    contents: tuple[Amount, ...]
    transfer_ids: tuple[str, ...]
    source: str
    source_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Verified:
    """`problem`: empty, or one of VerifyReceiptResponse in the contract; then there are no `claims`. `kid`:
    empty when it names no key."""

    problem: str
    kid: str
    claims: ReceiptClaims | None


class HasKeys(Protocol):
    @property
    def receipt_keys(self) -> SecretStr: ...


class KeyRing:
    """`keys`: exactly one of them signs."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.kid: key for key in keys}
        (self._signing,) = (key for key in self._keys.values() if key.state == "signing")

    @classmethod
    def of(cls, settings: HasKeys) -> Self:
        """Raises RingError; settings that were loaded have no such fault."""
        return cls(parse(settings.receipt_keys.get_secret_value()))

    def sign(self, grant: Grant, transfers: Sequence[Transfer]) -> str:
        """The receipt of a claimed grant; always the same. `transfers`: those of the claim."""
        assert grant.claimed_at is not None
        claims = {
            "iss": ISSUER,
            "jti": grant.id,
            "sub": grant.user_id,
            "iat": int(grant.claimed_at.timestamp()),
            "items": [_line(each) for each in grant.contents if not each.owned_before],
            "transfers": [transfer.id for transfer in transfers],
            "source": grant.source,
            "source_id": grant.source_id,
            "cause": grant.cause,
        }
        return signed(self._signing, json.dumps(claims, separators=(",", ":")).encode())

    def verify(self, receipt: str, now: datetime) -> Verified:
        """Whether it is one of ours; never raises for what is wrong with it."""
        kid = ""
        try:
            header = _header(receipt)
            kid = header.get("kid", "")
            payload = payload_of(receipt, self._counting(kid, now))
            return Verified("", kid, _claims(payload, now))
        except _Wrong as error:
            return Verified(error.problem, kid, None)

    def jwks(self, now: datetime) -> list[PublicPart]:
        """The public parts of those that count, by kid."""
        counting = (key for _, key in sorted(self._keys.items()) if key.state != "revoked")
        parts = (public_part(key) for key in counting if not key.is_over(now))
        return [part for part in parts if part is not None]

    def _counting(self, kid: str, now: datetime) -> Key:
        key = self._keys.get(kid)
        if key is None:
            raise _Wrong("KEY_UNKNOWN")
        if key.state == "revoked":
            raise _Wrong("KEY_REVOKED")
        if key.is_over(now):
            raise _Wrong("KEY_EXPIRED")
        return key


class _Wrong(Exception):
    """What is wrong with a receipt."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


# -- signatures -------------------------------------------------------------------------------------------


def signed(key: Key, payload: bytes) -> str:
    """The payload with its signature."""
    assert key.signing is not None
    return _JWS.encode(payload, key.signing, key.alg, headers={"kid": key.kid, "typ": TYPE})


def payload_of(jws: str, key: Key) -> bytes:
    """What the key signed, by its own algorithm."""
    try:
        payload: bytes = _JWS.decode(jws, key.verifying, algorithms=[key.alg])
    except jwt.InvalidSignatureError:
        raise _Wrong("SIGNATURE_WRONG") from None
    except jwt.InvalidAlgorithmError:
        raise _Wrong("ALGORITHM_WRONG") from None
    except jwt.PyJWTError:
        raise _Wrong("MALFORMED") from None
    return payload


def _header(receipt: str) -> dict[str, Any]:
    """Nothing of it is trusted but that it is one, of a receipt."""
    if len(receipt) > MAX_BYTES or not receipt.isascii() or "=" in receipt:
        raise _Wrong("MALFORMED")
    try:
        first = jwt.utils.base64url_decode(receipt.partition(".")[0])
        header = json.loads(first, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise _Wrong("MALFORMED") from None
    if not isinstance(header, dict) or "crit" in header:  # no extension is understood here
        raise _Wrong("MALFORMED")
    if header.get("alg") not in _ALGORITHMS:
        raise _Wrong("ALGORITHM_WRONG")
    if header.get("typ") != TYPE or not isinstance(header.get("kid", ""), str):
        raise _Wrong("MALFORMED")
    return header


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member twice")
    return members


# -- claims -----------------------------------------------------------------------------------------------


def _line(amount: Amount) -> dict[str, str]:
    kind, _, name = amount.asset.partition(":")
    line = {kind: name, "quantity": str(amount.quantity)}  # a text: JSON's numbers end at 2**53 for many
    if amount.item_type:
        line["type"] = amount.item_type
    return line


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)

    item: str = ""
    currency: str = ""
    type: str = ""
    quantity: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]

    @model_validator(mode="after")
    def check(self) -> Self:
        if bool(self.item) == bool(self.currency) or int(self.quantity) > MOST:
            raise ValueError("must be so many of one item or currency")
        return self

    def amount(self) -> Amount:
        asset = f"item:{self.item}" if self.item else f"currency:{self.currency}"
        return Amount(asset, int(self.quantity), self.type)


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    iss: Annotated[str, Field(pattern=f"^{ISSUER}$")]
    jti: Annotated[str, Field(min_length=1)]
    sub: Annotated[str, Field(min_length=1)]
    iat: Annotated[int, Field(ge=0, le=253_402_300_799)]  # the last second that a datetime has
    items: list[_Line]
    transfers: list[str]
    source: str
    source_id: str
    cause: str


def _claims(payload: bytes, now: datetime) -> ReceiptClaims:
    try:
        said = _Claims.model_validate_json(payload)
    except ValidationError:
        raise _Wrong("CLAIMS_WRONG") from None
    issued_at = datetime.fromtimestamp(said.iat, UTC)
    if issued_at > now + _AHEAD:
        raise _Wrong("CLAIMS_WRONG")
    return ReceiptClaims(
        said.jti,
        said.sub,
        issued_at,
        tuple(line.amount() for line in said.items),
        tuple(said.transfers),
        said.source,
        said.source_id,
        said.cause,
    )

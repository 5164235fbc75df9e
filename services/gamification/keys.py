"""The ring of keys of receipts: one signs, others still count, or count no longer.

The setting RECEIPT_KEYS is a JSON list of keys. `kid`: its name in receipts. `alg`: `EdDSA` (Ed25519: anybody
can check) or `HS256` (whoever can check can also sign). `state`: `signing`, `verify` or `revoked`.
`not_after`: from then on a key that verifies counts no longer. The key itself is as in a JSON Web Key (RFC
7518, RFC 8037), in base64url: of EdDSA `d`, the private part, or only `x`, the public one, when it does not
sign; of HS256 `k`.
"""

import base64
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

SETTING = "RECEIPT_KEYS"
SECRET_BYTES = 32
"""Of a key: all of an EdDSA one, the least of an HS256 one."""
# Signs receipts on a developer's machine. Everybody knows it, so the settings refuse it anywhere else.
_DEVELOPMENT_KEY = b"arenamesh development receipts!!"


class PublicPart(NamedTuple):
    """Of an EdDSA key, with the names of RFC 7517 and RFC 8037."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


@dataclass(frozen=True, slots=True)
class Key:
    """Of HS256, what it signs and what it verifies with are the same. `signing`: None: it only verifies."""

    kid: str
    alg: str
    state: str
    not_after: datetime | None
    verifying: Ed25519PublicKey | bytes
    signing: Ed25519PrivateKey | bytes | None

    def is_over(self, now: datetime) -> bool:
        """Whether it counted only until some time before."""
        return self.not_after is not None and self.not_after <= now


class RingError(ValueError):
    """`problems`: one line for each, its place in the setting first."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse(text: str) -> list[Key]:
    """The keys of the setting. Empty: the one for development. Raises RingError."""
    if not text:
        private = Ed25519PrivateKey.from_private_bytes(_DEVELOPMENT_KEY)
        return [Key("development", "EdDSA", "signing", None, private.public_key(), private)]
    try:
        documents = _RING.validate_json(text)
    except ValidationError as error:
        raise RingError([_described(problem["loc"], problem["msg"]) for problem in error.errors()]) from None
    problems = list(_problems(documents))
    if problems:
        raise RingError(problems)
    return [document.key() for document in documents]


def faults(text: str, environment: str) -> list[str]:
    """What is wrong with the setting, one line each. `environment`: as in the settings."""
    try:
        keys = parse(text)
    except RingError as error:
        return error.problems
    if environment != "development" and any(_is_known(key) for key in keys):
        # `new-key` reads these settings too, so it can only be run where they are accepted.
        return [
            f"{SETTING}: the development key is refused outside ENVIRONMENT=development; a new one: "
            "ENVIRONMENT=development python -m services.gamification.main new-key"
        ]
    return []


def public_part(key: Key) -> PublicPart | None:
    """None: whoever has its key could sign."""
    if isinstance(key.verifying, bytes):
        return None
    return PublicPart("OKP", "Ed25519", encoded(key.verifying.public_bytes_raw()), key.kid, "sig", key.alg)


def encoded(data: bytes) -> str:
    """In base64url, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _is_known(key: Key) -> bool:
    known = Ed25519PrivateKey.from_private_bytes(_DEVELOPMENT_KEY).public_key().public_bytes_raw()
    if isinstance(key.verifying, bytes):
        return key.verifying in (_DEVELOPMENT_KEY, known)
    return key.verifying.public_bytes_raw() == known


def _decoded(value: object) -> bytes:
    """One text only for the same bytes. The value is never in the message: it may be a secret."""
    if isinstance(value, str) and value.isascii():
        try:
            data = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        except ValueError:
            data = b""
        if encoded(data) == value:
            return data
    raise ValueError("must be base64url without padding")


Part = Annotated[bytes, BeforeValidator(_decoded), Field(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
Secret = Annotated[bytes, BeforeValidator(_decoded), Field(min_length=SECRET_BYTES, max_length=1024)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    state: Literal["signing", "verify", "revoked"]
    not_after: AwareDatetime | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.state == "signing" and self.not_after is not None:
            raise ValueError("not_after is of keys that only verify: nobody could check what it signs later")
        return self


class _EdDsa(_Document):
    alg: Literal["EdDSA"]
    d: Part | None = None
    x: Part | None = None

    @model_validator(mode="after")
    def check_parts(self) -> Self:
        if self.d is None and (self.x is None or self.state == "signing"):
            raise ValueError("needs d to sign, and d or x to verify")
        if self.x not in (None, self._public().public_bytes_raw()):
            raise ValueError("x is not the public part of d")
        return self

    def key(self) -> Key:
        private = Ed25519PrivateKey.from_private_bytes(self.d) if self.d is not None else None
        return Key(self.kid, self.alg, self.state, self.not_after, self._public(), private)

    def _public(self) -> Ed25519PublicKey:
        if self.d is not None:
            return Ed25519PrivateKey.from_private_bytes(self.d).public_key()
        return Ed25519PublicKey.from_public_bytes(self.x or b"")


class _Hs256(_Document):
    alg: Literal["HS256"]
    k: Secret

    def key(self) -> Key:
        return Key(self.kid, self.alg, self.state, self.not_after, self.k, self.k)


_RING = TypeAdapter(list[Annotated[_EdDsa | _Hs256, Field(discriminator="alg")]])


def _problems(documents: list[_EdDsa | _Hs256]) -> Iterable[str]:
    """What no key can say alone."""
    signing = sum(document.state == "signing" for document in documents)
    if signing != 1:
        yield f"{SETTING}: exactly one key must be signing, not {signing}"
    for kid, count in Counter(document.kid for document in documents).items():
        if count > 1:
            yield f"{SETTING}: {count} keys are named {kid}"


def _described(place: tuple[int | str, ...], message: str) -> str:
    """`RECEIPT_KEYS[0].k: ...` of one pydantic error."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    for alg in ("EdDSA", "HS256"):
        path = path.replace(f".{alg}", "")
    return f"{SETTING}{path}: {message.removeprefix('Value error, ')}"

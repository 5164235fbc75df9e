"""The keys of producers: whose signature it is.

The setting INGEST_KEYS is a JSON list of keys. `producer`: whose it is; one may have several, so that a new
one can be in use before the old one goes. `kid`: the key's name, for `x-key-id`. `state`: `active` or
`retired`. `not_after`: from then on it is retired. The key itself is `secret`, for HMAC-SHA256: a text, or as
Standard Webhooks write it, `whsec_` and base64; or `public_key`, for Ed25519: `whpk_` and base64.

HMAC_SECRET is the one key of the producer `default`, and its only way to sign where there is no list.
"""

import base64
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
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

SETTING = "INGEST_KEYS"
SECRET_SETTING = "HMAC_SECRET"
DEFAULT = "default"
"""The producer, and the kid, of HMAC_SECRET."""
SECRET_BYTES = 24
"""The least of a secret, as Standard Webhooks have it."""
MAX_KEYS = 256
"""Of all producers together. A wrong signature is compared with each."""
# Signs on a developer's machine. Everybody knows it, so the settings refuse it anywhere else.
DEVELOPMENT_SECRET = "arenamesh-development-ingest-secret"
_SECRET_PREFIX, _PUBLIC_PREFIX = "whsec_", "whpk_"


@dataclass(frozen=True, slots=True)
class Key:
    """`material`: bytes: the secret of HMAC-SHA256."""

    producer: str
    kid: str
    material: bytes | Ed25519PublicKey = field(repr=False)
    retired: bool = False
    not_after: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether what it signs counts no longer."""
        return self.retired or (self.not_after is not None and self.not_after <= now)


class KeysError(ValueError):
    """`problems`: one line for each, its place in the setting first. None shows a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse(text: str, secret: str) -> list[Key]:
    """The keys of INGEST_KEYS and HMAC_SECRET. Both empty: the one for development. Raises KeysError."""
    if not text and not secret:
        secret = DEVELOPMENT_SECRET
    keys = [document.key() for document in _documents(text)]
    problems = list(_problems(keys))
    if secret:
        try:
            keys.append(Key(DEFAULT, DEFAULT, _secret(secret)))
        except ValueError as error:
            problems.append(f"{SECRET_SETTING}: {error}")
    if problems:
        raise KeysError(problems)
    return keys


def faults(text: str, secret: str, environment: str) -> list[str]:
    """What is wrong with the settings, one line each. `environment`: as in the settings."""
    try:
        keys = parse(text, secret)
    except KeysError as error:
        return error.problems
    if environment == "development":
        return []
    if not text and not secret:
        return [f"{SETTING}: outside ENVIRONMENT=development it is needed, or {SECRET_SETTING}"]
    if any(key.material == DEVELOPMENT_SECRET.encode() for key in keys):
        setting = SECRET_SETTING if secret else SETTING
        return [f"{setting}: the development secret is refused outside ENVIRONMENT=development"]
    return []


def _decoded(text: str) -> bytes:
    """One text only for the same bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not text or base64.b64encode(data).decode() != text:
        raise ValueError("must be base64 after its prefix")
    return data


def _secret(value: object) -> bytes:
    """The value is never in the message: it is a secret."""
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004  # what pydantic makes a problem of
    data = (
        _decoded(value.removeprefix(_SECRET_PREFIX)) if value.startswith(_SECRET_PREFIX) else value.encode()
    )
    if not SECRET_BYTES <= len(data) <= 1024:
        raise ValueError(f"must be {SECRET_BYTES} to 1024 bytes")
    return data


def _public(value: object) -> Ed25519PublicKey:
    if not isinstance(value, str) or not value.startswith(_PUBLIC_PREFIX):
        raise ValueError(f"must be a text that begins with {_PUBLIC_PREFIX}")
    data = _decoded(value.removeprefix(_PUBLIC_PREFIX))
    if len(data) != 32:
        raise ValueError("must be 32 bytes")
    return Ed25519PublicKey.from_public_bytes(data)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    producer: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    secret: Annotated[bytes | None, BeforeValidator(_secret)] = None
    public_key: Annotated[Ed25519PublicKey | None, BeforeValidator(_public)] = None
    state: Literal["active", "retired"] = "active"
    not_after: AwareDatetime | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        if (self.secret is None) == (self.public_key is None):
            raise ValueError("needs either secret or public_key")
        return self

    def key(self) -> Key:
        material = self.public_key if self.secret is None else self.secret
        assert material is not None
        return Key(self.producer, self.kid, material, self.state == "retired", self.not_after)


_LIST = TypeAdapter(Annotated[list[_Document], Field(max_length=MAX_KEYS)])


def _documents(text: str) -> list[_Document]:
    try:
        return _LIST.validate_json(text or "[]")
    except ValidationError as error:
        raise KeysError([_described(fault["loc"], fault["msg"]) for fault in error.errors()]) from None


def _problems(keys: list[Key]) -> Iterable[str]:
    """What no key can say alone."""
    for kid, count in Counter(key.kid for key in keys).items():
        if count > 1:
            yield f"{SETTING}: {count} keys are named {kid}"
        if kid == DEFAULT:
            yield f"{SETTING}: {DEFAULT} is the name of {SECRET_SETTING}"


def _described(place: tuple[int | str, ...], message: str) -> str:
    """`INGEST_KEYS[0].secret: ...` of one pydantic error."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return f"{SETTING}{path}: {message.removeprefix('Value error, ')}"

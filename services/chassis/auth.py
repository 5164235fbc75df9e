"""Who calls, and who may: bearer tokens (JWT, HS256) and the roles that the contract declares."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import jwt
from arenamesh.common.v1 import access_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from services.chassis import clock
from services.chassis.errors import PermissionDenied, Unauthenticated

# Signs tokens on a developer's machine. Everybody knows it, so the settings refuse it anywhere else.
DEVELOPMENT_SECRET = "arenamesh-development-secret-not-for-production"
ISSUER = AUDIENCE = "arenamesh"
_ALGORITHM = "HS256"
_CACHED_TOKENS = 16384  # verified once; the oldest is verified again when it returns


class Role(Enum):
    """The `role` claim."""

    PLAYER = "player"
    GAME_SERVER = "game_server"
    OPERATOR = "operator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a verified token speaks for. `expires_at`: seconds since 1970."""

    subject: str
    role: Role
    expires_at: int


_principal: ContextVar[Principal] = ContextVar("principal")


def principal() -> Principal:
    """The caller of the RPC that is being handled."""
    return _principal.get()


def known_principal() -> Principal | None:
    """The same of a public RPC, which may have none."""
    return _principal.get(None)


def bind(caller: Principal) -> None:
    """Makes `caller` the principal of the current task."""
    _principal.set(caller)


class Verifier:
    """Checks tokens against one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._decode = lru_cache(_CACHED_TOKENS)(self._decode_token)

    def verify(self, metadata: Mapping[str, str | bytes]) -> Principal:
        """The caller, from the `authorization` metadata.

        Raises:
            Unauthenticated: TOKEN_MISSING, TOKEN_INVALID or TOKEN_EXPIRED.
        """
        header = metadata.get("authorization", "")
        if not isinstance(header, str) or not header:
            raise Unauthenticated("A bearer token is needed.", reason="TOKEN_MISSING")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("`authorization` must be `Bearer <token>`.", reason="TOKEN_INVALID")
        caller = self._decode(token)
        if caller.expires_at <= clock.unix_s():
            raise Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")
        return caller

    def known(self, metadata: Mapping[str, str | bytes]) -> Principal | None:
        """The caller of a public method; None: no token that counts came along."""
        if "authorization" not in metadata:
            return None
        try:
            return self.verify(metadata)
        except Unauthenticated:
            return None

    def _decode_token(self, token: str) -> Principal:
        # Expiry is left out here because the result is cached; `verify` looks at it each time.
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": ["sub", "role", "iat", "exp", "iss", "aud"], "verify_exp": False},
            )
            return Principal(str(claims["sub"]), Role(claims["role"]), int(claims["exp"]))
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise Unauthenticated("The token is not valid.", reason="TOKEN_INVALID") from error


def mint(secret: str, *, subject: str, role: Role, lifetime_s: int = 3600) -> str:
    """A signed token for `subject`, for tests and `scripts/token`; in production a studio's login signs."""
    now = clock.unix_s()
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "role": role.value,
        "iat": now,
        "exp": now + lifetime_s,
    }
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a method: callers with a token of one of `roles`, or anybody."""

    roles: frozenset[Role]
    public: bool


def access_of(method: MethodDescriptor) -> Access:
    """What the contract declares of a method; nobody when it declares nothing."""
    declared: Any = method.GetOptions().Extensions[access_pb2.access]  # type: ignore[index]
    names = (access_pb2.Role.Name(number).removeprefix("ROLE_").lower() for number in declared.roles)
    return Access(frozenset(Role(name) for name in names if name != "unspecified"), declared.public)


class AccessUndeclaredError(Exception):
    """A method of the contract does not say who may call it."""


def access_table(service: ServiceDescriptor) -> dict[str, Access]:
    """Access by method name.

    Raises:
        AccessUndeclaredError: naming every method without the `access` option, or with both roles and
            `public`, of which one cannot be meant.
    """
    table = {method.name: access_of(method) for method in service.methods}
    unclear = sorted(name for name, access in table.items() if access.public == bool(access.roles))
    if unclear:
        raise AccessUndeclaredError(f"{service.full_name}: roles, or public, for {', '.join(unclear)}")
    return table


def require(caller: Principal, allowed: frozenset[Role]) -> None:
    """Raises PermissionDenied (ROLE_NOT_ALLOWED) unless the caller's role is among `allowed`."""
    if caller.role not in allowed:
        raise PermissionDenied(
            f"Role {caller.role.value} may not call this method.",
            reason="ROLE_NOT_ALLOWED",
            metadata={"role": caller.role.value, "allowed": ",".join(sorted(role.value for role in allowed))},
        )

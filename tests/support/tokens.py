"""Bearer tokens for the tests, as call metadata."""

from services.chassis.auth import DEVELOPMENT_SECRET, Role, mint

Metadata = tuple[tuple[str, str], ...]


def bearer(
    subject: str, role: Role = Role.PLAYER, *, secret: str = DEVELOPMENT_SECRET, lifetime_s: int = 3600
) -> Metadata:
    token = mint(secret, subject=subject, role=role, lifetime_s=lifetime_s)
    return (("authorization", f"Bearer {token}"),)


def player(name: str) -> Metadata:
    return bearer(name)


def game_server(name: str = "gs-1") -> Metadata:
    return bearer(name, Role.GAME_SERVER)


def operator(name: str = "op-1") -> Metadata:
    return bearer(name, Role.OPERATOR)

"""What a mesh on one machine is told: by options, and by the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.chassis.auth import DEVELOPMENT_SECRET
from services.mesh.errors import StartError

ROOT = Path(__file__).parents[2]
SHORTEST_SECRET = 32


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """One mesh.

    Attributes:
        data: database, logs, state. One mesh at a time.
        database_url, redis_url: empty for the embedded ones.
        services: which to run, by package; empty for all.
        start_seconds: how long one part may take until it answers; then the start fails.
        stop_seconds: how long one part may take to stop; then it is killed.
        log_bytes: a larger log is set aside as `<name>.log.1`, over the one before it.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int
    services: tuple[str, ...] = ()
    bots: bool = True
    web: bool = True
    environment: str = "development"
    database_url: str = ""
    redis_url: str = ""
    jwt_secret: str = DEVELOPMENT_SECRET
    log_level: str = "INFO"
    start_seconds: float = 60.0
    stop_seconds: float = 20.0
    log_bytes: int = 64 << 20

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def development(self) -> bool:
        return self.environment == "development"


def cores() -> int:
    """That this process may use; a container often has fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that come from the environment.

    Raises:
        StartError: a value that cannot be used, by the variable's name.
    """
    kind = environment.get("ENVIRONMENT", "development")
    if kind not in ("development", "production"):
        raise StartError(f"ENVIRONMENT is {kind!r}.", "It can be development or production.")
    secret = environment.get("JWT_SECRET", "")
    if kind == "production" and (secret == DEVELOPMENT_SECRET or len(secret.encode()) < SHORTEST_SECRET):
        raise StartError(
            f"ENVIRONMENT=production needs a JWT_SECRET of its own, of at least {SHORTEST_SECRET} bytes.",
            "For example: export JWT_SECRET=$(openssl rand -hex 32)",
        )
    return {
        "environment": kind,
        "jwt_secret": secret or DEVELOPMENT_SECRET,
        "database_url": environment.get("DATABASE_URL", ""),
        "redis_url": environment.get("REDIS_URL", ""),
        "log_level": environment.get("LOG_LEVEL", "INFO").upper(),
    }

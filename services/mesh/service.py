"""The services: which processes there are of each, as data, and how one is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

from services.edge.endpoints import Endpoint
from services.mesh import probes
from services.mesh.ports import LOOPBACK, Ports, is_free
from services.mesh.process import Program
from services.mesh.settings import ROOT, MeshSettings

# All of the mesh shares this machine, and even what runs at the lowest priority costs those it interrupts:
# so the projector takes little, and that in large pieces.
_AT_LEISURE = {"PROJECTION_PARALLEL": "1", "PROJECTION_SHARE": "0.15"}


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process of a service.

    Attributes:
        name: of the process: its log, its line of the status, its place behind the edge.
        package: `python -m services.<package>.main <command>` runs it; also its cluster at the edge.
        pool: connections to PostgreSQL that it shares among its callers.
        beside: connections that it has beside them.
        environment: settings of its own.
        background: what it does may come a little later, a player's answer may not: on a full machine it
            steps back, once it has started. It stops after the others, so that it sees what they did last.
    """

    name: str
    package: str
    command: str = "serve"
    pool: int
    beside: int
    environment: Mapping[str, str] = field(default_factory=dict)
    background: bool = False

    @property
    def connections(self) -> int:
        return self.pool + self.beside


def services(workers: int, packages: Collection[str] = ()) -> list[Service]:
    """Those of these packages, or all. Combat's workers are named slots, whose names outlive their ports."""
    return [service for service in _all(workers) if not packages or service.package in packages]


def _all(workers: int) -> list[Service]:
    return [
        # Beside: its commits, its presence.
        *(Service(name=f"w{index}", package="combat", pool=8, beside=2) for index in range(workers)),
        # Beside: the journal, its two turns.
        Service(
            name="projector",
            package="combat",
            command="project",
            pool=4,
            beside=3,
            environment=_AT_LEISURE,
            background=True,
        ),
        # Beside: its commits, the turn of its relay.
        Service(name="progression", package="progression", pool=10, beside=2),
        # Beside: its commits, the turns of its relay and its sweeper.
        Service(name="gamification", package="gamification", pool=10, beside=3),
        # Beside: its commits, the turn of its finaliser.
        Service(name="leaderboard", package="leaderboard", pool=8, beside=2),
        # Beside: its commits, the turns of its relay and its sweeper.
        Service(name="fairness", package="fairness", pool=6, beside=3),
        # Beside: its commits, the turn of its relay.
        Service(name="ingest", package="ingest", pool=4, beside=2),
    ]


PACKAGES = tuple(dict.fromkeys(service.package for service in _all(1)))


class Instance:
    """A service's process on this machine. It keeps its ports unless somebody takes one while it is down.

    Args:
        environment: of every service.
        moved: told when it had to change its ports.
    """

    def __init__(
        self,
        service: Service,
        settings: MeshSettings,
        ports: Ports,
        http: aiohttp.ClientSession,
        *,
        environment: Mapping[str, str],
        moved: Callable[[], None],
    ) -> None:
        self.service = service
        self._logs = settings.logs
        self._ports = ports
        self._http = http
        self._environment = environment
        self._moved = moved
        self._port, self._admin_port = ports.free(), ports.free()

    def endpoints(self) -> dict[str, Endpoint]:
        """Where it is, by the name of an edge's cluster."""
        name, package = self.service.name, self.service.package
        if self.service.command != "serve":
            return {}
        return {
            package: Endpoint(name, LOOPBACK, self._port),
            f"{package}_admin": Endpoint(name, LOOPBACK, self._admin_port),
        }

    def program(self) -> Program:
        service = self.service
        if not (is_free(LOOPBACK, self._port) and is_free(LOOPBACK, self._admin_port)):
            self._port, self._admin_port = self._ports.free(), self._ports.free()
            self._moved()
        return Program(
            command=(sys.executable, "-m", f"services.{service.package}.main", service.command),
            log=self._logs / f"{service.name}.log",
            environment={
                **self._environment,
                "WORKER_NAME": service.name,
                "PORT": str(self._port),
                "ADMIN_PORT": str(self._admin_port),
                "DATABASE_POOL": str(service.pool),
                **service.environment,
            },
            folder=ROOT,
            background=service.background,
        )

    async def answers(self) -> bool:
        return await probes.get(self._http, f"http://{LOOPBACK}:{self._admin_port}/ready") is not None


def environment(settings: MeshSettings, *, database_url: str, redis_url: str) -> dict[str, str]:
    """What every service is told."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": settings.jwt_secret,
        "ENVIRONMENT": settings.environment,
        "LOG_LEVEL": settings.log_level,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}",
        "PYTHONUNBUFFERED": "1",
    }


def migration(packages: Iterable[str], settings: MeshSettings, environment: Mapping[str, str]) -> Program:
    """Brings the tables of services up to date."""
    return Program(
        command=(sys.executable, "-m", "services.mesh.migrations", *packages),
        log=settings.logs / "migrations.log",
        environment=environment,
        folder=ROOT,
    )

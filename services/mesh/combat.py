"""The combat workers: named slots whose names outlive their ports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import aiohttp

from services.edge.endpoints import Endpoint
from services.mesh import probes
from services.mesh.ports import LOOPBACK, Ports, is_free
from services.mesh.process import Program
from services.mesh.settings import ROOT, MeshSettings

PROJECTOR = "projector"
_COMMAND = (sys.executable, "-m", "services.combat.main")
# All of the mesh shares this machine, and even what runs at the lowest priority costs those it interrupts:
# so the projector takes little, and that in large pieces. It makes itself nice; where Linux shares the
# processors out by session, that says nothing, and the session has a niceness of its own.
_AT_LEISURE = {"PROJECTION_PARALLEL": "1", "PROJECTION_SHARE": "0.15"}
_BACKGROUND = ("sh", "-c", 'echo 19 2>/dev/null >/proc/self/autogroup; exec "$@"', "sh")


@dataclass
class Slot:
    name: str
    port: int
    admin_port: int

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.name, LOOPBACK, self.port)

    @property
    def admin_endpoint(self) -> Endpoint:
        return Endpoint(self.name, LOOPBACK, self.admin_port)


class Combat:
    """Programs and probes of the combat service.

    Args:
        moved: told when a slot had to change its ports.
    """

    def __init__(
        self,
        settings: MeshSettings,
        ports: Ports,
        http: aiohttp.ClientSession,
        *,
        database_url: str,
        redis_url: str,
        moved: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._http = http
        self._moved = moved
        self._environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "JWT_SECRET": settings.jwt_secret,
            "ENVIRONMENT": settings.environment,
            "LOG_LEVEL": settings.log_level,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}",
            "PYTHONUNBUFFERED": "1",
        }
        self._projector_port = ports.free()
        self.slots = [Slot(f"w{index}", ports.free(), ports.free()) for index in range(settings.workers)]

    def migrate(self) -> Program:
        return self._program("migrate", "migrate", {})

    def serve(self, slot: Slot) -> Program:
        """Its ports are its own, but somebody may have taken one while the worker was down."""
        if not (is_free(LOOPBACK, slot.port) and is_free(LOOPBACK, slot.admin_port)):
            slot.port, slot.admin_port = self._ports.free(), self._ports.free()
            self._moved()
        own = {"WORKER_NAME": slot.name, "PORT": str(slot.port), "ADMIN_PORT": str(slot.admin_port)}
        return self._program("serve", slot.name, own)

    async def answers(self, slot: Slot) -> bool:
        return await self._ready(slot.admin_port)

    def project(self) -> Program:
        """The projector: nobody calls it, so its admin port may be another one each time."""
        if not is_free(LOOPBACK, self._projector_port):
            self._projector_port = self._ports.free()
        own = {"WORKER_NAME": PROJECTOR, "ADMIN_PORT": str(self._projector_port)} | _AT_LEISURE
        program = self._program("project", PROJECTOR, own)
        # What it counts may come a little later, a player's answer may not: on a full machine it steps back.
        return replace(program, command=(*_BACKGROUND, *program.command))

    async def projects(self) -> bool:
        return await self._ready(self._projector_port)

    async def _ready(self, admin_port: int) -> bool:
        return await probes.get(self._http, f"http://{LOOPBACK}:{admin_port}/ready") is not None

    def _program(self, command: str, log: str, environment: dict[str, str]) -> Program:
        return Program(
            command=(*_COMMAND, command),
            log=self._settings.logs / f"{log}.log",
            environment=self._environment | environment,
            folder=ROOT,
        )

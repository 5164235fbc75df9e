"""The whole mesh on one machine: what starts after what, and stops in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

from services.edge.backends import listed
from services.edge.endpoints import Endpoint
from services.mesh import bots, logs, page, probes
from services.mesh.child import Child
from services.mesh.edge import Edge
from services.mesh.errors import StartError
from services.mesh.ports import LOOPBACK, Ports, is_free
from services.mesh.postgres import VERSION, Postgres
from services.mesh.process import Program, run
from services.mesh.redis import Redis
from services.mesh.report import Report
from services.mesh.service import Instance, environment, migration, services
from services.mesh.settings import MeshSettings
from services.mesh.state import DataDirectory
from services.mesh.web import WebServer

# Services before the edge, so that they can still tell their streams; those in the background after the
# others, so that they see what was done last; stores at the end.
STOP_ORDER = ("bots", "services", "background", "edge", "redis", "postgres")


class Mesh:
    """One mesh: `start`, then `stop`, which is right after a failed or interrupted start too."""

    def __init__(self, settings: MeshSettings, report: Report, directory: DataDirectory) -> None:
        self._settings = settings
        self._report = report
        self._directory = directory
        self._children: dict[str, list[Child]] = {kind: [] for kind in STOP_ORDER}
        self._stack = contextlib.AsyncExitStack()
        self._ports = Ports()
        self._phase = "starting"
        self._services = services(settings.workers, settings.services)
        connections = sum(service.connections for service in self._services)
        self._postgres = Postgres(settings.data, settings.logs, connections)
        self._redis = Redis(settings.data, settings.logs)
        self._urls = _urls(settings) | {
            "database": settings.database_url or self._postgres.url,
            "redis": settings.redis_url or self._redis.url,
        }
        self._environment = environment(
            settings, database_url=self._urls["database"], redis_url=self._urls["redis"]
        )

    async def start(self) -> None:
        """Returns when a call through the edge reaches every process of every service.

        Raises:
            StartError: something is missing or failed.
        """
        begun = time.monotonic()
        settings = self._settings
        if not is_free(settings.host, settings.port):
            raise StartError(
                f"Port {settings.port} is taken.",
                f"Choose another one: scripts/up --port {settings.port + 1}",
            )
        settings.logs.mkdir(parents=True, exist_ok=True)
        self._write_state()
        keeper = asyncio.create_task(logs.keep_small(settings.logs, settings.log_bytes))
        self._stack.callback(keeper.cancel)
        http = await self._stack.enter_async_context(aiohttp.ClientSession())
        edge = Edge(settings, self._ports.free(), http)
        instances = self._instances(edge, http)

        await _together(self._start_everything(edge, instances), self._build_page())
        # Without combat they would have nobody to play with.
        if settings.bots and settings.development and "combat" in self._packages:
            await self._start_child("bots", "bots", lambda: bots.program(settings), _at_once)
        self._phase = "ready"
        self._write_state()
        self._report.tell(
            "ready", seconds=round(time.monotonic() - begun, 2), paths=listed(settings.services), **self._urls
        )

    async def stop(self) -> None:
        begun = time.monotonic()
        self._phase = "stopping"
        if any(self._children.values()):
            self._report.tell("stopping")
            self._write_state()
        for kind in STOP_ORDER:
            children = self._children[kind]
            asked = await asyncio.gather(*(child.stop() for child in children))
            for child, by_itself in zip(children, asked, strict=True):
                if not by_itself:
                    self._report.tell("note", text=f"{child.name} did not stop by itself and was killed.")
        await self._stack.aclose()
        if any(self._children.values()):
            self._report.tell("stopped", seconds=round(time.monotonic() - begun, 2))

    def kill(self) -> None:
        """Ends every process at once. Acknowledged verdicts are safe: PostgreSQL recovers them."""
        for children in self._children.values():
            for child in children:
                child.kill()

    async def _build_page(self) -> None:
        if not self._settings.web:
            return
        try:
            with self._report.step("page") as step:
                step.note = "built" if await page.build() else "current"
        except StartError as error:
            older = " The one built before is served." if page.exists() else ""
            self._report.tell("skipped", step="page", reason=f"{error.message} {error.hint}{older}")
        if page.exists():
            self._urls["page"] = self._urls["edge"]

    async def _start_everything(self, edge: Edge, instances: list[Instance]) -> None:
        await _together(self._start_stores(), self._start_edge(edge))
        with self._report.step("migrations") as step:
            packages = self._packages
            program = migration(packages, self._settings, self._environment)
            await run(program, "The database migration")
            step.note = ", ".join(packages)
        with self._report.step("services") as step:
            await _together(*(self._start_instance(instance) for instance in instances))
            await self._until_reachable(edge)
            step.note = ", ".join(service.name for service in self._services)

    @property
    def _packages(self) -> list[str]:
        return list(dict.fromkeys(service.package for service in self._services))

    async def _start_instance(self, instance: Instance) -> None:
        kind = "background" if instance.service.background else "services"
        await self._start_child(kind, instance.service.name, instance.program, instance.answers)

    async def _start_stores(self) -> None:
        settings, postgres, redis = self._settings, self._postgres, self._redis
        if not settings.database_url:
            with self._report.step("PostgreSQL") as step:
                created = await postgres.create()
                await self._start_child("postgres", "postgres", postgres.program, postgres.answers)
                step.note = f"version {VERSION}" + (", created" if created else "")
        if not settings.redis_url:
            with self._report.step("Redis"):
                await self._start_child("redis", "redis", redis.program, redis.answers)

    async def _start_edge(self, edge: Edge) -> None:
        """Before the workers: it finds them as they come up, and outlives them when the mesh stops."""
        with self._report.step("edge") as step:
            web, port = WebServer(self._settings), self._ports.free()
            await web.start(port)
            self._stack.push_async_callback(web.stop)
            edge.configure(Endpoint("web", LOOPBACK, port))
            await self._start_child("edge", "envoy", edge.program, edge.answers)
            step.note = f"port {self._settings.port}"

    def _instances(self, edge: Edge, http: aiohttp.ClientSession) -> list[Instance]:
        def moved() -> None:
            edge.route_to(instance.endpoints() for instance in instances)

        instances = [
            Instance(service, self._settings, self._ports, http, environment=self._environment, moved=moved)
            for service in self._services
        ]
        moved()
        return instances

    async def _until_reachable(self, edge: Edge) -> None:
        try:
            async with asyncio.timeout(self._settings.start_seconds):
                await probes.until(edge.sees_everybody)
        except TimeoutError:
            raise StartError(
                "Envoy does not reach every service.", f"Log: {self._settings.logs / 'envoy.log'}"
            ) from None

    async def _start_child(
        self, kind: str, name: str, program: Callable[[], Program], answers: Callable[[], Awaitable[bool]]
    ) -> None:
        child = Child(
            name,
            program,
            answers,
            self._changed,
            start_seconds=self._settings.start_seconds,
            stop_seconds=self._settings.stop_seconds,
        )
        self._children[kind].append(child)
        await child.start()

    def _changed(self, child: Child, reason: str) -> None:
        # A start that goes well is told by its step.
        if self._phase == "ready" and child.state != "starting":
            self._report.tell("part", part=child.name, state=child.state, reason=reason)
        self._write_state()

    def _write_state(self) -> None:
        children = [child for kind in reversed(STOP_ORDER) for child in self._children[kind]]
        down = any(child.state != "running" for child in children)
        self._directory.write(
            {
                "state": "degraded" if self._phase == "ready" and down else self._phase,
                "pid": os.getpid(),
                **self._urls,
                "parts": [
                    {"part": child.name, "state": child.state, "pid": child.pid, "restarts": child.restarts}
                    for child in children
                ],
            }
        )


def _urls(settings: MeshSettings) -> dict[str, str]:
    host = "localhost" if settings.host in (LOOPBACK, "0.0.0.0") else settings.host
    edge = f"http://{host}:{settings.port}"
    return {
        "edge": edge,
        "page": "",
        "rest": edge,
        "grpc": f"{host}:{settings.port}",
        "logs": str(settings.logs),
    }


async def _together(*starts: Coroutine[Any, Any, None]) -> None:
    """All at once; the first failure cancels the others and is raised as it is, not in a group."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except* StartError as failures:
        failure = failures
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
    if failure is not None:
        raise failure


async def _at_once() -> bool:
    return True

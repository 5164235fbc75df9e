"""The whole mesh on one machine: what starts after what, and stops in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import aiohttp

from services.edge.endpoints import Endpoint
from services.mesh import bots, logs, page, probes
from services.mesh.child import Child
from services.mesh.combat import PROJECTOR, Combat, Slot
from services.mesh.edge import Edge
from services.mesh.errors import StartError
from services.mesh.ports import LOOPBACK, Ports, is_free
from services.mesh.postgres import VERSION, Postgres
from services.mesh.process import Program, run
from services.mesh.redis import Redis
from services.mesh.report import Report
from services.mesh.settings import MeshSettings
from services.mesh.state import DataDirectory
from services.mesh.web import WebServer

# Workers before the edge, so that they can still tell their streams; the projector after them, so that it
# counts what they wrote last; stores at the end.
STOP_ORDER = ("bots", "combat", "projector", "edge", "redis", "postgres")


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
        self._postgres = Postgres(settings.data, settings.logs)
        self._redis = Redis(settings.data, settings.logs)
        self._urls = _urls(settings) | {
            "database": settings.database_url or self._postgres.url,
            "redis": settings.redis_url or self._redis.url,
        }

    async def start(self) -> None:
        """Returns when a call through the edge reaches every worker.

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
        combat = self._combat(edge, http)

        await _together(self._start_services(edge, combat), self._build_page())
        if settings.bots and settings.development:
            await self._start_child("bots", "bots", lambda: bots.program(settings), _at_once)
        self._phase = "ready"
        self._write_state()
        self._report.tell("ready", seconds=round(time.monotonic() - begun, 2), **self._urls)

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

    async def _start_services(self, edge: Edge, combat: Combat) -> None:
        await _together(self._start_stores(), self._start_edge(edge))
        with self._report.step("migrations"):
            await run(combat.migrate(), "The database migration")
        with self._report.step("combat") as step:
            projector = self._start_child("projector", PROJECTOR, combat.project, combat.projects)
            await _together(projector, *(self._start_worker(combat, slot) for slot in combat.slots))
            await self._until_reachable(edge)
            step.note = ", ".join(slot.name for slot in combat.slots)

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
            edge.configure()
            edge.route_to("web", [Endpoint("web", LOOPBACK, port)])
            await self._start_child("edge", "envoy", edge.program, edge.answers)
            step.note = f"port {self._settings.port}"

    def _combat(self, edge: Edge, http: aiohttp.ClientSession) -> Combat:
        def moved() -> None:
            edge.route_to("combat", [slot.endpoint for slot in combat.slots])
            edge.route_to("combat_admin", [slot.admin_endpoint for slot in combat.slots])

        urls = self._urls
        combat = Combat(
            self._settings,
            self._ports,
            http,
            database_url=urls["database"],
            redis_url=urls["redis"],
            moved=moved,
        )
        moved()
        return combat

    async def _start_worker(self, combat: Combat, slot: Slot) -> None:
        answers = partial(combat.answers, slot)
        await self._start_child("combat", slot.name, partial(combat.serve, slot), answers)

    async def _until_reachable(self, edge: Edge) -> None:
        try:
            async with asyncio.timeout(self._settings.start_seconds):
                await probes.until(edge.sees_everybody)
        except TimeoutError:
            raise StartError(
                "Envoy does not reach every worker.", f"Log: {self._settings.logs / 'envoy.log'}"
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
        "rest": f"{edge}/api/v1/combat",
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

"""The process's own small HTTP port: `/health`, `/healthz` (the same), `/ready`, `/metrics` and
`/debug/profile?seconds=N`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.chassis import profile

_CHECK_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """`ask` raises, or hangs, when the thing does not answer. Not `required`: without it the process does its
    work all the same, and says so."""

    ask: Callable[[], Awaitable[object]]
    required: bool = True


class Admin:
    """`checks`: what the process needs, or would like, by name. `/ready` is `ok`, `degraded` (200 too) when
    something is away that is not required, or `unavailable` (503)."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._draining = False
        self._profiling = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Serves, and returns the port (a free one for 0)."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/debug/profile", self._profile)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    def drain(self) -> None:
        """From now on `/ready` says no."""
        self._draining = True

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        states = dict(
            zip(self._checks, await asyncio.gather(*map(_state, self._checks.values())), strict=True)
        )
        away = [self._checks[name] for name, state in states.items() if state != "ok"]
        ready = not self._draining and not any(check.required for check in away)
        status = "unavailable" if not ready else "degraded" if away else "ok"
        if self._draining:
            states["process"] = "draining"
        return web.json_response({"status": status, "checks": states}, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _profile(self, request: web.Request) -> web.Response:
        try:
            seconds = float(request.query.get("seconds", "5"))
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= profile.MAX_SECONDS:
            text = f"seconds: a number above 0, up to {profile.MAX_SECONDS:g}\n"
            return web.Response(status=400, text=text)
        if self._profiling.locked():
            return web.Response(status=409, text="a profile is being taken\n")
        async with self._profiling:
            return web.Response(text=await profile.sample(seconds))


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_S):
            await check.ask()
    except Exception as error:
        return f"failed: {type(error).__name__}"
    return "ok"

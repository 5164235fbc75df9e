"""The web server behind the edge's root: the page, the maps and rulesets it draws, development tokens."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from services.chassis import auth
from services.edge.backends import listed
from services.mesh.page import DIST
from services.mesh.ports import LOOPBACK
from services.mesh.settings import ROOT, MeshSettings

DATA = ROOT / "services" / "combat" / "data"
TOKEN_SECONDS = 3600
_SUBJECT = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
_FILE = r"{name:[a-z0-9][a-z0-9.-]*\.json}"
_NO_PAGE = """<!doctype html><title>Arenamesh</title><h1>Arenamesh is running</h1>
<p>There is no page: Node is missing, the build failed, or <code>--no-web</code> was given. The services
answer: gRPC and gRPC-Web on this port, REST under <code>{paths}</code>.</p>
"""


class WebServer:
    """Runs inside the supervisor."""

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/maps/" + _FILE, _files(DATA / "maps"))
        app.router.add_get("/rulesets/" + _FILE, _files(DATA / "rulesets"))
        if self._settings.development:
            app.router.add_get("/dev/token", self._token)
        app.router.add_get("/{path:.*}", self._page)
        return app

    async def start(self, port: int) -> None:
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, port, shutdown_timeout=1).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _token(self, request: web.Request) -> web.Response:
        role, subject = request.query.get("role", "player"), request.query.get("subject", "")
        roles = [role.value for role in auth.Role]
        if role not in roles:
            raise web.HTTPBadRequest(text=f"role must be one of {', '.join(roles)}\n")
        if not _SUBJECT.fullmatch(subject):
            raise web.HTTPBadRequest(text="subject must be 1 to 64 of A-Z a-z 0-9 _ . : @ -\n")
        token = auth.mint(
            self._settings.jwt_secret, subject=subject, role=auth.Role(role), lifetime_s=TOKEN_SECONDS
        )
        body = {"token": token, "expires_in": TOKEN_SECONDS}
        return web.json_response(body, headers={"cache-control": "no-store"})

    async def _page(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"] or "index.html"
        file = (DIST / path).resolve()
        if self._settings.web and file.is_relative_to(DIST.resolve()) and file.is_file():
            # Built files carry a digest in their name; the page that names them does not.
            kept = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
            return web.FileResponse(file, headers={"cache-control": kept})
        if path == "index.html":
            paths = listed(self._settings.services)
            return web.Response(text=_NO_PAGE.format(paths=paths), content_type="text/html")
        raise web.HTTPNotFound(text="no such page\n")


def _files(folder: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        file = folder / request.match_info["name"]
        if not file.is_file():
            raise web.HTTPNotFound(text=f"no {folder.name} file of this name\n")
        return web.FileResponse(file, headers={"cache-control": "no-cache"})

    return serve

"""Envoy on this machine: its files, and whether it sees everybody."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import aiohttp

from services.edge import envoy_binary, render
from services.edge.endpoints import CLUSTERS, Endpoint, publish
from services.edge.settings import DEVELOPMENT_ORIGINS, EdgeSettings
from services.mesh import probes
from services.mesh.errors import StartError
from services.mesh.ports import LOOPBACK
from services.mesh.process import Program
from services.mesh.settings import ROOT, MeshSettings

DESCRIPTORS = ROOT / "build" / "arenamesh.binpb"


class Edge:
    """One Envoy under `data/edge`."""

    def __init__(self, settings: MeshSettings, admin_port: int, http: aiohttp.ClientSession) -> None:
        self._folder = settings.data / "edge"
        self._log = settings.logs / "envoy.log"
        self._secret = settings.jwt_secret
        self._http = http
        self._published: dict[str, list[Endpoint]] = {cluster: [] for cluster in CLUSTERS}
        self._admin = f"http://{LOOPBACK}:{admin_port}"
        self._settings = EdgeSettings(
            address=settings.host,
            port=settings.port,
            admin_port=admin_port,
            access_log=str(settings.logs / "access.log"),
            cors_origins=DEVELOPMENT_ORIGINS if settings.development else (),
        )

    def configure(self, web: Endpoint) -> None:
        """Writes the configuration. Raises StartError when the contract's image was never built."""
        if not DESCRIPTORS.is_file():
            raise StartError(f"{DESCRIPTORS} is missing.", "scripts/gen makes it.")
        self.route_to([{"web": web}])
        keys = self._folder / "jwks.json"
        keys.touch(mode=0o600)
        keys.write_text(render.jwks(self._secret))
        config = render.for_machine(
            self._settings, descriptors=DESCRIPTORS, jwks=keys, endpoints=self._endpoints
        )
        self._config.write_text(render.to_yaml(config))

    def route_to(self, found: Iterable[Mapping[str, Endpoint]]) -> None:
        """Sends the calls of the clusters that are named to these endpoints, and no longer to others."""
        self._endpoints.mkdir(parents=True, exist_ok=True)
        new: dict[str, list[Endpoint]] = defaultdict(list)
        for by_cluster in found:
            for cluster, endpoint in by_cluster.items():
                new[cluster].append(endpoint)
        self._published |= {cluster: new[cluster] for cluster in self._published.keys() & new.keys()}
        for cluster, endpoints in self._published.items():
            publish(self._endpoints, cluster, endpoints)

    def program(self) -> Program:
        return Program(
            command=(
                envoy_binary.path(),
                # Hot restart would make it die with whoever launched it, and share memory by number.
                "--disable-hot-restart",
                "--config-path",
                self._config,
                "--log-level",
                "warning",
                "--concurrency",
                str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
            ),
            log=self._log,
        )

    async def answers(self) -> bool:
        return await probes.get(self._http, f"{self._admin}/ready") is not None

    async def sees_everybody(self) -> bool:
        """Are all processes behind it healthy in Envoy's eyes?"""
        for cluster, endpoints in self._published.items():
            stat = f"cluster.{cluster}.membership_healthy"
            text = await probes.get(self._http, f"{self._admin}/stats?filter=^{stat}$")
            if text is None or text.strip() != f"{stat}: {len(endpoints)}":
                return False
        return True

    @property
    def _config(self) -> Path:
        return self._folder / "envoy.yaml"

    @property
    def _endpoints(self) -> Path:
        return self._folder / "endpoints"

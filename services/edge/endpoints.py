"""Where the processes behind the edge listen, as Envoy reads it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.edge.backends import BACKENDS

CLUSTERS = (*(backend.cluster for backend in BACKENDS), "combat_admin", "web")


@dataclass(frozen=True)
class Endpoint:
    """One process. Its `name` (w0, w1 ...) is what sessions are hashed to, so it outlives its port."""

    name: str
    host: str
    port: int


def assignment(cluster: str, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    return {
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": [_endpoint(endpoint) for endpoint in endpoints]}],
    }


def publish(folder: Path, cluster: str, endpoints: Iterable[Endpoint]) -> None:
    """Replaces `<folder>/<cluster>.yaml`. Envoy applies it within half a second, and only because it is moved
    into place: it ignores a file that is written where it stands."""
    resource = {"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"}
    document = {"resources": [resource | assignment(cluster, endpoints)]}
    path = folder / f"{cluster}.yaml"
    draft = path.with_suffix(".new")
    draft.write_text(yaml.safe_dump(document, sort_keys=False))
    os.replace(draft, path)  # noqa: PTH105 - the whole point is the rename


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "endpoint": {"address": {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}},
        "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": endpoint.name}}},
    }

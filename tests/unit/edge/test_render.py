"""Both renderings, judged by Envoy itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.edge import endpoints, envoy_binary, render
from services.edge.endpoints import Endpoint
from services.edge.settings import DEVELOPMENT_ORIGINS, EdgeSettings

DESCRIPTORS = Path(__file__).parents[3] / "build" / "arenamesh.binpb"
SETTINGS = EdgeSettings(cors_origins=DEVELOPMENT_ORIGINS)


def machine(folder: Path) -> dict[str, Any]:
    keys = folder / "jwks.json"
    keys.write_text(render.jwks("a secret of at least thirty-two bytes"))
    for cluster in endpoints.CLUSTERS:
        endpoints.publish(folder, cluster, [Endpoint("w0", "127.0.0.1", 50051)])
    return render.for_machine(SETTINGS, descriptors=DESCRIPTORS, jwks=keys, endpoints=folder)


def kubernetes(folder: Path) -> dict[str, Any]:
    keys = folder / "jwks.json"
    keys.write_text(render.jwks("a secret of at least thirty-two bytes"))
    clusters = render.pods(3)
    return render.for_kubernetes(SETTINGS, descriptors=DESCRIPTORS, jwks=keys, clusters=clusters)


@pytest.mark.parametrize("rendering", [machine, kubernetes])
def test_envoy_accepts_the_rendering(rendering: Any, tmp_path: Path) -> None:
    config = tmp_path / "envoy.yaml"
    config.write_text(render.to_yaml(rendering(tmp_path)))
    envoy_binary.validate(config)


def test_a_wrong_field_is_told_in_envoys_words(tmp_path: Path) -> None:
    rendering = machine(tmp_path)
    rendering["static_resources"]["clusters"][0]["lb_polcy"] = "MAGLEV"
    config = tmp_path / "envoy.yaml"
    config.write_text(render.to_yaml(rendering))
    with pytest.raises(ValueError, match="lb_polcy"):
        envoy_binary.validate(config)


def test_the_renderings_differ_only_in_where_endpoints_come_from(tmp_path: Path) -> None:
    one, other = machine(tmp_path), kubernetes(tmp_path)
    for rendering in (one, other):
        for cluster in rendering["static_resources"]["clusters"]:
            for source in ("type", "eds_cluster_config", "load_assignment"):
                cluster.pop(source, None)
    assert one == other


def test_no_placeholder_and_no_secret_is_left(tmp_path: Path) -> None:
    text = render.to_yaml(machine(tmp_path))
    assert re.findall(r": \$\w+", text) == []
    assert "thirty-two" not in text


def test_every_change_of_health_counts_at_once(tmp_path: Path) -> None:
    combat = machine(tmp_path)["static_resources"]["clusters"][0]
    assert combat["common_lb_config"]["update_merge_window"] == "0s"


def test_kubernetes_hashes_sessions_to_pod_names_not_addresses(tmp_path: Path) -> None:
    combat = kubernetes(tmp_path)["static_resources"]["clusters"][0]
    found = [
        (
            entry["metadata"]["filter_metadata"]["envoy.lb"]["hash_key"],
            entry["endpoint"]["address"]["socket_address"]["address"],
        )
        for entry in combat["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ]
    assert found == [("w0", "combat-0.combat"), ("w1", "combat-1.combat"), ("w2", "combat-2.combat")]


def test_publishing_replaces_the_file_and_leaves_no_draft(tmp_path: Path) -> None:
    endpoints.publish(tmp_path, "combat", [Endpoint("w0", "127.0.0.1", 1)])
    first = (tmp_path / "combat.yaml").stat().st_ino
    endpoints.publish(tmp_path, "combat", [Endpoint("w0", "127.0.0.1", 2)])
    assert (tmp_path / "combat.yaml").stat().st_ino != first
    assert [path.name for path in tmp_path.iterdir()] == ["combat.yaml"]
    (resource,) = yaml.safe_load((tmp_path / "combat.yaml").read_text())["resources"]
    (endpoint,) = resource["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 2


def test_the_key_set_is_one_symmetric_key() -> None:
    (key,) = json.loads(render.jwks("\x00\xff?secret"))["keys"]
    assert key["kty"] == "oct"
    assert key["alg"] == "HS256"
    assert not set(key["k"]) & set("+/=")

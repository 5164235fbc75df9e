"""Renders the one Envoy configuration for one machine or for Kubernetes."""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from services.edge.backends import ANYWHERE, BACKENDS, pattern, public_calls, roots
from services.edge.endpoints import CLUSTERS, Endpoint, assignment
from services.edge.routes import routes, under
from services.edge.settings import EdgeSettings

SOURCE = Path(__file__).with_name("envoy.yaml")
SIGNED = Path(__file__).with_name("signed.lua")

# HTTP status of a reply that Envoy itself gives -> the gRPC code in its JSON body.
LOCAL_REPLY_CODES = {
    400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 426: 3, 429: 8, 431: 8,
    500: 13, 502: 14, 503: 14, 504: 4,
}  # fmt: skip


def for_machine(settings: EdgeSettings, *, descriptors: Path, jwks: Path, endpoints: Path) -> dict[str, Any]:
    """A bootstrap whose endpoints come from the folder `endpoints`, which `endpoints.publish` writes."""
    config = _fill(settings, descriptors=str(descriptors), jwks=str(jwks))
    for cluster in config["static_resources"]["clusters"]:
        cluster["type"] = "EDS"
        cluster["eds_cluster_config"] = {
            "eds_config": {
                "path_config_source": {
                    "path": str(endpoints / f"{cluster['name']}.yaml"),
                    "watched_directory": {"path": str(endpoints)},
                }
            }
        }
    return config


def for_kubernetes(
    settings: EdgeSettings, *, descriptors: Path, jwks: Path, clusters: Mapping[str, list[Endpoint]]
) -> dict[str, Any]:
    """A bootstrap that resolves each endpoint's own name: a pod's sessions stay when it moves."""
    config = _fill(settings, descriptors=str(descriptors), jwks=str(jwks))
    for cluster in config["static_resources"]["clusters"]:
        cluster["type"] = "STRICT_DNS"
        cluster["load_assignment"] = assignment(cluster["name"], clusters[cluster["name"]])
    return config


def pods(workers: int) -> dict[str, list[Endpoint]]:
    """The endpoints of `workers` replicas of the StatefulSet `combat`, and of the other services by name.

    Those must be headless: Envoy finds every pod behind a name, and its own way among them.
    """
    names = [(f"w{index}", f"combat-{index}.combat") for index in range(workers)]
    alike = {each.cluster: [Endpoint(each.cluster, each.cluster, 50051)] for each in ANYWHERE}
    return alike | {
        "combat": [Endpoint(name, host, 50051) for name, host in names],
        "combat_admin": [Endpoint(name, host, 9090) for name, host in names],
        "web": [Endpoint("web", "web", 8000)],
    }


def jwks(secret: str) -> str:
    """The key set that verifies HS256 tokens signed with `secret`. As secret as the secret itself."""
    key = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": key}]})


def to_yaml(config: dict[str, Any]) -> str:
    return "# Rendered by services/edge; change envoy.yaml there.\n" + yaml.dump(
        config, Dumper=_WithoutAliases, sort_keys=False, width=110
    )


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _fill(settings: EdgeSettings, *, descriptors: str, jwks: str) -> dict[str, Any]:
    values = asdict(settings) | {
        "descriptors": descriptors,
        "jwks": jwks,
        "access_log": _access_log(settings.access_log),
        "cors_origins": [{"safe_regex": {"regex": origin}} for origin in settings.cors_origins],
        "local_replies": [_local_reply(status, code) for status, code in LOCAL_REPLY_CODES.items()],
        "player_bucket": _bucket(settings.player_requests_per_second),
        "request_bucket": _bucket(settings.requests_per_second),
        "routes": routes(settings),
        "grpc_services": [contract.full_name for backend in BACKENDS for contract in backend.contracts],
        "token_rules": _token_rules(),
        "signed_lua": SIGNED.read_text(),
    }
    source = yaml.safe_load(SOURCE.read_text())
    config = _substitute(source["bootstrap"], values)
    for backend in ANYWHERE:
        # All services of a process are healthy together, so one of them speaks for it.
        own = values | {"cluster": backend.cluster, "service": backend.contracts[0].full_name}
        config["static_resources"]["clusters"].append(_substitute(source["anywhere"], own))
    assert {cluster["name"] for cluster in config["static_resources"]["clusters"]} == set(CLUSTERS)
    assert isinstance(config, dict)
    return config


def _token_rules() -> list[dict[str, Any]]:
    """The first one that matches decides."""
    closed = [{"prefix": "/arenamesh."}, *(under(root) for root in roots())]
    return [
        *({"match": _exactly(verb, path)} for verb, path in public_calls()),
        *({"match": match, "requires": {"provider_name": "arenamesh"}} for match in closed),
    ]


def _exactly(verb: str, path: str) -> dict[str, Any]:
    """The same path may be open to read and closed to change."""
    method = {"name": ":method", "string_match": {"exact": verb.upper()}}
    return {"safe_regex": {"regex": pattern(path)}, "headers": [method]}


def _substitute(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _substitute(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_substitute(value, values) for value in node]
    if isinstance(node, str) and node.startswith("$"):
        return values[node[1:]]
    return node


def _bucket(per_second: int) -> dict[str, Any]:
    # Filled ten times a second, so that a limit is not felt as a stop and go of whole seconds.
    tokens = max(1, per_second // 10)
    return {"max_tokens": per_second * 2, "tokens_per_fill": tokens, "fill_interval": "0.1s"}


def _access_log(path: str) -> list[dict[str, Any]]:
    fields = {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS(SNAKE_STRING)%",
        "milliseconds": "%DURATION%",
        "request_bytes": "%BYTES_RECEIVED%",
        "reply_bytes": "%BYTES_SENT%",
        "worker": "%UPSTREAM_HOST%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "session_id": "%REQ(X-SESSION-ID)%",
        "subject": "%REQ(X-SUBJECT)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    return [
        {
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": path,
                "log_format": {"json_format": fields},
            },
        }
    ]


def _local_reply(status: int, code: int) -> dict[str, Any]:
    is_status = {
        "status_code_filter": {
            "comparison": {
                "op": "EQ",
                "value": {"default_value": status, "runtime_key": f"edge.local_reply.{status}"},
            }
        }
    }
    # gRPC callers get a status of their own; without this filter its message would become JSON too. A REST
    # call that was transcoded looks like gRPC by now, except that it has an original path.
    is_not_grpc = _header(
        "content-type",
        string_match={"prefix": "application/grpc"},
        invert_match=True,
        treat_missing_header_as_empty=True,
    )
    was_rest = _header("x-envoy-original-path", present_match=True)
    for_rest = {"or_filter": {"filters": [is_not_grpc, was_rest]}}
    body = {"code": code, "message": "%LOCAL_REPLY_BODY%", "details": []}
    return {
        "filter": {"and_filter": {"filters": [is_status, for_rest]}},
        "body_format_override": {"json_format": body, "content_type": "application/json"},
    }


def _header(name: str, **match: Any) -> dict[str, Any]:
    return {"header_filter": {"header": {"name": name, **match}}}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m services.edge.render",
        description="Prints the edge's Envoy configuration for Kubernetes.",
    )
    parser.add_argument("--workers", type=int, default=3, help="replicas of combat (default 3)")
    parser.add_argument("--descriptors", type=Path, default=Path("/etc/arenamesh/arenamesh.binpb"))
    parser.add_argument("--jwks", type=Path, default=Path("/etc/arenamesh-keys/jwks.json"))
    arguments = parser.parse_args()
    settings = EdgeSettings(address="0.0.0.0")
    clusters = pods(arguments.workers)
    config = for_kubernetes(
        settings, descriptors=arguments.descriptors, jwks=arguments.jwks, clusters=clusters
    )
    print(to_yaml(config), end="")


if __name__ == "__main__":
    main()

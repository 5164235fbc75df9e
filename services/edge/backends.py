"""The services behind the edge. What routes, token rules and the transcoder need, their contract says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from arenamesh.combat.v1 import service_pb2 as combat
from arenamesh.gamification.v1 import (
    achievement_service_pb2,
    metric_service_pb2,
    notification_service_pb2,
    quest_service_pb2,
    reward_service_pb2,
)
from arenamesh.liveops.v1 import fairness_service_pb2, ingest_service_pb2, leaderboard_service_pb2
from arenamesh.progression.v1 import service_pb2 as progression
from google.api import annotations_pb2, httpbody_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from services.chassis.auth import access_of


@dataclass(frozen=True)
class Backend:
    """An Envoy cluster, and the gRPC services that each of its processes has."""

    cluster: str
    contracts: tuple[ServiceDescriptor, ...]

    @property
    def methods(self) -> list[MethodDescriptor]:
        """In the contract's order."""
        return [method for contract in self.contracts for method in contract.methods]

    @property
    def roots(self) -> tuple[str, ...]:
        """Where its REST paths are: `/quests/` is everything below, `/quests` is that path alone.

        A public path is its own root where nothing beside it needs a token: that is somebody else's.
        """
        paths = [(method, path) for method in self.methods for _, path in bindings(method)]
        closed = {_root(path) for method, path in paths if not is_public(method)}
        return tuple(
            dict.fromkeys(
                path if is_public(method) and _root(path) not in closed else _root(path)
                for method, path in paths
            )
        )


COMBAT = Backend("combat", (combat.DESCRIPTOR.services_by_name["CombatService"],))
# Any process of these answers any call. Combat's sessions have an owner: its routes know them.
ANYWHERE = (
    Backend("progression", (progression.DESCRIPTOR.services_by_name["ProgressionService"],)),
    Backend(
        "gamification",
        (
            achievement_service_pb2.DESCRIPTOR.services_by_name["AchievementService"],
            metric_service_pb2.DESCRIPTOR.services_by_name["MetricService"],
            quest_service_pb2.DESCRIPTOR.services_by_name["QuestService"],
            reward_service_pb2.DESCRIPTOR.services_by_name["RewardService"],
            notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"],
        ),
    ),
    Backend("leaderboard", (leaderboard_service_pb2.DESCRIPTOR.services_by_name["LeaderboardService"],)),
    Backend("fairness", (fairness_service_pb2.DESCRIPTOR.services_by_name["FairnessService"],)),
    Backend("ingest", (ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"],)),
)
BACKENDS = (COMBAT, *ANYWHERE)


def roots() -> tuple[str, ...]:
    """Where the REST paths of all of them are."""
    return tuple(dict.fromkeys(root for backend in BACKENDS for root in backend.roots))


def listed(clusters: Collection[str] = ()) -> str:
    """Those of these clusters, or of all, for people."""
    shown = [backend for backend in BACKENDS if not clusters or backend.cluster in clusters]
    found = [root for backend in shown for root in backend.roots]
    return " ".join(dict.fromkeys(root.rstrip("/") for root in found))


def public_calls() -> list[tuple[str, str]]:
    """Verbs and paths that need no token, as gRPC and as REST."""
    public = [method for backend in BACKENDS for method in backend.methods if is_public(method)]
    return [call for method in public for call in (("post", grpc_path(method)), *bindings(method))]


def pattern(path: str) -> str:
    """A regular expression of what the transcoder takes for this path: a slash at the end is overlooked."""
    words = re.split(r"\{[^}]+\}", path)
    return "[^/]+".join(map(re.escape, words)) + "/?"


def grpc_path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def bindings(method: MethodDescriptor) -> Iterator[tuple[str, str]]:
    """Its REST calls: verb and path. The first one is the main one."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        verb = each.WhichOneof("pattern")
        if verb is not None:
            yield verb, getattr(each, verb)


def is_public(method: MethodDescriptor) -> bool:
    """Anybody may call it, without a token."""
    return access_of(method).public


def is_read(method: MethodDescriptor) -> bool:
    """A GET changes nothing."""
    return next(bindings(method), ("", ""))[0] == "get"


def is_signed(method: MethodDescriptor) -> bool:
    """It gets the body byte for byte, because that is what was signed."""
    body = method.input_type.fields_by_name.get("body")
    return body is not None and body.message_type == httpbody_pb2.HttpBody.DESCRIPTOR


def is_stream(method: MethodDescriptor) -> bool:
    return bool(method.client_streaming or method.server_streaming)


def _root(path: str) -> str:
    _, first, *below = path.split("/")
    return f"/{first}/" if below else path

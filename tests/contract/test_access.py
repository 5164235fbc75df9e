"""Every RPC of the contract says who may call it, and the REST annotations cover what they should."""

import importlib
from pathlib import Path

import pytest
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import MethodDescriptor

from services.chassis.auth import access_of

PROTO = Path(__file__).parents[2] / "proto"
# gRPC only: HTTP/1 clients cannot speak while they listen.
WITHOUT_REST = {
    "arenamesh.combat.v1.CombatService.Play",
    "arenamesh.liveops.v1.IngestService.StreamEvents",
}
# What anybody may call. Events carry a signature instead of a token; a leaderboard is there to be seen.
PUBLIC = {
    "arenamesh.gamification.v1.RewardService.GetKeys",
    *(f"arenamesh.liveops.v1.IngestService.{name}" for name in ("PostEvent", "PostEvents")),
    *(
        f"arenamesh.liveops.v1.LeaderboardService.{name}"
        for name in (
            "ListBoards",
            "ListSeasons",
            "GetLeaderboard",
            "GetAroundPlayer",
            "GetPlayers",
            "ListPeriods",
            "WatchLeaderboard",
        )
    ),
}


def methods() -> list[MethodDescriptor]:
    found = []
    for path in sorted(PROTO.rglob("*.proto")):
        name = str(path.relative_to(PROTO).with_suffix("")).replace("/", ".")
        module = importlib.import_module(f"{name}_pb2")
        for service in module.DESCRIPTOR.services_by_name.values():
            found += service.methods
    return found


def test_there_is_something_to_check() -> None:
    names = {method.full_name for method in methods()}
    assert len(names) >= 19
    assert names >= WITHOUT_REST | PUBLIC


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_it_says_who_may_call_it(method: MethodDescriptor) -> None:
    """Roles, or that it needs no token: only what stands in the list does not."""
    access = access_of(method)
    assert access.public == (method.full_name in PUBLIC)
    assert bool(access.roles) != access.public


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_rest_path_is_declared(method: MethodDescriptor) -> None:
    assert method.GetOptions().HasExtension(annotations_pb2.http) == (method.full_name not in WITHOUT_REST)

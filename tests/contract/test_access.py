"""Every RPC of the contract says who may call it, and the REST annotations cover what they should."""

import importlib
from pathlib import Path

import pytest
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import MethodDescriptor

from services.chassis.auth import roles_of

PROTO = Path(__file__).parents[2] / "proto"
# gRPC only: HTTP/1 clients cannot speak while they listen.
WITHOUT_REST = {"arenamesh.combat.v1.CombatService.Play"}


def methods() -> list[MethodDescriptor]:
    found = []
    for path in sorted(PROTO.rglob("*.proto")):
        name = str(path.relative_to(PROTO).with_suffix("")).replace("/", ".")
        module = importlib.import_module(f"{name}_pb2")
        for service in module.DESCRIPTOR.services_by_name.values():
            found += service.methods
    return found


def test_there_is_something_to_check() -> None:
    assert len(methods()) >= 19


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_roles_are_declared(method: MethodDescriptor) -> None:
    assert roles_of(method)


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_rest_path_is_declared(method: MethodDescriptor) -> None:
    assert method.GetOptions().HasExtension(annotations_pb2.http) == (method.full_name not in WITHOUT_REST)

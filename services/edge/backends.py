"""The services behind the edge. What routes, token rules and the transcoder need, their contract says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from arenamesh.combat.v1 import service_pb2 as combat
from arenamesh.progression.v1 import service_pb2 as progression
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor


@dataclass(frozen=True)
class Backend:
    """A gRPC service and the Envoy cluster of its processes."""

    cluster: str
    contract: ServiceDescriptor

    @property
    def path(self) -> str:
        """What the paths of its gRPC calls begin with."""
        return f"/{self.contract.full_name}/"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The first words of its REST paths, such as `/paragon/`, in the contract's order."""
        paths = [path for method in self.contract.methods for _, path in bindings(method)]
        return tuple(dict.fromkeys(f"/{path.split('/')[1]}/" for path in paths))


COMBAT = Backend("combat", combat.DESCRIPTOR.services_by_name["CombatService"])
# Any process of these answers any call. Combat's sessions have an owner: its routes know them.
ANYWHERE = (Backend("progression", progression.DESCRIPTOR.services_by_name["ProgressionService"]),)
BACKENDS = (COMBAT, *ANYWHERE)


def bindings(method: MethodDescriptor) -> Iterator[tuple[str, str]]:
    """Its REST calls: verb and path. The first one is the main one."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        verb = each.WhichOneof("pattern")
        if verb is not None:
            yield verb, getattr(each, verb)


def is_read(method: MethodDescriptor) -> bool:
    """A GET changes nothing."""
    return next(bindings(method), ("", ""))[0] == "get"


def is_stream(method: MethodDescriptor) -> bool:
    return bool(method.client_streaming or method.server_streaming)

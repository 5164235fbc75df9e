"""ProgressionService between the contract and the domain: only translation."""

from typing import Any

from arenamesh.progression.v1 import service_pb2

from services.chassis.errors import NotImplementedYet
from services.chassis.method import Context


class ProgressionServicer:
    """Every RPC of `arenamesh.progression.v1.ProgressionService`."""


def _later(name: str) -> Any:
    async def refuse(_self: object, _request: Any, _context: Context) -> None:
        raise NotImplementedYet(f"{name} is not served yet.", reason="NOT_IMPLEMENTED")

    return refuse


for _method in service_pb2.DESCRIPTOR.services_by_name["ProgressionService"].methods:
    setattr(ProgressionServicer, _method.name, _later(_method.name))

"""The table of services, and the processes that it makes."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import aiohttp
import pytest

from services.edge.endpoints import CLUSTERS
from services.mesh.ports import LOOPBACK, Ports
from services.mesh.postgres import SPARE_CONNECTIONS, Postgres
from services.mesh.service import PACKAGES, Instance, Service, environment, services
from services.mesh.settings import MeshSettings


@pytest.fixture
def settings(tmp_path: Path) -> MeshSettings:
    return MeshSettings(data=tmp_path, workers=2)


async def instance(settings: MeshSettings, service: Service, moves: list[str]) -> Instance:
    told = environment(settings, database_url="postgresql://somewhere", redis_url="redis://there")
    async with aiohttp.ClientSession() as http:
        return Instance(
            service, settings, Ports(), http, environment=told, moved=lambda: moves.append(service.name)
        )


def test_every_process_has_a_name_of_its_own_and_a_program() -> None:
    found = services(3)
    assert len({service.name for service in found}) == len(found)
    assert all(importlib.util.find_spec(f"services.{service.package}.main") for service in found)


async def test_every_cluster_of_the_edge_but_the_page_has_somebody(settings: MeshSettings) -> None:
    found = {
        cluster
        for service in services(2)
        for cluster in (await instance(settings, service, [])).endpoints()
        if cluster in CLUSTERS
    }
    assert found == set(CLUSTERS) - {"web"}


def test_some_services_are_all_their_processes() -> None:
    assert [service.name for service in services(2, ["ingest", "combat"])] == [
        "w0",
        "w1",
        "projector",
        "ingest",
    ]
    assert {service.package for service in services(1)} == set(PACKAGES)


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_the_database_takes_the_connections_of_all(tmp_path: Path, workers: int) -> None:
    connections = sum(service.connections for service in services(workers))
    program = Postgres(tmp_path, tmp_path, connections).program()
    assert f"max_connections={connections + SPARE_CONNECTIONS}" in program.command


async def test_a_process_is_told_its_name_ports_and_share_of_the_database(settings: MeshSettings) -> None:
    service = Service(name="w7", package="combat", pool=5, beside=1, environment={"LOG_LEVEL": "DEBUG"})
    worker = await instance(settings, service, [])
    program = worker.program()
    own = program.environment
    assert program.command[1:] == ("-m", "services.combat.main", "serve")
    assert (own["WORKER_NAME"], own["DATABASE_POOL"], own["LOG_LEVEL"]) == ("w7", "5", "DEBUG")
    assert own["DATABASE_URL"] == "postgresql://somewhere"
    endpoints = worker.endpoints()
    assert {str(endpoints["combat"].port), str(endpoints["combat_admin"].port)} == {
        own["PORT"],
        own["ADMIN_PORT"],
    }
    assert {endpoint.name for endpoint in endpoints.values()} == {"w7"}


async def test_nobody_calls_what_does_not_serve(settings: MeshSettings) -> None:
    service = Service(
        name="projector", package="combat", command="project", pool=1, beside=0, background=True
    )
    projector = await instance(settings, service, [])
    assert projector.endpoints() == {}
    assert projector.program().command[1:] == ("-m", "services.combat.main", "project")
    assert projector.program().background


async def test_its_ports_stay_until_somebody_takes_one(settings: MeshSettings) -> None:
    moves: list[str] = []
    worker = await instance(settings, Service(name="w0", package="combat", pool=1, beside=0), moves)
    before = worker.program().environment["PORT"]
    assert worker.program().environment["PORT"] == before
    assert moves == []
    with socket.create_server((LOOPBACK, int(before))):
        after = worker.program().environment["PORT"]
    assert after != before
    assert moves == ["w0"]
    assert worker.endpoints()["combat"].port == int(after)

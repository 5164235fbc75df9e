"""What the edge does for a service whose processes are all alike, path by path of its contract."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import grpc
import pytest
from arenamesh.progression.v1 import paragon_pb2, service_pb2

from services.chassis import auth
from services.edge.backends import (
    ANYWHERE,
    bindings,
    is_public,
    is_read,
    is_signed,
    public_calls,
    roots,
)
from services.edge.routes import RETRY_ELSEWHERE
from tests.support.edge import bearer
from tests.unit.edge.conftest import Faced, RunningEdge, Start

NO_BODY: dict[str, Any] = {"get": None, "post": {}, "put": {}, "patch": {}}
PROGRESSION = ANYWHERE[0]


def filled(template: str) -> str:
    """A path with something for each variable."""
    return re.sub(r"\{[^}]+\}", "raid", template)


async def test_every_path_of_the_contract_reaches_the_service_with_a_token_only(faced: Faced) -> None:
    for backend in ANYWHERE:
        for method in backend.methods:
            for verb, template in bindings(method):
                path, json = filled(template), NO_BODY[verb]
                done = 202 if is_signed(method) else 200
                status, _ = await faced(verb.upper(), path, json=json)
                assert (status, [name for name, _ in faced.calls()]) == (done, [method.name]), path
                status, answer = await faced(verb.upper(), path, by={}, json=json)
                if is_public(method):
                    assert (status, [name for name, _ in faced.calls()]) == (done, [method.name]), path
                else:
                    assert (status, answer["code"], faced.calls()) == (401, 16, []), path


@pytest.mark.parametrize("name", ["characterId", "character_id"])
async def test_both_spellings_of_a_field_work(faced: Faced, name: str) -> None:
    for path in ("/paragon/levels", "/mastery/rewards", "/mastery/raid/rewards", "/progression/watch"):
        assert (await faced("GET", f"{path}?{name}=hero-1"))[0] == 200
        ((_, request),) = faced.calls()
        assert request.character_id == "hero-1"
    for path in ("/paragon/distribute", "/paragon/points"):
        version = {"characterId": "expectedVersion", "character_id": "expected_version"}[name]
        body: dict[str, Any] = {name: "hero-1", version: "7", "points": {"luck": 3}}
        assert (await faced("POST", path, json=body))[0] == 200
        ((_, request),) = faced.calls()
        points = paragon_pb2.AttributePoints(luck=3)
        assert request == service_pb2.DistributeParagonPointsRequest(
            character_id="hero-1", expected_version=7, points=points
        )


async def test_the_type_of_mastery_is_in_the_path_or_asked_for(faced: Faced) -> None:
    for path in ("/mastery/rewards?character_id=h&type=raid", "/mastery/raid/rewards?characterId=h"):
        assert (await faced("GET", path))[0] == 200
        assert faced.calls() == [
            ("GetMasteryRewards", service_pb2.GetMasteryRewardsRequest(character_id="h", type="raid"))
        ]


async def test_what_the_contract_does_not_have_is_refused_at_the_edge(faced: Faced) -> None:
    for verb, path, expected, code in (
        ("GET", "/paragon/levels?character=h", 400, 3),
        ("GET", "/paragon/none", 404, 5),
        ("POST", "/paragon/levels", 404, 5),
        ("GET", "/mastery/raid", 404, 5),
    ):
        status, answer = await faced(verb, path)
        assert (status, answer["code"]) == (expected, code), path
    assert faced.calls() == []


async def test_only_reads_are_tried_again_whatever_became_of_them(faced: Faced) -> None:
    for recorder in faced.recorders:
        recorder.refusal = grpc.StatusCode.UNAVAILABLE
    for backend in ANYWHERE:
        for method in backend.methods:
            verb, template = next(bindings(method), ("", ""))
            if not verb:
                continue
            status, _ = await faced(verb.upper(), filled(template), json=NO_BODY[verb])
            assert status == 503
            tries = len(faced.calls())
            assert (tries > 1) == is_read(method), method.name


async def test_a_write_goes_elsewhere_when_nothing_came_of_it(faced: Faced) -> None:
    for recorder in faced.recorders:
        recorder.refusal = grpc.StatusCode.UNAVAILABLE
        recorder.refusal_metadata = ((RETRY_ELSEWHERE, "1"),)
    await faced("POST", "/prestige/reset", json={"character_id": "h"})
    assert len(faced.calls()) > 1
    faced.of[PROGRESSION.cluster][0].refusal = None
    statuses = await asyncio.gather(*(faced("POST", "/prestige/reset", json={}) for _ in range(10)))
    assert {status for status, _ in statuses} == {200}


async def test_a_player_over_the_limit_is_told_so_on_every_path(start_edge: Start) -> None:
    edge: RunningEdge = await start_edge(workers=1, player_requests_per_second=5)
    ask = Faced(edge, {})
    # A public path is everybody's, and no player's.
    public = {path for _, path in public_calls()}
    for number, root in enumerate(sorted(set(roots()) - public)):
        ada, server = bearer(f"ada{number}", auth.Role.PLAYER), bearer()
        statuses = await asyncio.gather(*(ask("DELETE", f"{root}", by=ada) for _ in range(30)))
        assert {status for status, _ in statuses} == {404, 429}, root
        statuses = await asyncio.gather(*(ask("DELETE", f"{root}", by=server) for _ in range(30)))
        assert {status for status, _ in statuses} == {404}, root


async def test_nobody_there_is_unavailable(faced: Faced) -> None:
    for recorder in faced.recorders:
        await recorder.stop()
    await faced.edge.until_healthy(0, PROGRESSION.cluster)
    status, answer = await faced("GET", "/prestige/info?characterId=h")
    assert (status, answer["code"]) == (503, 14)


async def test_a_browser_may_ask_from_elsewhere(faced: Faced) -> None:
    for verb, path in (
        ("POST", "/paragon/points"),
        ("POST", "/arenamesh.progression.v1.ProgressionService/WatchProgress"),
        ("POST", "/arenamesh.gamification.v1.NotificationService/Subscribe"),
        ("PATCH", "/achievements/first_blood"),
        ("GET", "/game-events"),
    ):
        headers = {"origin": "http://localhost:5173", "access-control-request-method": verb}
        async with faced.edge.http.options(f"http://{faced.edge.address}{path}", headers=headers) as response:
            assert response.status == 200
            assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
            assert verb in response.headers["access-control-allow-methods"].replace(" ", "").split(",")


async def test_forged_names_take_nothing_from_a_players_bucket(start_edge: Start) -> None:
    edge: RunningEdge = await start_edge(workers=1, player_requests_per_second=5)
    forged = {"x-role": "player", "x-subject": "ada"}

    async def status(http: aiohttp.ClientSession, path: str) -> int:
        async with http.get(f"http://{edge.address}{path}", headers=forged) as response:
            return response.status

    for path in ("/", "/health", "/metrics", "/no-such-page", *(filled(path) for _, path in public_calls())):
        found = await asyncio.gather(*(status(edge.http, path) for _ in range(30)))
        assert 429 not in found, path

"""What gamification's paths need of the edge beyond the others': nested ids, public keys, lines of events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from arenamesh.gamification.v1 import (
    achievement_pb2,
    achievement_service_pb2,
    notification_pb2,
    notification_service_pb2,
    reward_pb2,
    reward_service_pb2,
)
from google.protobuf import json_format
from yarl import URL

from tests.support.edge import bearer
from tests.unit.edge.conftest import Faced


async def heard(faced: Faced, verb: str, path: str, body: Any = None) -> tuple[str, dict[str, Any]]:
    """Which method was called with what."""
    url = URL(f"http://{faced.edge.address}{path}", encoded=True)
    async with faced.edge.http.request(verb, url, headers=bearer(), json=body) as response:
        assert response.status == 200, await response.text()
    ((name, request),) = faced.calls()
    return name, json_format.MessageToDict(request, preserving_proto_field_name=True)


async def test_the_id_of_what_is_changed_is_in_the_path_and_the_rest_is_the_body(faced: Faced) -> None:
    path = "/achievements/first.blood-1_x"
    changed = {"id": "first.blood-1_x", "title": "t", "is_enabled": True}
    bodies: list[dict[str, Any]] = [{"title": "t", "isEnabled": True}, changed]
    for body in bodies:
        assert await heard(faced, "PATCH", path, body) == ("UpdateAchievement", {"achievement": changed})
    name, request = await heard(faced, "PATCH", "/quests/q1?expectedVersion=3&request_id=k", {"title": "t"})
    assert (name, request["expected_version"], request["request_id"]) == ("UpdateQuest", "3", "k")
    status, answer = await faced("PATCH", path, json=changed | {"id": "another"})
    assert (status, answer["code"], faced.calls()) == (400, 3, [])


async def test_words_come_before_ids(faced: Faced) -> None:
    for verb, path, expected in (
        ("GET", "/quests/active", "ListActiveQuests"),
        ("GET", "/quests/actives", "GetQuest"),
        ("GET", "/quests/q1/progress", "GetQuestProgress"),
        ("GET", "/rewards/pending", "ListPendingRewards"),
        ("POST", "/rewards/claim", "ClaimItem"),
        ("POST", "/rewards/g-1/claim", "ClaimReward"),
        ("POST", "/quests/q1/steps/s.1/complete", "CompleteQuestStep"),
        ("POST", "/metrics/quarantine/a:1/resolve", "ResolveQuarantinedGain"),
    ):
        assert (await heard(faced, verb, path, {} if verb == "POST" else None))[0] == expected, path


@pytest.mark.parametrize("path", ["ada:1@x.y_-Z", "ada%3A1%40x.y%5F-Z"])
async def test_every_character_of_a_players_id_may_stand_in_a_path(faced: Faced, path: str) -> None:
    for what in ("achievements", "inventory", "wallet", "ledger"):
        assert (await heard(faced, "GET", f"/users/{path}/{what}"))[1] == {"user_id": "ada:1@x.y_-Z"}


async def test_a_post_needs_no_body_where_nothing_is_to_be_said(faced: Faced) -> None:
    assert await heard(faced, "POST", "/rewards/g-1/claim") == ("ClaimReward", {"id": "g-1"})
    assert await heard(faced, "POST", "/quests/q1/start") == ("StartQuest", {"id": "q1"})
    # What the contract does not know is overlooked in a body, unlike in a query.
    assert await heard(faced, "POST", "/quests/q1/start", {"colour": "red"}) == ("StartQuest", {"id": "q1"})
    assert (await faced("POST", "/quests/q1/start?colour=red", json={}))[0] == 400


async def test_what_is_freely_formed_survives_both_ways(faced: Faced) -> None:
    free = {"a": 1, "b": [True, None, "x", {"c": 1.5}]}
    requirement = {"metric": "kills", "threshold": "3", "timeframe": {"timeZone": "Europe/Berlin"}}
    body = {
        "title": "t",
        "requirements": [requirement],
        "metadata": free,
        "repeat": {"cooldown": "3600s", "maxCycles": 2},
    }
    (name, request) = await heard(faced, "POST", "/achievements?requestId=r1", body)
    assert (name, request["request_id"]) == ("CreateAchievement", "r1")
    created = request["achievement"]
    assert created["metadata"] == free
    assert created["repeat"] == {"cooldown": "3600s", "max_cycles": "2"}
    assert created["requirements"] == [
        {"metric": "kills", "threshold": "3", "timeframe": {"time_zone": "Europe/Berlin"}}
    ]
    answer = achievement_service_pb2.CreateAchievementResponse(
        achievement=json_format.ParseDict(created, achievement_pb2.Achievement())
    )
    faced.answer("CreateAchievement", answer)
    _, told = await faced("POST", "/achievements", json=body)
    assert told["achievement"]["metadata"] == free
    assert told["achievement"]["repeat"]["cooldown"] == "3600s"


async def test_a_stream_is_a_line_for_each_message(faced: Faced) -> None:
    event = notification_pb2.GameEvent(sequence=4, title="two\nlines")
    answers = [
        notification_service_pb2.SubscribeResponse(newest=3),
        notification_service_pb2.SubscribeResponse(event=event, newest=4),
    ]
    faced.answer("Subscribe", *answers)
    url = f"http://{faced.edge.address}/game-events?afterSequence=3"
    async with faced.edge.http.get(url, headers=bearer()) as response:
        assert response.content_type == "application/json"
        lines = (await response.text()).splitlines()
    assert [json.loads(line)["newest"] for line in lines] == ["3", "4"]
    assert json.loads(lines[1])["event"]["title"] == "two\nlines"


async def test_anybody_reads_the_keys_and_nothing_beside_them(faced: Faced) -> None:
    key = reward_pb2.JsonWebKey(kty="OKP", crv="Ed25519", x="abc", kid="1", use="sig", alg="EdDSA")
    faced.answer("GetKeys", reward_service_pb2.GetKeysResponse(keys=[key]))
    expected = {"kty": "OKP", "crv": "Ed25519", "x": "abc", "kid": "1", "use": "sig", "alg": "EdDSA"}
    for by in ({}, {"authorization": "Bearer nonsense"}):
        assert await faced("GET", "/.well-known/jwks.json", by=by) == (200, {"keys": [expected]})
    status, answer = await faced("POST", "/receipts/verify", by={}, json={"receipt": "x"})
    assert (status, answer["code"]) == (401, 16)
    assert [name for name, _ in faced.calls()] == ["GetKeys"] * 2
    # Not ours: the page's, which has nobody here.
    assert (await faced("GET", "/.well-known/other", by={}))[0] == 503


async def test_neither_the_page_nor_the_admin_paths_are_swallowed_and_swallow_nothing(faced: Faced) -> None:
    for verb, path, status in (
        ("GET", "/metrics", 503),  # combat's admin port, which nobody has here
        ("GET", "/questsy", 503),  # the page's
        ("GET", "/game-events/x", 503),
        ("POST", "/metrics/records", 200),
        ("GET", "/metrics/none", 404),
        ("DELETE", "/achievements/x", 404),
        ("GET", "/users/ada", 404),
    ):
        assert (await faced(verb, path, json={} if verb == "POST" else None))[0] == status, path
    assert [name for name, _ in faced.calls()] == ["RecordMetrics"]

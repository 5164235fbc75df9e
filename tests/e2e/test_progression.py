"""Progression as everybody reaches it: REST in both spellings, gRPC, gRPC-Web, the Python client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from arenamesh.client import ExperienceAward, MasteryAward, Mesh, connect
from arenamesh.client.errors import Aborted, NotFound, PermissionDenied
from arenamesh.progression.v1 import service_pb2

from tests.e2e.conftest import SERVER, Rest, bearer, grpc_web, reason_of
from tests.support.mesh import Supervisor, token

SERVICE = "/arenamesh.progression.v1.ProgressionService"
CAP = 146_600  # experience that base level 50 takes
LEVEL_100_000 = 4_917_444_415_000  # that paragon level 100,000 takes on top of it
MOST = 2**63 - 1
ADA = bearer("ada")


@pytest.fixture
def rest(mesh: Supervisor, http: aiohttp.ClientSession) -> Rest:
    return Rest(http, mesh.url)


@pytest.fixture
async def server(mesh: Supervisor) -> AsyncIterator[Mesh]:
    """A game server's client."""
    async with connect(mesh.target, token=partial(token, "server-1", "game_server")) as client:
        yield client


async def award(rest: Rest, character: str, experience: int, **more: Any) -> Any:
    """What it came to."""
    one = {
        "character_id": character,
        "player_id": "ada",
        "source": "test.award",
        "experience": str(experience),
    } | more
    answer = await rest.ok("POST", "/progression/experience", {"awards": [one]})
    return answer["results"][0]


BOTH_SPELLINGS = pytest.mark.parametrize("name", ["characterId", "character_id"])


@dataclass
class Hero:
    """A character of ada's that calls are about, in one spelling."""

    rest: Rest
    name: str
    id: str

    async def get(self, path: str, query: str = "") -> Any:
        return await self.rest.ok("GET", f"{path}?{self.name}={self.id}{query}", by=ADA)

    async def post(self, path: str, **body: Any) -> Any:
        return await self.rest.ok("POST", path, {self.name: self.id} | body, by=ADA)


async def hero(rest: Rest, name: str, number: int) -> Hero:
    """At paragon level 2 and 7 units, and raid mastery 10."""
    found = Hero(rest, name, f"hero-{number}-{name}")
    one = {
        name: found.id,
        name.replace("character", "player"): "ada",
        "source": "test.raid",
        "experience": str(CAP + 1000 + 1050 + 7),
        "mastery": [{"type": "raid", "experience": "1052"}],
    }
    (result,) = (await rest.ok("POST", "/progression/experience", {"awards": [one]}))["results"]
    assert (result["character_id"], result["version"]) == (found.id, "2")
    assert result["awarded"]["paragon_experience"] == "2057"
    assert result["awarded"]["mastery"][0]["reward_ids"][-1] == "mastery.raid.10"
    return found


class TestRest:
    @BOTH_SPELLINGS
    @pytest.mark.parametrize(("number", "path"), [(0, "/paragon/distribute"), (1, "/paragon/points")])
    async def test_paragon(self, rest: Rest, name: str, number: int, path: str) -> None:
        ours = await hero(rest, name, number)
        levels = await ours.get("/paragon/levels")
        assert (levels["base"]["level"], levels["paragon"]["level"]) == (50, "2")
        assert (levels["paragon"]["experience_in_level"], levels["paragon"]["points_unspent"]) == ("7", "2")

        spent = (await ours.post(path, points={"luck": 1, "strength": "1"}))["paragon"]
        assert (spent["points_spent"], spent["points_unspent"]) == ("2", "0")
        points = {each["name"]: each["points"] for each in spent["attributes"]}
        assert points == {"strength": "1", "agility": "0", "intelligence": "0", "vitality": "0", "luck": "1"}
        back = (await ours.post("/paragon/respec"))["paragon"]
        assert (back["points_unspent"], back["respec_cost"]) == ("2", "100")

        stats = await ours.get("/paragon/stats", "&top=1")
        assert stats["character"]["level"] == "2"
        assert int(stats["global"]["characters"]) >= 1
        assert len(stats["global"]["top"]) == 1

    @BOTH_SPELLINGS
    async def test_prestige(self, rest: Rest, name: str) -> None:
        ours = await hero(rest, name, 2)
        info = (await ours.get("/prestige/info"))["prestige"]
        assert (info["available"], info["resets"], info["cost"]) == (True, "0", "0")
        reset = await ours.post("/prestige/reset")
        expected = {"xp_micro": "1100000", "currency_micro": "1100000", "drop_rate_micro": "1050000"}
        assert reset["reset"]["bonuses"] == expected
        bonuses = await ours.get("/prestige/bonuses")
        assert (bonuses["resets"], bonuses["bonuses"]) == ("1", expected)
        info = (await ours.get("/prestige/info"))["prestige"]
        assert (info["available"], info["unavailable_reason"]) == (False, "PRESTIGE_LEVEL_TOO_LOW")
        assert [each["number"] for each in info["history"]] == ["1"]

    @BOTH_SPELLINGS
    async def test_mastery(self, rest: Rest, name: str) -> None:
        ours = await hero(rest, name, 3)
        levels = {each["type"]: each["level"] for each in (await ours.get("/mastery/levels"))["mastery"]}
        assert levels.pop("raid") == 10
        assert set(levels.values()) == {1}
        progress = await ours.get("/mastery/raid/progress")
        assert (progress["mastery"]["level"], progress["next_reward"]["level"]) == (10, 20)
        rewards = await ours.get("/mastery/rewards", "&type=raid")
        assert [each["level"] for each in rewards["rewards"] if each["unlocked"]] == [2, 5, 10]
        assert await ours.get("/mastery/raid/rewards") == rewards
        every = (await ours.get("/mastery/rewards"))["rewards"]
        assert {each["type"] for each in every} == {"raid", *levels}

    @pytest.mark.parametrize(
        ("name", "size", "token"),
        [("characterId", "pageSize", "pageToken"), ("character_id", "page_size", "page_token")],
    )
    async def test_history(self, rest: Rest, name: str, size: str, token: str) -> None:
        ours = await hero(rest, name, 4)
        await ours.post("/paragon/points", points={"luck": 1})
        page = await ours.get("/progression/history", f"&{size}=2")
        assert ["points_distributed" in event for event in page["events"]] == [True, False]
        assert page["events"][0]["actor"] == "player:ada"
        assert page["events"][1]["experience_awarded"]["source"] == "test.raid"
        rest_of_it = await ours.get("/progression/history", f"&{token}={quote(page['next_page_token'])}")
        assert [event["version"] for event in rest_of_it["events"]] == ["1"]
        assert rest_of_it["next_page_token"] == ""

    async def test_a_key_in_a_header_makes_a_repeat_harmless(self, rest: Rest) -> None:
        one = {"character_id": "keyed", "source": "test.award", "experience": "500"}
        answers = [
            await rest.ok("POST", "/progression/experience", {"awards": [one]}, idempotency_key="kept-1")
            for _ in range(3)
        ]
        assert answers[0] == answers[1] == answers[2]
        levels = await rest.ok("GET", "/paragon/levels?characterId=keyed")
        assert levels["base"]["experience"] == "500"
        other = {"awards": [one | {"experience": "501"}]}
        status, answer = await rest("POST", "/progression/experience", other, idempotency_key="kept-1")
        assert (status, reason_of(answer)) == (400, "IDEMPOTENCY_KEY_REUSED")

    async def test_level_100_000_to_the_last_unit(self, rest: Rest) -> None:
        await award(rest, "far", CAP + LEVEL_100_000 - 1)
        paragon = (await rest.ok("GET", "/paragon/levels?characterId=far"))["paragon"]
        assert (paragon["level"], paragon["experience"]) == ("99999", str(LEVEL_100_000 - 1))
        assert (await award(rest, "far", 1))["awarded"]["paragon_level"] == {"from": "99999", "to": "100000"}
        paragon = (await rest.ok("GET", "/paragon/levels?characterId=far"))["paragon"]
        assert (paragon["level"], paragon["experience_in_level"]) == ("100000", "0")
        assert paragon["points_unspent"] == "100000"

    async def test_totals_beyond_64_bits_are_strings_to_the_last_unit(self, rest: Rest) -> None:
        thousandfold = [{"name": "event", "micro": "1000000000"}]
        for _ in range(3):
            result = await award(rest, "vast", MOST, multipliers=thousandfold)
        assert result["awarded"]["experience"] == str(MOST * 1000)
        paragon = (await rest.ok("GET", "/paragon/levels?characterId=vast"))["paragon"]
        assert paragon["experience"] == str(3 * MOST * 1000 - CAP)
        stats = await rest.ok("GET", "/paragon/stats?characterId=vast&top=1")
        assert stats["character"]["experience"] == paragon["experience"]


REFUSALS: dict[str, tuple[str, str, Any, dict[str, str], int, str]] = {
    "unknown character": (
        "GET",
        "/paragon/levels?characterId=nobody",
        None,
        SERVER,
        404,
        "CHARACTER_NOT_FOUND",
    ),
    "more points than there are": (
        "POST",
        "/paragon/points",
        {"characterId": "low", "points": {"luck": 1}},
        ADA,
        400,
        "POINTS_INSUFFICIENT",
    ),
    "no points": (
        "POST",
        "/paragon/distribute",
        {"characterId": "low", "points": {}},
        ADA,
        400,
        "NO_POINTS_NAMED",
    ),
    "a reset below 50": (
        "POST",
        "/prestige/reset",
        {"characterId": "low"},
        ADA,
        400,
        "PRESTIGE_LEVEL_TOO_LOW",
    ),
    "a type that is not": (
        "GET",
        "/mastery/fishing/progress?characterId=low",
        None,
        ADA,
        400,
        "MASTERY_TYPE_UNKNOWN",
    ),
    "a foreign character": (
        "GET",
        "/prestige/info?characterId=low",
        None,
        bearer("eve"),
        403,
        "CHARACTER_FOREIGN",
    ),
    "a change of a foreign character": (
        "POST",
        "/prestige/reset",
        {"characterId": "low"},
        bearer("eve"),
        403,
        "CHARACTER_FOREIGN",
    ),
    "a version that has passed": (
        "POST",
        "/paragon/respec",
        {"characterId": "low", "expectedVersion": "1"},
        ADA,
        409,
        "STALE_VERSION",
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSALS)
    async def test_it_is_told_why(self, rest: Rest, case: str) -> None:
        await rest.ok(
            "POST",
            "/progression/experience",
            {
                "awards": [
                    {"characterId": "low", "playerId": "ada", "source": "test.award", "experience": "1"}
                ]
            },
            idempotency_key="low",
        )
        verb, path, body, by, status, reason = REFUSALS[case]
        found, answer = await rest(verb, path, body, by=by)
        assert (found, reason_of(answer)) == (status, reason)
        (info,) = [each for each in answer["details"] if each["@type"].endswith("ErrorInfo")]
        assert info["domain"] == "progression.arenamesh"

    async def test_a_field_that_breaks_a_rule_is_named(self, rest: Rest) -> None:
        status, answer = await rest("GET", "/paragon/levels?characterId=no%20spaces")
        assert status == 400
        (bad,) = [each for each in answer["details"] if each["@type"].endswith("BadRequest")]
        assert [each["field"] for each in bad["field_violations"]] == ["character_id"]

    async def test_a_player_awards_nobody(self, rest: Rest) -> None:
        one = {"character_id": "ada", "source": "test.award", "experience": "1"}
        status, answer = await rest("POST", "/progression/experience", {"awards": [one]}, by=ADA)
        assert (status, answer["code"]) == (403, 7)

    async def test_an_award_in_bad_company_is_not_given(self, rest: Rest) -> None:
        good = {"character_id": "whole", "source": "test.award", "experience": "5"}
        bad = good | {"mastery": [{"type": "fishing", "experience": 5}]}
        status, answer = await rest("POST", "/progression/experience", {"awards": [good, bad]})
        assert (status, reason_of(answer)) == (400, "MASTERY_TYPE_UNKNOWN")
        status, answer = await rest("GET", "/paragon/levels?characterId=whole")
        assert (status, reason_of(answer)) == (404, "CHARACTER_NOT_FOUND")


class TestGrpcWeb:
    async def test_a_browser_reads_levels(
        self, mesh: Supervisor, http: aiohttp.ClientSession, rest: Rest
    ) -> None:
        await award(rest, "web", CAP + 1000)
        request = service_pb2.GetParagonLevelsRequest(character_id="web")
        body, trailers = await grpc_web(http, f"{mesh.url}{SERVICE}/GetParagonLevels", request, **ADA)
        assert service_pb2.GetParagonLevelsResponse.FromString(body).paragon.level == 1
        assert b"grpc-status:0\r\n" in trailers


class TestClient:
    async def test_a_life_of_a_character(self, mesh: Supervisor, server: Mesh) -> None:
        raid = ExperienceAward(
            character_id="lifer",
            player_id="ada",
            source="test.raid",
            experience=CAP + 3150,
            mastery=[MasteryAward(type="raid", experience=62)],
        )
        (result,) = await server.progression.award(raid)
        async with connect(mesh.target, token=partial(token, "ada", "player")) as ada:
            levels = await ada.progression.levels("lifer")
            assert (levels.version, levels.paragon.level) == (result.version, 3)
            spent = await ada.progression.distribute("lifer", luck=2, expected_version=levels.version)
            assert spent.paragon.points_unspent == 1
            with pytest.raises(Aborted) as stale:
                await ada.progression.respec("lifer", expected_version=levels.version)
            assert stale.value.reason == "STALE_VERSION"
            assert (await ada.progression.respec("lifer")).paragon.points_unspent == 3
            assert (await ada.progression.reset_prestige("lifer")).reset.number == 1
            assert (await ada.progression.prestige("lifer")).prestige.resets == 1
            assert (await ada.progression.bonuses("lifer")).bonuses.xp_micro == 1_100_000
            assert {each.type: each.level for each in await ada.progression.mastery("lifer")}["raid"] == 2
            assert (await ada.progression.mastery_progress("lifer", "raid")).next_reward.level == 5
            assert [each.unlocked for each in await ada.progression.rewards("lifer", "raid")][:2] == [
                True,
                False,
            ]
            assert (await ada.progression.stats("lifer")).character.level == 3
            kinds = [event.WhichOneof("what") async for event in ada.progression.history("lifer")]
            assert kinds[::-1] == [
                "enrolled",
                "experience_awarded",
                "points_distributed",
                "points_respecced",
                "prestige_reset",
            ]
        async with connect(mesh.target, token=partial(token, "eve", "player")) as eve:
            with pytest.raises(PermissionDenied):
                await eve.progression.levels("lifer")
            with pytest.raises(NotFound):
                await eve.progression.levels("nobody")

    async def test_a_watch_tells_how_it_stands_and_every_event(self, server: Mesh) -> None:
        one = ExperienceAward(character_id="seen", source="test.award", experience=200)
        await server.progression.award(one)
        watch = server.progression.watch_progress("seen")
        async with asyncio.timeout(20):
            first = await anext(watch)
            assert (first.progress.version, first.HasField("event")) == (2, False)
            for version in (3, 4, 5):
                await server.progression.award(one)
                answer = await anext(watch)
                assert (answer.event.version, answer.progress.version) == (version, version)
                assert answer.progress.base.experience == str(200 * (version - 1))
            await watch.aclose()
            again = server.progression.watch_progress("seen", after_version=1)
            assert [(await anext(again)).event.version for _ in range(4)] == [2, 3, 4, 5]
            await again.aclose()

    async def test_the_rest_face_streams_too(
        self, mesh: Supervisor, http: aiohttp.ClientSession, rest: Rest
    ) -> None:
        await award(rest, "tailed", 10)
        url = f"{mesh.url}/progression/watch?characterId=tailed"
        async with asyncio.timeout(20), http.get(url, headers=ADA) as response:
            assert b'"character_id":"tailed"' in await response.content.readany()

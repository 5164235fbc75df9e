"""Gamification as everybody reaches it: every path of REST, gRPC-Web, the Python client."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from functools import partial
from typing import Any

import aiohttp
import jwt
import pytest
from arenamesh.client import MetricRecord, connect
from arenamesh.client.errors import FailedPrecondition, NotFound
from arenamesh.gamification.v1 import metric_pb2, reward_service_pb2

from services.edge.backends import ANYWHERE, bindings
from tests.e2e.conftest import SERVER, Rest, bearer, grpc_web, reason_of
from tests.support.mesh import Supervisor, token

OPERATOR = bearer("olga", "operator")
TESS, EVE = bearer("tess"), bearer("eve")
(GAMIFICATION,) = (backend for backend in ANYWHERE if backend.cluster == "gamification")
METHODS = {method.name for method in GAMIFICATION.methods}

METRIC = {"id": "e2e.kills", "title": "Kills", "aggregation": "AGGREGATION_COUNT"}
# What nobody gains in an hour.
LIMITED = METRIC | {
    "id": "e2e.gold",
    "aggregation": "AGGREGATION_SUM",
    "limits": [{"per": "3600s", "most": "1000", "action": "GAIN_ACTION_QUARANTINE"}],
}
PURSE = {
    "id": "e2e.purse",
    "title": "Purse",
    "type": "REWARD_TYPE_CURRENCY",
    "value": 100,
    "currency": "gold",
}
SWORD = {"id": "e2e.sword", "type": "REWARD_TYPE_ITEM", "items": [{"id": "sword", "quantity": 1}]}


def requires(threshold: int, metric: str = "e2e.kills") -> list[dict[str, Any]]:
    return [{"metric": metric, "threshold": threshold, "operator": "OPERATOR_GTE"}]


HUNTER = {
    "id": "e2e.hunter",
    "title": "Hunter",
    "type": "ACHIEVEMENT_TYPE_SKILL",
    "points": 10,
    "requirements": requires(3),
    "rewards": [{"id": "e2e.purse"}],
    "isEnabled": True,
}
RICH = HUNTER | {"id": "e2e.rich", "requirements": requires(500, "e2e.gold"), "rewards": []}
SECRET = HUNTER | {"id": "e2e.secret", "type": "ACHIEVEMENT_TYPE_SECRET", "requirements": requires(1000)}
ERRAND = {
    "id": "e2e.errand",
    "title": "Errand",
    "type": "QUEST_TYPE_SIDE",
    "steps": [
        {"id": "fight", "order": 1, "requirements": requires(1), "rewards": [{"id": "e2e.sword"}]},
        {"id": "read", "order": 2, "playerConfirms": True},
        {"id": "speak", "order": 3},
    ],
    "isActive": True,
}
DEFINITIONS: dict[str, list[dict[str, Any]]] = {
    "/metrics/definitions": [METRIC, LIMITED],
    "/rewards": [PURSE, SWORD],
    "/achievements": [HUNTER, RICH, SECRET],
    "/quests": [ERRAND],
}


@pytest.fixture
async def rest(mesh: Supervisor, http: aiohttp.ClientSession) -> Rest:
    """With the definitions above: a repeated key makes nothing twice."""
    calls = Rest(http, mesh.url)
    for path, bodies in DEFINITIONS.items():
        for body in bodies:
            await calls.ok("POST", path, body, by=OPERATOR, idempotency_key=f"e2e {body['id']}")
    return calls


def called(verb: str, path: str) -> str:
    """Which call of the contract a REST call is; words come before variables."""
    found = []
    for method in GAMIFICATION.methods:
        for bound, template in bindings(method):
            pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(template))
            if bound == verb.lower() and re.fullmatch(pattern, path.partition("?")[0]):
                found.append((template.count("{"), method.name))
    return min(found)[1]


class Tour:
    """REST calls that must succeed, and which of the contract's they were."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.reached: set[str] = set()

    async def __call__(
        self, verb: str, path: str, body: Any = None, *, by: dict[str, str] = OPERATOR, **headers: str
    ) -> Any:
        self.reached.add(called(verb, path))
        return await self.rest.ok(verb, path, body, by=by, **headers)


async def define(tour: Tour) -> None:
    """What there is to earn, in both spellings."""
    assert (await tour("POST", "/metrics/definitions", METRIC | {"id": "e2e.tour"}))["metric"][
        "title"
    ] == "Kills"
    assert "e2e.tour" in [
        each["id"] for each in (await tour("GET", "/metrics/definitions?pageSize=1000"))["metrics"]
    ]
    await tour("POST", "/rewards", PURSE | {"id": "e2e.prize", "value": 5})
    hunter = HUNTER | {
        "id": "e2e.scout",
        "requirements": requires(2, "e2e.tour"),
        "rewards": [{"id": "e2e.prize"}],
    }
    created = (await tour("POST", "/achievements", hunter))["achievement"]
    assert (created["version"], created["is_enabled"]) == ("1", True)
    changed = hunter | {"title": "Scout", "requirements": requires(3, "e2e.tour")}
    path = "/achievements/e2e.scout?expectedVersion=1"
    assert (await tour("PATCH", path, changed))["achievement"]["version"] == "2"
    listed = await tour("GET", "/achievements?type=ACHIEVEMENT_TYPE_SKILL&page_size=1000", by=TESS)
    assert "e2e.scout" in [each["id"] for each in listed["achievements"]]
    assert (await tour("GET", "/achievements/e2e.scout", by=TESS))["achievement"]["title"] == "Scout"
    quest = ERRAND | {"id": "e2e.walk"}
    assert (await tour("POST", "/quests", quest))["quest"]["version"] == "1"
    changed_quest = quest | {"title": "A walk"}
    assert (await tour("PATCH", "/quests/e2e.walk", changed_quest))["quest"]["title"] == "A walk"
    assert "e2e.walk" in [
        each["id"] for each in (await tour("GET", "/quests?pageSize=1000", by=TESS))["quests"]
    ]
    assert [step["id"] for step in (await tour("GET", "/quests/e2e.walk"))["quest"]["steps"]] == [
        "fight",
        "read",
        "speak",
    ]


async def earn(tour: Tour) -> None:
    """By tess: two kills by record, one by the achievement's own path."""
    record = {"userId": "tess", "metric": "e2e.tour", "eventId": "tour-1"}
    records = {"records": [record, record, record | {"event_id": "tour-2"}]}
    outcomes = (await tour("POST", "/metrics/records", records, by=SERVER))["outcomes"]
    assert [outcome.removeprefix("RECORD_OUTCOME_") for outcome in outcomes] == [
        "COUNTED",
        "DUPLICATE",
        "COUNTED",
    ]
    progress = (await tour("GET", "/achievements/e2e.scout/progress", by=TESS))["progress"]
    assert (progress["progress"], progress["is_completed"], progress["metrics"]) == (
        66,
        False,
        {"e2e.tour": "2"},
    )
    last = {"userId": "tess", "metrics": {"e2e.tour": "1"}}
    done = await tour("POST", "/achievements/e2e.scout/progress", last, by=SERVER)
    assert (done["progress"]["progress"], len(done["grant_ids"])) == (100, 1)
    begun = await tour("GET", "/users/tess/achievements?pageSize=1000", by=TESS)
    assert "e2e.scout" in [each["achievement_id"] for each in begun["progress"] if each["is_completed"]]
    assert int(begun["completed"]) >= 1
    assert int(begun["points"]) >= 10


async def quest(tour: Tour) -> None:
    """Its first step by a kill, the second by word, the third by the game server; another one given up."""
    assert (await tour("POST", "/quests/e2e.errand/start", {}, by=TESS))["progress"]["current_step"] == 1
    active = (await tour("GET", "/quests/active", by=TESS))["quests"]
    assert [each["quest"]["id"] for each in active] == ["e2e.errand"]
    kill = {"records": [{"userId": "tess", "metric": "e2e.kills"}]}
    await tour("POST", "/metrics/records", kill, by=SERVER)
    steps = "/quests/e2e.errand/steps"
    read = await tour("POST", f"{steps}/read/complete", {}, by=TESS)
    assert (read["progress"]["progress"], read["progress"]["current_step"]) == (66, 3)
    await tour("POST", f"{steps}/speak/complete", {"userId": "tess"}, by=SERVER)
    progress = (await tour("GET", "/quests/e2e.errand/progress?userId=tess", by=TESS))["progress"]
    assert (progress["status"], progress["progress"]) == ("QUEST_STATUS_COMPLETED", 100)
    await tour("POST", "/quests/e2e.walk/start", {"user_id": "tess"}, by=TESS)
    given_up = await tour("POST", "/quests/e2e.walk/abandon", {}, by=TESS)
    assert given_up["progress"]["status"] == "QUEST_STATUS_FAILED"


async def be_paid(tour: Tour) -> None:
    """The prize, the sword by its name, a gift that is taken back; receipts by the mesh and by the keys."""
    pending = (await tour("GET", "/rewards/pending", by=TESS))["distributions"]
    (prize,) = [each for each in pending if each["reward_id"] == "e2e.prize"]
    claims = [
        await tour("POST", f"/rewards/{prize['id']}/claim", by=TESS, idempotency_key="e2e") for _ in "12"
    ]
    assert claims[0] == claims[1]
    assert claims[0]["distribution"]["status"] == "REWARD_STATUS_CLAIMED"
    sword = await tour("POST", "/rewards/claim", {"playerId": "tess", "item": "sword"}, by=TESS)
    assert sword["distribution"]["source"] == "REWARD_SOURCE_QUEST_STEP"
    gift = {"userId": "tess", "source": "REWARD_SOURCE_SUPPORT", "sourceId": "ticket-1"}
    granted = (await tour("POST", "/rewards/e2e.purse/distribute", gift))["distribution"]
    taken = await tour("POST", f"/rewards/{granted['id']}/revoke", {"reason": "by mistake"})
    assert taken["distribution"]["status"] == "REWARD_STATUS_REVOKED"

    wallet = (await tour("GET", "/users/me/wallet", by=TESS))["balances"]
    assert wallet == [{"currency": "gold", "amount": "5"}]
    assert [item["id"] for item in (await tour("GET", "/users/me/inventory", by=TESS))["items"]] == ["sword"]
    ledger = (await tour("GET", "/users/tess/ledger?page_size=2", by=TESS))["transfers"]
    assert [transfer["kind"] for transfer in ledger] == ["TRANSFER_KIND_REVOKE", "TRANSFER_KIND_GRANT"]

    receipt = claims[0]["receipt"]
    verified = await tour("POST", "/receipts/verify", {"receipt": receipt}, by=EVE)
    assert (verified["valid"], verified["claims"]["grant_id"]) == (True, prize["id"])
    keys = jwt.PyJWKSet.from_dict(await tour("GET", "/.well-known/jwks.json", by={}))
    key = keys[jwt.get_unverified_header(receipt)["kid"]]
    assert jwt.decode(receipt, key, algorithms=["EdDSA"])["jti"] == prize["id"]


async def look(tour: Tour) -> None:
    """What an operator sees."""
    gain = {"records": [{"userId": "tess", "metric": "e2e.gold", "value": "5000"}]}
    assert (await tour("POST", "/metrics/records", gain, by=SERVER))["outcomes"] == [
        "RECORD_OUTCOME_QUARANTINED"
    ]
    (held,) = (await tour("GET", "/metrics/quarantine?userId=tess"))["gains"]
    resolved = await tour("POST", f"/metrics/quarantine/{held['id']}/resolve", {"release": True})
    assert resolved["outcome"] == "RECORD_OUTCOME_COUNTED"
    analytics = await tour("GET", "/gamification/analytics?achievementId=e2e.scout")
    (scout,) = analytics["achievements"]
    assert (scout["started"], scout["completed"], scout["completion_rate_milli"]) == ("1", "1", "100000")


async def test_every_path_of_the_contract_works(rest: Rest) -> None:
    """What a game does, from a definition to the ledger; nothing of the contract is left out."""
    tour = Tour(rest)
    for part in (define, earn, quest, be_paid, look):
        await part(tour)
    tour.reached.add(called("GET", "/game-events"))
    types = []
    async with asyncio.timeout(20), aclosing(rest.lines("/game-events?afterSequence=0", by=TESS)) as answers:
        async for answer in answers:
            if "event" in answer:
                types.append(answer["event"]["type"])
                assert answer["event"]["sequence"] == str(len(types))
                if answer["event"]["sequence"] == answer["newest"]:
                    break
    assert {"ACHIEVEMENT_COMPLETED", "QUEST_COMPLETED", "REWARD_CLAIMED", "REWARD_REVOKED"} <= set(types)
    assert tour.reached == METHODS


# By call of the contract: what is most likely wrong with it. Verb, path, body, by whom; status and reason.
REFUSALS: dict[str, tuple[str, str, Any, dict[str, str], int, str]] = {
    "CreateAchievement": ("POST", "/achievements", HUNTER, OPERATOR, 409, "ACHIEVEMENT_EXISTS"),
    "UpdateAchievement": (
        "PATCH",
        "/achievements/e2e.hunter?expectedVersion=7",
        HUNTER,
        OPERATOR,
        409,
        "STALE_VERSION",
    ),
    "ListAchievements": ("GET", "/achievements?pageToken=nonsense", None, TESS, 400, "PAGE_TOKEN_INVALID"),
    "GetAchievement": ("GET", "/achievements/e2e.secret", None, TESS, 404, "ACHIEVEMENT_NOT_FOUND"),
    "UpdateAchievementProgress": (
        "POST",
        "/achievements/e2e.hunter/progress",
        {"userId": "tess", "metrics": {"e2e.gold": 1}},
        SERVER,
        400,
        "FIELD_INVALID",
    ),
    "GetAchievementProgress": (
        "GET",
        "/achievements/e2e.secret/progress",
        None,
        TESS,
        404,
        "ACHIEVEMENT_NOT_FOUND",
    ),
    "ListAchievementProgress": ("GET", "/users/tess/achievements", None, EVE, 403, "USER_FOREIGN"),
    "CreateMetric": ("POST", "/metrics/definitions", METRIC, OPERATOR, 409, "METRIC_EXISTS"),
    "ListMetrics": ("GET", "/metrics/definitions", None, TESS, 403, "ROLE_NOT_ALLOWED"),
    "RecordMetrics": (
        "POST",
        "/metrics/records",
        {"records": [{"userId": "tess", "metric": "nothing"}]},
        SERVER,
        400,
        "METRIC_UNKNOWN",
    ),
    "ListQuarantinedGains": ("GET", "/metrics/quarantine", None, SERVER, 403, "ROLE_NOT_ALLOWED"),
    "ResolveQuarantinedGain": (
        "POST",
        "/metrics/quarantine/none/resolve",
        {},
        OPERATOR,
        404,
        "GAIN_NOT_FOUND",
    ),
    "GetAnalytics": ("GET", "/gamification/analytics", None, TESS, 403, "ROLE_NOT_ALLOWED"),
    "CreateQuest": ("POST", "/quests", ERRAND, TESS, 403, "ROLE_NOT_ALLOWED"),
    "UpdateQuest": ("PATCH", "/quests/none", ERRAND | {"id": "none"}, OPERATOR, 404, "QUEST_NOT_FOUND"),
    "ListQuests": ("GET", "/quests?pageToken=nonsense", None, TESS, 400, "PAGE_TOKEN_INVALID"),
    "ListActiveQuests": ("GET", "/quests/active?userId=tess", None, EVE, 403, "USER_FOREIGN"),
    "GetQuest": ("GET", "/quests/none", None, TESS, 404, "QUEST_NOT_FOUND"),
    "StartQuest": ("POST", "/quests/none/start", {}, TESS, 404, "QUEST_NOT_FOUND"),
    "CompleteQuestStep": (
        "POST",
        "/quests/e2e.errand/steps/fight/complete",
        {},
        EVE,
        400,
        "NOT_STARTED",
    ),
    "AbandonQuest": ("POST", "/quests/e2e.errand/abandon", {}, EVE, 400, "NOT_STARTED"),
    "GetQuestProgress": ("GET", "/quests/e2e.errand/progress?userId=tess", None, EVE, 403, "USER_FOREIGN"),
    "CreateReward": ("POST", "/rewards", PURSE, OPERATOR, 409, "REWARD_EXISTS"),
    "DistributeReward": (
        "POST",
        "/rewards/none/distribute",
        {"userId": "tess", "source": "REWARD_SOURCE_EVENT", "sourceId": "e"},
        OPERATOR,
        404,
        "REWARD_NOT_FOUND",
    ),
    "ListPendingRewards": ("GET", "/rewards/pending?userId=tess", None, EVE, 403, "USER_FOREIGN"),
    "ClaimItem": ("POST", "/rewards/claim", {"item": "crown"}, EVE, 404, "ITEM_NOT_PENDING"),
    "ClaimReward": ("POST", "/rewards/g-none/claim", {}, TESS, 404, "GRANT_NOT_FOUND"),
    "RevokeReward": ("POST", "/rewards/g-none/revoke", {}, SERVER, 403, "ROLE_NOT_ALLOWED"),
    "GetInventory": ("GET", "/users/tess/inventory", None, EVE, 403, "USER_FOREIGN"),
    "GetWallet": ("GET", "/users/tess/wallet", None, EVE, 403, "USER_FOREIGN"),
    "ListLedger": ("GET", "/users/eve/ledger?user_id=tess", None, EVE, 403, "USER_FOREIGN"),
}


class TestRefusals:
    def test_there_is_one_for_each_call(self) -> None:
        # Keys are anybody's; a wrong receipt is an answer; a stream's refusal is looked at below.
        assert set(REFUSALS) == METHODS - {"GetKeys", "VerifyReceipt", "Subscribe"}
        assert all(called(verb, path) == name for name, (verb, path, *_) in REFUSALS.items())

    async def test_they_are_told_why(self, rest: Rest) -> None:
        told = {}
        for name, (verb, path, body, by, _, _) in REFUSALS.items():
            status, answer = await rest(verb, path, body, by=by)
            told[name] = (status, reason_of(answer))
        assert told == {name: case[-2:] for name, case in REFUSALS.items()}

    async def test_a_wrong_receipt_is_an_answer(self, rest: Rest) -> None:
        answer = await rest.ok("POST", "/receipts/verify", {"receipt": "a.b.c"}, by=EVE)
        assert (answer["valid"], answer["problem"]) == (False, "MALFORMED")

    async def test_a_stream_of_somebody_else_is_refused(self, rest: Rest) -> None:
        status, answer = await rest("GET", "/game-events?userId=tess", by=EVE)
        assert (status, reason_of(answer)) == (403, "USER_FOREIGN")

    async def test_a_field_that_breaks_a_rule_is_named(self, rest: Rest) -> None:
        wrong = HUNTER | {"id": "e2e.wrong"}
        zone = {"calendar": "CALENDAR_DAY", "timeZone": "Europe/Nowhere"}
        for body, field in (
            (wrong | {"title": ""}, "achievement.title"),
            (
                wrong | {"requirements": [requires(1)[0] | {"timeframe": zone}]},
                "achievement.requirements[0].timeframe.time_zone",
            ),
        ):
            status, answer = await rest("POST", "/achievements", body, by=OPERATOR)
            assert status == 400
            (bad,) = [each for each in answer["details"] if each["@type"].endswith("BadRequest")]
            assert [each["field"] for each in bad["field_violations"]] == [field]


class TestStreamedJson:
    async def test_what_happens_comes_as_it_happens(self, rest: Rest) -> None:
        async with asyncio.timeout(20), aclosing(rest.lines("/game-events", by=bearer("live"))) as answers:
            assert await anext(answers) == {"newest": "0"}
            kills = {"records": [{"userId": "live", "metric": "e2e.kills", "value": "3"}]}
            await rest.ok("POST", "/metrics/records", kills)
            told = [(await anext(answers))["event"] for _ in range(2)]
        assert {event["type"] for event in told} == {"ACHIEVEMENT_COMPLETED", "REWARD_GRANTED"}
        (granted,) = [event["data"]["grant_id"] for event in told if event["type"] == "REWARD_GRANTED"]
        claimed = await rest.ok("POST", f"/rewards/{granted}/claim", by=bearer("live"))
        assert claimed["distribution"]["contents"][0]["quantity"] == "100"


class TestGrpcWeb:
    async def test_a_browser_reads_its_wallet(
        self, mesh: Supervisor, http: aiohttp.ClientSession, rest: Rest
    ) -> None:
        url = f"{mesh.url}/arenamesh.gamification.v1.RewardService/GetWallet"
        request = reward_service_pb2.GetWalletRequest(user_id="me")
        body, trailers = await grpc_web(http, url, request, **bearer("web"))
        assert reward_service_pb2.GetWalletResponse.FromString(body).user_id == "web"
        assert b"grpc-status:0\r\n" in trailers


class TestClient:
    async def test_a_game_and_its_player(self, mesh: Supervisor, rest: Rest) -> None:
        async with (
            connect(mesh.target, token=partial(token, "server-1", "game_server")) as server,
            connect(mesh.target, token=partial(token, "cleo", "player")) as cleo,
        ):
            game, mine = server.gamification, cleo.gamification
            kills = [MetricRecord(user_id="cleo", metric="e2e.kills", event_id=f"cleo-{n}") for n in range(3)]
            async with asyncio.timeout(20), aclosing(mine.subscribe()) as told:
                assert not (await anext(told)).HasField("event")
                assert set(await game.metrics.record(*kills)) == {metric_pb2.RECORD_OUTCOME_COUNTED}
                heard = [(await anext(told)).event for _ in range(2)]
                assert {event.type for event in heard} == {"ACHIEVEMENT_COMPLETED", "REWARD_GRANTED"}
                assert {event.cause for event in heard} == {"cleo-2"}
                (grant,) = [each async for each in mine.rewards.pending()]
                claimed = await mine.rewards.claim(grant.id)
                assert (await anext(told)).event.type == "REWARD_CLAIMED"
            assert (await game.rewards.verify(claimed.receipt)).claims.grant_id == grant.id
            assert await mine.rewards.wallet() == {"gold": 100}
            assert [each.kind async for each in mine.rewards.ledger()] == [2, 1]
            with pytest.raises(FailedPrecondition) as again:
                await mine.rewards.claim(grant.id)
            assert again.value.reason == "GRANT_CLAIMED"
            assert (await mine.achievements.progress("e2e.hunter")).is_completed
            assert await mine.achievements.score() == (1, 10)
            with pytest.raises(NotFound):
                await mine.achievements.get("e2e.secret")
            assert (await game.achievements.get("e2e.secret")).id == "e2e.secret"

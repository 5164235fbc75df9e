"""Every RPC through real gRPC, good and bad; what they answer is what the domain says."""

from typing import Any

import grpc
import pytest
from arenamesh.progression.v1 import paragon_pb2, prestige_pb2, service_pb2
from google.protobuf.json_format import MessageToDict

from services.progression.domain.character import Character
from services.progression.domain.standing import standing
from tests.support.progression import DEFINITION, TO_CAP, Progression, refused
from tests.support.tokens import Metadata, game_server, operator, player

PARAGON = DEFINITION.paragon.curve
NEEDED = DEFINITION.prestige.required_level
ADA = player("ada")


def points(**by_name: int) -> paragon_pb2.AttributePoints:
    return paragon_pb2.AttributePoints(**by_name)


async def distribute(
    server: Progression, character_id: str, metadata: Metadata = ADA, **fields: Any
) -> service_pb2.DistributeParagonPointsResponse:
    request = service_pb2.DistributeParagonPointsRequest(character_id=character_id, **fields)
    return await server.stub.DistributeParagonPoints(request, metadata=metadata)


async def respec(
    server: Progression, character_id: str, metadata: Metadata = ADA, **fields: Any
) -> service_pb2.RespecParagonPointsResponse:
    request = service_pb2.RespecParagonPointsRequest(character_id=character_id, **fields)
    return await server.stub.RespecParagonPoints(request, metadata=metadata)


async def reset(
    server: Progression, character_id: str, metadata: Metadata = ADA, **fields: Any
) -> service_pb2.ResetPrestigeResponse:
    request = service_pb2.ResetPrestigeRequest(character_id=character_id, **fields)
    return await server.stub.ResetPrestige(request, metadata=metadata)


# -- awards and levels --------------------------------------------------------------------------------


async def test_a_character_begins_with_its_first_award(server: Progression) -> None:
    first = await server.award("ada", 250)
    assert first.version == 2  # enrolled, awarded
    assert (first.awarded.base_experience, first.awarded.paragon_experience) == ("250", "0")
    answer = await server.paragon("ada")
    assert answer.version == 2
    assert (answer.base.level, answer.base.experience, answer.base.cap) == (2, "250", DEFINITION.base.cap)
    assert (answer.base.experience_in_level, answer.base.experience_of_level) == ("50", "250")
    enrolled, awarded = await server.history("ada")
    assert (enrolled.enrolled.player_id, enrolled.enrolled.definition) == ("ada", DEFINITION.name)
    assert awarded.experience_awarded == first.awarded
    assert awarded.actor == "game_server:gs-1"


async def test_what_is_above_the_cap_is_paragon(server: Progression) -> None:
    awarded = (await server.award("ada", TO_CAP + PARAGON.total(3) + 7)).awarded
    assert (awarded.base_experience, awarded.paragon_experience) == (str(TO_CAP), str(PARAGON.total(3) + 7))
    answer = await server.paragon("ada")
    assert (answer.base.level, answer.base.experience_of_level) == (DEFINITION.base.cap, "")
    paragon = answer.paragon
    assert (paragon.level, paragon.experience_in_level) == (3, "7")
    assert paragon.experience_of_level == str(PARAGON.total(4) - PARAGON.total(3))
    assert (paragon.points_earned, paragon.points_spent, paragon.points_unspent) == (3, 0, 3)
    assert [each.name for each in paragon.attributes] == [
        *("strength", "agility", "intelligence", "vitality", "luck")
    ]
    assert paragon.curve == PARAGON.name


async def test_multipliers_apply_in_order_and_are_told(server: Progression) -> None:
    await server.award("ada", TO_CAP)
    await reset(server, "ada")
    awarded = (
        await server.award(
            "ada",
            999,
            content_level=1,
            multipliers=[
                service_pb2.AwardMultiplier(name="weekend", micro=1_500_000),
                service_pb2.AwardMultiplier(name="tired", micro=333_333),
            ],
        )
    ).awarded
    told = [(each.name, each.micro, each.result) for each in awarded.multipliers]
    assert told == [
        ("level_difference", 1_000_000, "999"),
        ("prestige", 1_100_000, "1098"),
        ("weekend", 1_500_000, "1647"),
        ("tired", 333_333, "548"),
    ]
    assert (awarded.base, awarded.experience) == ("999", "548")


async def test_several_awards_happen_in_order_or_not_at_all(server: Progression) -> None:
    awards = [
        service_pb2.ExperienceAward(character_id="ada", source="test", experience=10),
        service_pb2.ExperienceAward(character_id="ben", source="test", experience=20),
        service_pb2.ExperienceAward(character_id="ada", source="test", experience=30),
    ]
    request = service_pb2.AwardExperienceRequest(awards=awards)
    answer = await server.stub.AwardExperience(request, metadata=game_server())
    assert [(each.character_id, each.version) for each in answer.results] == [
        *(("ada", 2), ("ben", 2), ("ada", 3))
    ]
    request.awards[2].mastery.add(type="fishing", experience=1)
    error = await refused(
        server.stub.AwardExperience(request, metadata=game_server()), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert error.reason == "MASTERY_TYPE_UNKNOWN"
    assert [(await server.paragon(name)).version for name in ("ada", "ben")] == [3, 2]


async def test_levels_and_totals_have_no_end(server: Progression) -> None:
    most = 2**63 - 1
    await server.award("ada", TO_CAP)
    await server.award("ada", PARAGON.total(100_000))
    answer = await server.paragon("ada")
    assert (answer.paragon.level, answer.paragon.experience_in_level) == (100_000, "0")
    assert MessageToDict(answer)["paragon"]["level"] == "100000"
    thousandfold = [service_pb2.AwardMultiplier(name="feast", micro=10**9)]
    awarded = (await server.award("ada", most, multipliers=thousandfold)).awarded
    assert awarded.experience == str(most * 1000)
    total = PARAGON.total(100_000) + most * 1000
    answer = await server.paragon("ada")
    assert int(answer.paragon.experience) == total > 2**63
    assert answer.paragon.level == PARAGON.level(total)
    spent = await distribute(server, "ada", points=points(strength=answer.paragon.points_unspent))
    assert spent.paragon.points_unspent == 0
    statistics = await server.stub.GetParagonStats(
        service_pb2.GetParagonStatsRequest(), metadata=game_server()
    )
    assert getattr(statistics, "global").experience == str(total)


async def test_a_level_that_the_contract_cannot_tell_is_refused(server: Progression) -> None:
    feast = [service_pb2.AwardMultiplier(name=f"feast{n}", micro=10**9) for n in range(8)]
    error = await refused(server.award("ada", 2**63 - 1, multipliers=feast), grpc.StatusCode.OUT_OF_RANGE)
    assert error.reason == "LEVEL_OUT_OF_RANGE"
    unknown = await refused(server.paragon("ada"), grpc.StatusCode.NOT_FOUND)
    assert unknown.reason == "CHARACTER_NOT_FOUND"


# -- points -------------------------------------------------------------------------------------------


async def test_points_are_spent_and_taken_back(server: Progression) -> None:
    await server.award("ada", TO_CAP + PARAGON.total(5) + 60)
    spent = await distribute(server, "ada", points=points(strength=3, luck=1))
    assert (spent.paragon.points_spent, spent.paragon.points_unspent) == (4, 1)
    by_name = {each.name: each for each in spent.paragon.attributes}
    assert (by_name["strength"].points, by_name["strength"].effect_milli) == (3, 3000)
    assert by_name["luck"].cap == DEFINITION.paragon.attributes["luck"].cap
    assert not by_name["strength"].HasField("cap")
    back = await respec(server, "ada")
    assert (back.version, back.paragon.points_unspent, back.paragon.respecs) == (spent.version + 1, 5, 1)
    assert (back.paragon.experience_in_level, back.paragon.respec_cost) == ("60", "100")
    await distribute(server, "ada", points=points(agility=5))
    unpaid = await refused(respec(server, "ada"), grpc.StatusCode.FAILED_PRECONDITION)
    assert unpaid.reason == "RESPEC_COST_UNPAID"
    happened = [each.WhichOneof("what") for each in await server.history("ada")]
    assert happened[2:] == ["points_distributed", "points_respecced", "points_distributed"]


@pytest.mark.parametrize(
    ("asked", "code", "reason"),
    [
        ({"strength": 3}, grpc.StatusCode.FAILED_PRECONDITION, "POINTS_INSUFFICIENT"),
        ({"strength": 2**62, "luck": 2**62}, grpc.StatusCode.FAILED_PRECONDITION, "POINTS_INSUFFICIENT"),
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "NO_POINTS_NAMED"),
        ({"strength": -1}, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
    ],
)
async def test_points_that_are_not_there_are_refused_whole(
    server: Progression, asked: dict[str, int], code: grpc.StatusCode, reason: str
) -> None:
    await server.award("ada", TO_CAP + PARAGON.total(2))
    error = await refused(distribute(server, "ada", points=points(**asked)), code)
    assert error.reason == reason
    if reason == "POINTS_INSUFFICIENT":
        assert error.metadata["points_unspent"] == "2"
    assert (await server.paragon("ada")).paragon.points_spent == 0


async def test_an_attribute_takes_no_more_than_its_cap(server: Progression) -> None:
    cap = DEFINITION.paragon.attributes["luck"].cap or 0
    await server.award("ada", TO_CAP + PARAGON.total(cap + 1))
    error = await refused(
        distribute(server, "ada", points=points(luck=cap + 1)), grpc.StatusCode.FAILED_PRECONDITION
    )
    assert error.reason == "ATTRIBUTE_CAPPED"


# -- prestige -----------------------------------------------------------------------------------------


async def test_a_reset_gives_bonuses_for_ever(server: Progression) -> None:
    await server.award("ada", TO_CAP + PARAGON.total(10))
    request = service_pb2.GetPrestigeInfoRequest(character_id="ada")
    before = (await server.stub.GetPrestigeInfo(request, metadata=ADA)).prestige
    assert (before.available, before.unavailable_reason, before.resets) == (True, "", 0)
    assert before.mode == prestige_pb2.PRESTIGE_MODE_ADDITIVE
    done = await reset(server, "ada")
    assert (done.reset.number, done.reset.base_level, done.reset.paragon_level) == (1, NEEDED, 10)
    assert done.reset.bonuses == before.next_bonuses == done.prestige.bonuses
    after = (await server.stub.GetPrestigeInfo(request, metadata=ADA)).prestige
    assert after == done.prestige
    assert (after.available, after.unavailable_reason) == (False, "PRESTIGE_LEVEL_TOO_LOW")
    levels = await server.paragon("ada")
    assert (levels.base.level, levels.base.experience, levels.paragon.level) == (1, "0", 10)
    bonuses = await server.stub.GetPrestigeBonuses(
        service_pb2.GetPrestigeBonusesRequest(character_id="ada"), metadata=ADA
    )
    assert (bonuses.resets, bonuses.bonuses.xp_micro) == (1, 1_100_000)
    assert (bonuses.bonuses.currency_micro, bonuses.bonuses.drop_rate_micro) == (1_100_000, 1_050_000)


async def test_the_newest_twenty_resets_are_shown_and_all_are_in_the_history(server: Progression) -> None:
    for _ in range(22):
        await server.award("ada", TO_CAP + 200_000)
        await reset(server, "ada")
    request = service_pb2.GetPrestigeInfoRequest(character_id="ada")
    info = (await server.stub.GetPrestigeInfo(request, metadata=ADA)).prestige
    assert [each.number for each in info.history] == list(range(22, 2, -1))
    told = [each.prestige_reset for each in await server.history("ada") if each.HasField("prestige_reset")]
    assert [each.number for each in told] == list(range(1, 23))
    assert told[2:] == list(info.history)[::-1]


async def test_a_reset_below_the_level_is_refused(server: Progression) -> None:
    await server.award("ada", TO_CAP - 1)
    error = await refused(reset(server, "ada"), grpc.StatusCode.FAILED_PRECONDITION)
    assert error.reason == "PRESTIGE_LEVEL_TOO_LOW"
    assert error.metadata["required_level"] == str(NEEDED)


async def test_a_reset_that_cannot_be_paid_is_refused(server: Progression) -> None:
    await server.award("ada", TO_CAP)
    await reset(server, "ada")
    await server.award("ada", TO_CAP * 10 // 11 + 1)  # with the bonus of a tenth
    info = (
        await server.stub.GetPrestigeInfo(
            service_pb2.GetPrestigeInfoRequest(character_id="ada"), metadata=ADA
        )
    ).prestige
    assert info.unavailable_reason == "PRESTIGE_COST_UNPAID"
    error = await refused(reset(server, "ada"), grpc.StatusCode.FAILED_PRECONDITION)
    assert (error.reason, error.metadata["cost"]) == ("PRESTIGE_COST_UNPAID", info.cost)


# -- mastery ------------------------------------------------------------------------------------------


async def test_mastery_rises_and_unlocks_its_rewards_once(server: Progression) -> None:
    raid = DEFINITION.mastery["raid"]
    first, second = raid.rewards[0], raid.rewards[1]
    enough = raid.curve.total(first.level)
    mastery = [service_pb2.MasteryAward(type="raid", experience=enough)]
    gained = (await server.award("ada", mastery=mastery)).awarded.mastery[0]
    assert (gained.level.to, list(gained.reward_ids)) == (first.level, [first.reward_id])
    levels = await server.stub.GetMasteryLevels(
        service_pb2.GetMasteryLevelsRequest(character_id="ada"), metadata=ADA
    )
    by_type = {each.type: each for each in levels.mastery}
    assert set(by_type) == set(DEFINITION.mastery)
    assert (by_type["raid"].level, by_type["raid"].experience) == (first.level, str(enough))
    assert (by_type["pvp"].level, by_type["pvp"].experience) == (1, "0")
    progress = await server.stub.GetMasteryProgress(
        service_pb2.GetMasteryProgressRequest(character_id="ada", type="raid"), metadata=ADA
    )
    assert (progress.mastery, progress.percent_milli) == (by_type["raid"], 0)
    assert (progress.next_reward.reward_id, progress.next_reward.unlocked) == (second.reward_id, False)
    one = await server.stub.GetMasteryRewards(
        service_pb2.GetMasteryRewardsRequest(character_id="ada", type="raid"), metadata=ADA
    )
    assert [each.reward_id for each in one.rewards] == [each.reward_id for each in raid.rewards]
    assert [each.unlocked for each in one.rewards] == [True, *[False] * (len(raid.rewards) - 1)]
    awarded = (await server.history("ada"))[-1]
    assert one.rewards[0].unlocked_at == awarded.time
    every = await server.stub.GetMasteryRewards(
        service_pb2.GetMasteryRewardsRequest(character_id="ada"), metadata=ADA
    )
    assert [each.level for each in every.rewards] == sorted(each.level for each in every.rewards)
    assert {each.type for each in every.rewards} == set(DEFINITION.mastery)


async def test_a_type_that_there_is_not(server: Progression) -> None:
    await server.award("ada", 1)
    for call in (
        server.stub.GetMasteryProgress(
            service_pb2.GetMasteryProgressRequest(character_id="ada", type="fishing"), metadata=ADA
        ),
        server.stub.GetMasteryRewards(
            service_pb2.GetMasteryRewardsRequest(character_id="ada", type="fishing"), metadata=ADA
        ),
    ):
        error = await refused(call, grpc.StatusCode.INVALID_ARGUMENT)
        assert error.reason == "MASTERY_TYPE_UNKNOWN"


# -- statistics ---------------------------------------------------------------------------------------


async def test_the_statistics_are_those_of_all(server: Progression) -> None:
    levels = {"ada": 4, "ben": 0, "cora": 120, "dan": 4, "eve": 129}
    for name, level in levels.items():
        await server.award(name, TO_CAP + PARAGON.total(level) + (9 if name == "dan" else 0))
    await distribute(server, "cora", game_server(), points=points(luck=2, vitality=1))
    answer = await server.stub.GetParagonStats(
        service_pb2.GetParagonStatsRequest(character_id="ada", top=4), metadata=ADA
    )
    all_ = getattr(answer, "global")
    total = sum(PARAGON.total(level) for level in levels.values()) + 9
    assert (all_.characters, all_.experience, all_.average_experience) == (5, str(total), str(total // 5))
    assert all_.average_level_milli == sum(levels.values()) * 1000 // 5
    told = [(each.from_level, each.to_level, each.characters) for each in all_.distribution]
    assert told == [(0, 0, 1), (4, 4, 2), (120, 129, 2)]
    assert [(each.rank, each.character_id, each.level) for each in all_.top] == [
        *((1, "eve", 129), (2, "cora", 120), (3, "dan", 4), (4, "ada", 4))
    ]
    assert (all_.points.luck, all_.points.vitality, all_.points.strength) == (2, 1, 0)
    own = answer.character
    assert (own.level, own.percentile_milli, own.points_unspent) == (4, 20_000, 4)
    alone = await server.stub.GetParagonStats(service_pb2.GetParagonStatsRequest(top=1), metadata=operator())
    assert not alone.HasField("character")
    assert len(getattr(alone, "global").top) == 1


async def test_equal_ones_share_a_rank(server: Progression) -> None:
    for name, level in (("ada", 2), ("ben", 2), ("cora", 1)):
        await server.award(name, TO_CAP + PARAGON.total(level))
    answer = await server.stub.GetParagonStats(service_pb2.GetParagonStatsRequest(), metadata=ADA)
    top = [(each.rank, each.character_id) for each in getattr(answer, "global").top]
    assert top == [(1, "ada"), (1, "ben"), (3, "cora")]


async def test_of_nobody_there_are_statistics_too(server: Progression) -> None:
    answer = await server.stub.GetParagonStats(service_pb2.GetParagonStatsRequest(), metadata=ADA)
    assert getattr(answer, "global") == paragon_pb2.GlobalParagonStats(
        experience="0", average_experience="0", points=points()
    )


# -- history ------------------------------------------------------------------------------------------


async def test_the_history_comes_in_pages_the_newest_first(server: Progression) -> None:
    for number in range(6):
        await server.award("ada", number)
    request = service_pb2.GetHistoryRequest(character_id="ada", page_size=3)
    versions = []
    while True:
        page = await server.stub.GetHistory(request, metadata=ADA)
        versions.append([each.version for each in page.events])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
        await server.award("ada", 1)  # what comes meanwhile shifts nothing
    assert versions == [[7, 6, 5], [4, 3, 2], [1]]


async def test_a_page_of_another_history_is_refused(server: Progression) -> None:
    for name in ("ada", "ben"):
        await server.award(name, 1)
    request = service_pb2.GetHistoryRequest(character_id="ada", page_size=1)
    token = (await server.stub.GetHistory(request, metadata=game_server())).next_page_token
    for request in (
        service_pb2.GetHistoryRequest(character_id="ben", page_token=token),
        service_pb2.GetHistoryRequest(character_id="ada", page_token="x"),
    ):
        error = await refused(
            server.stub.GetHistory(request, metadata=game_server()), grpc.StatusCode.INVALID_ARGUMENT
        )
        assert error.reason == "PAGE_TOKEN_INVALID"


# -- whose it is, and which version -------------------------------------------------------------------


def reads(character_id: str) -> dict[str, Any]:
    """A request for every method that reads one character."""
    return {
        "GetParagonLevels": service_pb2.GetParagonLevelsRequest(character_id=character_id),
        "GetParagonStats": service_pb2.GetParagonStatsRequest(character_id=character_id),
        "GetPrestigeInfo": service_pb2.GetPrestigeInfoRequest(character_id=character_id),
        "GetPrestigeBonuses": service_pb2.GetPrestigeBonusesRequest(character_id=character_id),
        "GetMasteryLevels": service_pb2.GetMasteryLevelsRequest(character_id=character_id),
        "GetMasteryProgress": service_pb2.GetMasteryProgressRequest(character_id=character_id, type="raid"),
        "GetMasteryRewards": service_pb2.GetMasteryRewardsRequest(character_id=character_id),
        "GetHistory": service_pb2.GetHistoryRequest(character_id=character_id),
    }


def changes(character_id: str, **fields: Any) -> dict[str, Any]:
    """A request for every method that changes one character."""
    return {
        "DistributeParagonPoints": service_pb2.DistributeParagonPointsRequest(
            character_id=character_id, points=points(luck=1), **fields
        ),
        "RespecParagonPoints": service_pb2.RespecParagonPointsRequest(character_id=character_id, **fields),
        "ResetPrestige": service_pb2.ResetPrestigeRequest(character_id=character_id, **fields),
    }


async def test_only_whose_it_is_may_and_only_what_there_is(server: Progression) -> None:
    await server.award("knight", TO_CAP + PARAGON.total(3) + 50, player_id="ada")
    every = [*reads("knight").items(), *changes("knight").items()]
    for method, request in every:
        error = await refused(
            getattr(server.stub, method)(request, metadata=player("ben")), grpc.StatusCode.PERMISSION_DENIED
        )
        assert error.reason == "CHARACTER_FOREIGN", method
    for metadata in (ADA, game_server(), operator()):
        for method, request in reads("knight").items():
            assert await getattr(server.stub, method)(request, metadata=metadata)
    for method, request in every[-3:]:
        assert (await getattr(server.stub, method)(request, metadata=ADA)).version > 2, method
    for method, request in [*reads("nobody").items(), *changes("nobody").items()]:
        error = await refused(getattr(server.stub, method)(request, metadata=ADA), grpc.StatusCode.NOT_FOUND)
        assert error.reason == "CHARACTER_NOT_FOUND", method


async def test_players_award_nothing(server: Progression) -> None:
    error = await refused(server.award("ada", 1, metadata=ADA), grpc.StatusCode.PERMISSION_DENIED)
    assert error.reason == "ROLE_NOT_ALLOWED"


async def test_a_character_stays_whose_it_is(server: Progression) -> None:
    await server.award("knight", 1, player_id="ada")
    error = await refused(server.award("knight", 1, player_id="ben"), grpc.StatusCode.FAILED_PRECONDITION)
    assert error.reason == "CHARACTER_OWNER_DIFFERS"


async def test_a_stale_version_is_refused(server: Progression) -> None:
    await server.award("ada", TO_CAP + PARAGON.total(3) + 50)
    for method, request in changes("ada", expected_version=1).items():
        error = await refused(getattr(server.stub, method)(request, metadata=ADA), grpc.StatusCode.ABORTED)
        assert (error.reason, error.metadata["version"]) == ("STALE_VERSION", "2"), method
    answer = await distribute(server, "ada", points=points(luck=1), expected_version=2)
    assert answer.version == 3


@pytest.mark.parametrize(
    "request_",
    [
        service_pb2.GetParagonLevelsRequest(),
        service_pb2.GetParagonLevelsRequest(character_id="a b"),
        service_pb2.GetParagonLevelsRequest(character_id="x" * 65),
    ],
)
async def test_what_is_no_character_id_is_the_callers_fault(
    server: Progression, request_: service_pb2.GetParagonLevelsRequest
) -> None:
    error = await refused(
        server.stub.GetParagonLevels(request_, metadata=ADA), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert error.reason == "FIELD_INVALID"


# -- once ---------------------------------------------------------------------------------------------


async def test_every_change_asked_for_again_has_one_effect_and_one_answer(server: Progression) -> None:
    await server.award("ada", TO_CAP + PARAGON.total(3) + 50)
    award = service_pb2.AwardExperienceRequest(
        awards=[service_pb2.ExperienceAward(character_id="ada", source="test", experience=5)],
        request_id="again",
    )
    asked = {"AwardExperience": award} | changes("ada", request_id="again")
    for method, request in asked.items():
        metadata = game_server() if method == "AwardExperience" else ADA
        call = getattr(server.stub, method)
        first = await call(request, metadata=metadata)
        version = (await server.paragon("ada")).version
        assert await call(request, metadata=metadata) == first
        assert (await server.paragon("ada")).version == version, method


async def test_the_header_is_a_key_too(server: Progression) -> None:
    keyed = (*game_server(), ("idempotency-key", "k-1"))
    first = await server.award("ada", 5, metadata=keyed)
    assert await server.award("ada", 5, metadata=keyed) == first
    error = await refused(server.award("ada", 6, metadata=keyed), grpc.StatusCode.FAILED_PRECONDITION)
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"
    other = (*game_server("gs-2"), ("idempotency-key", "k-1"))
    assert (await server.award("ada", 6, metadata=other)).version == first.version + 1


async def test_what_was_refused_may_be_asked_again_with_its_key(server: Progression) -> None:
    await server.award("ada", TO_CAP)
    request: dict[str, Any] = {"points": points(luck=1), "request_id": "k"}
    await refused(distribute(server, "ada", **request), grpc.StatusCode.FAILED_PRECONDITION)
    await server.award("ada", PARAGON.total(1))
    assert (await distribute(server, "ada", **request)).paragon.points_spent == 1


# -- the whole of it ----------------------------------------------------------------------------------


async def test_answers_are_the_domains(server: Progression) -> None:
    """Of a character that everything happened to, every number that two RPCs show."""
    await server.award("ada", TO_CAP + PARAGON.total(7) + 400)
    await distribute(server, "ada", points=points(luck=4, strength=2))
    await reset(server, "ada")
    mastery = [service_pb2.MasteryAward(type="raid", experience=1000)]
    await server.award("ada", 4321, mastery=mastery)
    experience = 4321 * 11 // 10
    character = Character(
        "ada",
        "ada",
        DEFINITION.name,
        version=5,
        base_experience=experience,
        paragon_experience=PARAGON.total(7) + 400,
        points={"strength": 2, "agility": 0, "intelligence": 0, "vitality": 0, "luck": 4},
        resets=1,
        mastery={"raid": 1000},
    )
    expected = standing(DEFINITION, character)
    shown = await server.paragon("ada")
    assert (shown.version, shown.base.level, shown.base.experience) == (
        5,
        expected.base.level.level,
        str(experience),
    )
    assert shown.paragon.level == expected.paragon.level.level == 7
    assert shown.paragon.points_unspent == expected.paragon.points_unspent == 1
    effects = {each.name: each.effect_milli for each in shown.paragon.attributes}
    assert effects == {each.name: each.effect_milli for each in expected.paragon.attributes}
    progress = await server.stub.GetMasteryProgress(
        service_pb2.GetMasteryProgressRequest(character_id="ada", type="raid"), metadata=ADA
    )
    level = expected.mastery["raid"].level
    assert progress.mastery.level == level.level
    assert progress.percent_milli == level.in_level * 100_000 // (level.of_level or 1)

"""AchievementService through real gRPC: definitions, their versions, and progress."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from arenamesh.gamification.v1 import achievement_pb2, achievement_service_pb2, metric_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.support.gamification import Gamification, an_achievement, at_least, gamification, refused
from tests.support.tokens import Metadata, game_server, operator, player

GOLD = {"type": "REWARD_TYPE_CURRENCY", "currency": "gold", "value": "50"}


async def update(
    server: Gamification, id_: str = "hunter", *, fields: dict[str, Any] | None = None, **asked: Any
) -> achievement_pb2.Achievement:
    """`fields`: of the achievement; `asked`: of the request."""
    request = achievement_service_pb2.UpdateAchievementRequest(**asked)
    ParseDict(an_achievement(id_, **(fields or {})), request.achievement)
    return (await server.achievements.UpdateAchievement(request, metadata=operator())).achievement


async def get(server: Gamification, id_: str = "hunter") -> achievement_pb2.Achievement:
    request = achievement_service_pb2.GetAchievementRequest(id=id_)
    return (await server.achievements.GetAchievement(request, metadata=player("ada"))).achievement


async def listed(server: Gamification, metadata: Metadata, **asked: Any) -> list[str]:
    request = achievement_service_pb2.ListAchievementsRequest(**asked)
    answer = await server.achievements.ListAchievements(request, metadata=metadata)
    return [each.id for each in answer.achievements]


async def advance(
    server: Gamification, id_: str = "hunter", user_id: str = "ada", **asked: Any
) -> achievement_service_pb2.UpdateAchievementProgressResponse:
    request = achievement_service_pb2.UpdateAchievementProgressRequest(id=id_, user_id=user_id, **asked)
    return await server.achievements.UpdateAchievementProgress(request, metadata=game_server())


# -- definitions --------------------------------------------------------------------------------------


async def test_what_is_created_is_what_is_read(server: Gamification) -> None:
    await server.metric()
    await server.reward()
    timeframe = {"calendar": "CALENDAR_DAY", "time_zone": "Europe/Berlin"}
    created = await server.achievement(
        description="Ten in a day",
        category="ACHIEVEMENT_CATEGORY_COMBAT",
        requirements=[at_least(10, timeframe=timeframe)],
        rewards=[{"id": "purse"}, GOLD],
        metadata={"icon": "skull"},
        repeat={"cooldown": "60s", "max_cycles": "3"},
    )
    assert created == await get(server)
    assert created.version == 1 and created.created_at == created.updated_at
    purse, own = created.rewards
    assert (purse.value, purse.currency) == (100, "gold")
    assert (own.id, own.value, own.title) == (
        "hunter.1" if own.id == "hunter.1" else "hunter.2",
        50,
        "Hunter",
    )
    assert created.metadata["icon"] == "skull"
    assert MessageToDict(created.requirements[0])["timeframe"] == {
        "calendar": "CALENDAR_DAY",
        "timeZone": "Europe/Berlin",
    }
    error = await refused(server.achievement(), grpc.StatusCode.ALREADY_EXISTS)
    assert (error.reason, dict(error.metadata)) == ("ACHIEVEMENT_EXISTS", {"achievement_id": "hunter"})


async def test_the_service_gives_an_id(server: Gamification) -> None:
    await server.metric()
    first, second = await server.achievement("", title="One"), await server.achievement("", title="Two")
    assert first.id and second.id and first.id != second.id
    assert (await get(server, first.id)).title == "One"


async def test_the_same_request_creates_once(server: Gamification) -> None:
    await server.metric()
    request = achievement_service_pb2.CreateAchievementRequest(request_id="r1")
    ParseDict(an_achievement("", title="One"), request.achievement)
    first = await server.achievements.CreateAchievement(request, metadata=operator())
    assert await server.achievements.CreateAchievement(request, metadata=operator()) == first
    assert await listed(server, operator()) == [first.achievement.id]
    request.achievement.title = "Another"
    again = server.achievements.CreateAchievement(request, metadata=operator())
    error = await refused(again, grpc.StatusCode.FAILED_PRECONDITION)
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_lists_are_filtered_and_paged(server: Gamification) -> None:
    await server.metric()
    for number in range(5):
        await server.achievement(f"a{number}", is_enabled=number != 3)
    await server.achievement("skill", type="ACHIEVEMENT_TYPE_SKILL", category="ACHIEVEMENT_CATEGORY_COMBAT")
    ada = player("ada")
    assert await listed(server, ada) == ["a0", "a1", "a2", "a4", "skill"]
    assert await listed(server, ada, type=achievement_pb2.ACHIEVEMENT_TYPE_SKILL) == ["skill"]
    assert await listed(server, ada, category=achievement_pb2.ACHIEVEMENT_CATEGORY_COMBAT) == ["skill"]
    assert "a3" in await listed(server, operator(), include_disabled=True)
    error = await refused(listed(server, ada, include_disabled=True), grpc.StatusCode.PERMISSION_DENIED)
    assert error.reason == "NOT_FOR_PLAYERS"
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        request = achievement_service_pb2.ListAchievementsRequest(page_size=2, page_token=token)
        answer = await server.achievements.ListAchievements(request, metadata=ada)
        pages.append([each.id for each in answer.achievements])
        token = answer.next_page_token
    assert pages == [["a0", "a1"], ["a2", "a4"], ["skill"]]


async def test_only_what_players_follow_makes_a_version(server: Gamification) -> None:
    await server.metric()
    await server.achievement(rewards=[GOLD])
    shown = await update(server, fields={"title": "Great Hunter", "rewards": [GOLD | {"title": "Hunter"}]})
    assert (shown.version, shown.title) == (1, "Great Hunter")
    assert shown.updated_at.ToNanoseconds() > shown.created_at.ToNanoseconds()
    followed = await update(server, fields={"points": 20, "rewards": [{"id": "hunter.1"}]})
    assert (followed.version, followed.points) == (2, 20)
    assert followed == await get(server)
    stale = update(server, expected_version=1)
    error = await refused(stale, grpc.StatusCode.ABORTED)
    assert (error.reason, error.metadata["version"]) == ("STALE_VERSION", "2")
    assert (await update(server, expected_version=2)).version == 3
    missing = await refused(update(server, "nobody"), grpc.StatusCode.NOT_FOUND)
    assert missing.reason == "ACHIEVEMENT_NOT_FOUND"


async def test_a_reward_of_its_own_changes_with_it_and_another_does_not(server: Gamification) -> None:
    await server.metric()
    await server.reward()
    await server.achievement(rewards=[GOLD])
    await update(server, fields={"rewards": [GOLD | {"id": "hunter.1", "value": "75"}]})
    assert (await get(server)).rewards[0].value == 75
    await server.achievement("other", rewards=[{"id": "hunter.1"}])
    for rewards in (GOLD | {"id": "hunter.1", "value": "90"}, GOLD | {"id": "purse"}):
        error = await refused(update(server, fields={"rewards": [rewards]}), grpc.StatusCode.ALREADY_EXISTS)
        assert error.reason == "REWARD_EXISTS"
    assert (await get(server, "other")).rewards[0].value == 75
    # Told in full, but as it is: that names it.
    whole = GOLD | {"id": "hunter.1", "value": "75", "title": "Hunter"}
    assert (await server.achievement("third", rewards=[whole])).rewards[0].value == 75


async def test_who_has_begun_goes_on_unless_brought_over(server: Gamification) -> None:
    await server.metric()
    await server.achievement()
    await server.record("ada", 4)
    await update(server, fields={"requirements": [at_least(5)]})
    await server.record("ada", 1)
    progress = await server.progress("ada")
    assert (progress.version, progress.progress, progress.is_completed) == (1, 50, False)
    await server.record("ben", 5)
    assert (await server.progress("ben")).is_completed
    await update(server, fields={"requirements": [at_least(6)]}, bring_over=True)
    await server.record("ada", 1)
    progress = await server.progress("ada")
    assert (progress.version, progress.is_completed) == (3, True)
    assert "version_changed" in [each.what for each in progress.history]


# -- progress -----------------------------------------------------------------------------------------


async def test_progress_is_of_what_was_recorded(server: Gamification) -> None:
    await server.metric()
    await server.achievement(rewards=[GOLD])
    nothing = await server.progress("ada")
    assert (nothing.progress, nothing.cycle, nothing.version) == (0, 1, 1)
    assert not nothing.history and not nothing.is_completed
    assert await server.record("ada", 9) == metric_pb2.RECORD_OUTCOME_COUNTED
    half = await server.progress("ada")
    assert (half.progress, dict(half.metrics)) == (90, {"kills": 9})
    answer = await advance(server, metrics={"kills": 1})
    done = answer.progress
    assert done.is_completed and done.progress == 100 and done.completions == 1
    assert [each.what for each in done.history] == ["started", "requirement_met", "completed"]
    (owed,) = await server.pending("ada")
    assert list(answer.grant_ids) == [owed.id]
    assert (owed.reward_id, owed.source_id, owed.contents[0].quantity) == ("hunter.1", "hunter", 50)
    assert owed.cause == done.history[-1].cause
    assert await server.progress("ada") == done
    again = await advance(server, metrics={"kills": 1})
    assert (again.progress.completions, list(again.grant_ids)) == (1, [])


async def test_an_update_of_progress_counts_once(server: Gamification) -> None:
    await server.metric()
    await server.achievement()
    first = await advance(server, metrics={"kills": 3}, request_id="r1")
    assert await advance(server, metrics={"kills": 3}, request_id="r1") == first
    assert (await server.progress("ada")).metrics["kills"] == 3


async def test_a_checkpoint_looks_at_what_is_below(server: Gamification) -> None:
    await server.metric("deaths")
    below = {"metric": "deaths", "operator": "OPERATOR_LTE", "threshold": "2"}
    await server.achievement(requirements=[below])
    await server.record("ada", 2, metric="deaths")
    assert not (await server.progress("ada")).is_completed
    assert (await advance(server, checkpoint=True)).progress.is_completed
    await server.record("ben", 3, metric="deaths")
    assert not (await advance(server, user_id="ben", checkpoint=True)).progress.is_completed


async def test_what_is_not_enabled_makes_no_progress(server: Gamification) -> None:
    await server.metric()
    await server.achievement(is_enabled=False)
    await server.record("ada", 10)
    assert not (await server.progress("ada")).is_completed
    error = await refused(advance(server, metrics={"kills": 1}), grpc.StatusCode.FAILED_PRECONDITION)
    assert error.reason == "ACHIEVEMENT_DISABLED"
    unknown = await refused(advance(server, "nothing", checkpoint=True), grpc.StatusCode.NOT_FOUND)
    assert unknown.reason == "ACHIEVEMENT_NOT_FOUND"


async def test_what_was_completed_comes_first_and_the_newest_of_it(server: Gamification) -> None:
    await server.metric()
    for id_, threshold in (("one", 1), ("two", 2), ("three", 3), ("many", 100), ("more", 200)):
        await server.achievement(id_, requirements=[at_least(threshold)])
    for second in range(3):
        await server.record("ada", occurred_at=f"2026-11-01T00:00:0{second}Z")
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        request = achievement_service_pb2.ListAchievementProgressRequest(
            user_id="ada", page_size=2, page_token=token
        )
        answer = await server.achievements.ListAchievementProgress(request, metadata=player("ada"))
        pages.append([each.achievement_id for each in answer.progress])
        assert (answer.completed, answer.points) == (3, 30)
        token = answer.next_page_token
    assert pages == [["three", "two"], ["one", "many"], ["more"]]


# -- who may ------------------------------------------------------------------------------------------


async def test_players_speak_for_themselves(server: Gamification) -> None:
    await server.metric()
    await server.achievement()
    await server.record("ada", 4)
    assert (await server.progress("", metadata=player("ada"))).user_id == "ada"
    assert (await server.progress("me", metadata=player("ada"))).progress == 40
    for call in (
        server.progress("ada", metadata=player("ben")),
        server.achievements.ListAchievementProgress(
            achievement_service_pb2.ListAchievementProgressRequest(user_id="ada"), metadata=player("ben")
        ),
    ):
        error = await refused(call, grpc.StatusCode.PERMISSION_DENIED)
        assert error.reason == "USER_FOREIGN"
    request = achievement_service_pb2.UpdateAchievementProgressRequest(
        id="hunter", user_id="ada", metrics={"kills": 1}
    )
    error = await refused(
        server.achievements.UpdateAchievementProgress(request, metadata=player("ada")),
        grpc.StatusCode.PERMISSION_DENIED,
    )
    assert error.reason == "ROLE_NOT_ALLOWED"


@pytest.mark.parametrize("redis", [True, False])
async def test_what_was_answered_is_what_anybody_reads(
    database_url: str, redis_url: str, *, redis: bool
) -> None:
    """Definitions and progress, at another process, whether or not Redis is there."""
    where = {"database_url": database_url, "redis_url": redis_url if redis else "redis://127.0.0.1:1/0"}
    async with gamification(**where) as here, gamification(**where) as there:
        await here.metric()
        await here.achievement()
        for kills in range(1, 10):
            await here.record("ada")
            progress = await there.progress("ada")
            assert (progress.metrics["kills"], progress.progress) == (kills, 10 * kills)
        for number in range(3):
            await update(here, fields={"title": f"Number {number}"})
            assert (await get(there)).title == f"Number {number}"
        # Decided by the newest version, whoever knows it.
        await update(here, fields={"requirements": [at_least(2)]})
        await there.record("ben", 2)
        assert (await here.progress("ben")).is_completed

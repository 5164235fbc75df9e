"""The service as a process: what it refuses to start with, what migrating installs, a graceful stop."""

import json
import shutil
import signal
from functools import partial
from pathlib import Path

import grpc
import pytest
from arenamesh.gamification.v1 import (
    achievement_service_pb2,
    achievement_service_pb2_grpc,
    notification_service_pb2,
    notification_service_pb2_grpc,
)

from services.chassis.db import Database
from services.chassis.settings import SettingsError
from services.gamification.definition_commands import DefinitionCommands, read
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.settings import GamificationSettings
from tests.support import process
from tests.support.gamification import settings
from tests.support.postgres import Postgres
from tests.support.process import fetch, serving
from tests.support.refusals import refusal
from tests.support.tokens import operator, player

run = partial(process.run, service="gamification")
DATA = settings().data_dir


async def test_from_an_empty_database_to_a_graceful_stop(postgres: Postgres, redis_url: str) -> None:
    name = await postgres.clone("template1")
    variables = {"DATABASE_URL": postgres.url(name), "REDIS_URL": redis_url, "BUS_KIND": "inmem"}
    code, said = await run("check", **variables)
    assert (code, "run `migrate`" in said) == (1, True)
    assert (await run("migrate", **variables))[0] == 0
    assert (await run("check", **variables))[0] == 0
    async with serving(service="gamification", **variables) as (serving_process, ports):
        status, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/ready")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            stub: achievement_service_pb2_grpc.AchievementServiceAsyncStub
            stub = achievement_service_pb2_grpc.AchievementServiceStub(channel)
            request = achievement_service_pb2.ListAchievementsRequest(include_disabled=True)
            listed = (await stub.ListAchievements(request, metadata=operator())).achievements
            assert [each.id for each in listed] == sorted(
                path.stem for path in (DATA / "achievements").iterdir()
            )
            feed: notification_service_pb2_grpc.NotificationServiceAsyncStub
            feed = notification_service_pb2_grpc.NotificationServiceStub(channel)
            call = feed.Subscribe(notification_service_pb2.SubscribeRequest(), metadata=player("ada"))
            assert await call.read() == notification_service_pb2.SubscribeResponse(newest=0)
            _, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/metrics")
            assert 'gamification_request_duration_seconds_count{method="ListAchievements"} 1.0' in text
            serving_process.send_signal(signal.SIGTERM)
            assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert await serving_process.wait() == 0
    await postgres.drop(name)


async def test_what_was_changed_is_not_installed_again(database: Database, tmp_path: Path) -> None:
    data = Path(shutil.copytree(DATA, tmp_path / "data"))
    commands = DefinitionCommands(database, DefinitionsStore())
    first = await commands.install(data)
    assert {each.kind for each in first} == {"metric", "reward", "achievement", "quest"}
    assert len(first) >= len(read(data))  # rewards within, too
    path = data / "achievements" / "first-blood.json"
    path.write_text(path.read_text().replace("first-blood", "second-blood"))
    (data / "achievements" / "first-blood.json").rename(data / "achievements" / "second-blood.json")
    added = await commands.install(data)
    assert ("achievement", "second-blood") in [(each.kind, each.id) for each in added]
    assert await commands.install(data) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": -1}, "points: "),
        ({"requirements": [{"metric": "nothing"}]}, r"achievement\.requirements\[0\]\.metric: "),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_file_that_is_wrong_is_named_and_nothing_is_installed(
    database: Database, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    data = Path(shutil.copytree(DATA, tmp_path / "data"))
    path = data / "achievements" / "first-blood.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    commands = DefinitionCommands(database, DefinitionsStore())
    with pytest.raises(ValueError, match=rf"first-blood\.json: .*({said})"):
        await commands.install(data)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gamification.definitions") == 0


def test_keys_that_everybody_knows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    with pytest.raises(SettingsError, match="RECEIPT_KEYS: "):
        GamificationSettings.load()

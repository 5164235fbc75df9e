"""The service as a process: what it refuses to start with, a graceful stop, an operator's work beside it."""

import json
import shutil
import signal
from functools import partial
from pathlib import Path

import asyncpg
import grpc
import pytest
from arenamesh.progression.v1 import service_pb2, service_pb2_grpc

from services.progression import operations
from services.progression.main import built
from tests.support import process
from tests.support.postgres import Postgres
from tests.support.process import fetch, serving
from tests.support.progression import TO_CAP, progression, read, settings, versions
from tests.support.refusals import refusal
from tests.support.tokens import game_server

run = partial(process.run, service="progression")


async def test_from_an_empty_database_to_a_graceful_stop(postgres: Postgres, redis_url: str) -> None:
    name = await postgres.clone("template1")
    variables = {"DATABASE_URL": postgres.url(name), "REDIS_URL": redis_url, "WATCH_POLL_S": "600"}
    code, said = await run("check", **variables)
    assert (code, "run `migrate`" in said) == (1, True)
    assert (await run("migrate", **variables))[0] == 0
    async with serving(service="progression", **variables) as (serving_process, ports):
        status, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/ready")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            stub: service_pb2_grpc.ProgressionServiceAsyncStub
            stub = service_pb2_grpc.ProgressionServiceStub(channel)
            award = service_pb2.ExperienceAward(character_id="ada", source="test", experience=5)
            request = service_pb2.AwardExperienceRequest(awards=[award])
            assert (await stub.AwardExperience(request, metadata=game_server())).results[0].version == 2
            watching = service_pb2.WatchProgressRequest(character_id="ada", after_version=0)
            call = stub.WatchProgress(watching, metadata=game_server())
            assert await versions(call, 2) == [1, 2]
            _, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/metrics")
            assert "progression_watchers 1.0" in text
            assert 'progression_request_duration_seconds_count{method="AwardExperience"} 1.0' in text
            serving_process.send_signal(signal.SIGTERM)
            assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert await serving_process.wait() == 0
    await postgres.drop(name)


async def test_a_definition_that_there_is_not(database_url: str, redis_url: str) -> None:
    asked = settings(database_url=database_url, redis_url=redis_url, definition="lost-9")
    with pytest.raises(ValueError, match="DEFINITION: 'lost-9' is not one of "):
        async with built(asked):
            pass


async def test_a_data_file_that_is_wrong_is_named(database_url: str, redis_url: str, tmp_path: Path) -> None:
    data = _data(tmp_path)
    _change(data, "default-1", "default-1", cap=1)
    asked = settings(database_url=database_url, redis_url=redis_url, data_dir=data)
    with pytest.raises(ValueError, match=r"default-1\.json: base\.cap: "):
        async with built(asked):
            pass


def _data(folder: Path) -> Path:
    return Path(shutil.copytree(settings().data_dir, folder / "data"))


def _change(data: Path, old: str, new: str, *, cap: int) -> None:
    """A definition like another one with another cap."""
    document = json.loads((data / "definitions" / f"{old}.json").read_text())
    document["version"] = int(new.split("-")[1])
    document["base"]["cap"] = cap
    document["prestige"]["required_level"] = min(cap, document["prestige"]["required_level"])
    if new != old:
        document["changes"] = {old: {"base": "keep_experience"}}
    (data / "definitions" / f"{new}.json").write_text(json.dumps(document))


async def test_an_unknown_definition_of_a_character_is_told(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Its definition was taken away while it is followed: nothing of it can be said, and nothing is lost."""
    data = _data(tmp_path)
    _change(data, "default-1", "default-2", cap=20)
    limits = {"database_url": database_url, "redis_url": redis_url}
    async with progression(**limits, data_dir=data, definition="default-2") as server:
        await server.award("ada", 5)
    async with progression(**limits) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.paragon("ada")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert len(await server.history("ada")) == 2
    async with progression(**limits, data_dir=data, definition="default-2") as server:
        assert (await server.paragon("ada")).base.experience == "5"


async def test_remap_and_rebuild_beside_a_service(
    database_url: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _data(tmp_path)
    _change(data, "default-1", "default-2", cap=20)
    limits = {"database_url": database_url, "redis_url": redis_url, "data_dir": data}
    changed = settings(**limits, definition="default-2")
    async with progression(**limits) as server:
        await server.award("ada", TO_CAP)
        watching = service_pb2.WatchProgressRequest(character_id="ada", after_version=2)
        call = server.stub.WatchProgress(watching, metadata=game_server())
        await operations.remap(changed, dry_run=True)
        assert "ada: base 50 -> 20" in capsys.readouterr().out
        assert (await server.paragon("ada")).version == 2
        code, said = await run(
            "remap",
            DATABASE_URL=database_url,
            REDIS_URL=redis_url,
            DATA_DIR=str(data),
            DEFINITION="default-2",
        )
        assert (code, "ada: base 50 -> 20" in said, "remapped 1 of 1" in said) == (0, True, True)
        told = await read(call)
        assert (told.event.definition_changed.to, told.event.actor) == ("default-2", "operator:remap")
        assert (await server.paragon("ada")).base.level == 20
        call.cancel()

        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE progression.characters SET base_level = 7, base_experience = 1")
        await connection.close()
        await operations.rebuild(changed)
        assert "ada: characters was not what its events say" in capsys.readouterr().out
        assert (await server.paragon("ada")).base.level == 20

"""The service as a process, without Redis, and as time goes by."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import grpc
import pytest
from arenamesh.liveops.v1 import leaderboard_service_pb2, leaderboard_service_pb2_grpc
from redis.asyncio import Redis

from services.chassis import clock
from services.chassis.metrics import LEADERBOARD_READS
from services.leaderboard.boards import read
from services.leaderboard.settings import LeaderboardSettings
from tests.support import process
from tests.support import redis as redis_server
from tests.support.leaderboard import Leaderboard, leaderboard, ranks, refused, score
from tests.support.postgres import Postgres
from tests.support.process import fetch, serving
from tests.support.redis import RedisServer
from tests.support.refusals import refusal
from tests.support.waiting import eventually

run = partial(process.run, service="leaderboard")
DATA = LeaderboardSettings().data_dir
BY_SCORE = [(1, "p5", 5), (2, "p4", 4), (3, "p3", 3)]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that only this test has."""
    with redis_server.server() as started:
        yield started


async def test_from_an_empty_database_to_a_graceful_stop(postgres: Postgres, redis_url: str) -> None:
    name = await postgres.clone("template1")
    variables = {"DATABASE_URL": postgres.url(name), "REDIS_URL": redis_url, "WATCH_POLL_S": "600"}
    code, said = await run("check", **variables)
    assert (code, "run `migrate`" in said) == (1, True)
    for installed in (["damage", "kills", "score", "wins"], []):
        code, said = await run("migrate", **variables)
        assert code == 0
        assert json.loads(said.splitlines()[-1])["boards_installed"] == installed
    async with serving(service="leaderboard", **variables) as (serving_process, ports):
        status, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/ready")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            stub: leaderboard_service_pb2_grpc.LeaderboardServiceAsyncStub
            stub = leaderboard_service_pb2_grpc.LeaderboardServiceStub(channel)
            answer = await stub.GetLeaderboard(leaderboard_service_pb2.GetLeaderboardRequest())
            assert (answer.period.board, answer.period.window, answer.players) == ("score", "weekly", 0)
            call = stub.WatchLeaderboard(leaderboard_service_pb2.WatchLeaderboardRequest(board="kills"))
            first = await call.read()
            assert isinstance(first, leaderboard_service_pb2.WatchLeaderboardResponse)
            assert first.period.board == "kills"
            _, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/metrics")
            assert "leaderboard_streams 1.0" in text
            assert 'leaderboard_request_duration_seconds_count{method="GetLeaderboard"} 1.0' in text
            serving_process.send_signal(signal.SIGTERM)
            assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert await serving_process.wait() == 0
    await postgres.drop(name)


async def test_rebuild_says_what_it_put_into_redis(
    server: Leaderboard, database_url: str, redis_url: str, redis: Redis
) -> None:
    await server.board(windows=["all_time", "daily"])
    await server.submit(*(score(f"p{number}", number) for number in range(6)))
    await redis.flushall()
    code, said = await run("rebuild", DATABASE_URL=database_url, REDIS_URL=redis_url)
    assert code == 0
    lines = [line for line in said.splitlines() if line.startswith("lb:")]
    assert [line.split(":")[3] for line in lines] == ["score", "score"]
    assert all(line.endswith(": 6") for line in lines)
    assert ranks((await server.top(limit=3)).entries) == BY_SCORE


async def test_rebuild_without_redis_fails(database_url: str, server: Leaderboard) -> None:
    await server.board()
    await server.submit(score("ann", 1))
    code, said = await run("rebuild", DATABASE_URL=database_url, REDIS_URL="redis://127.0.0.1:1/0")
    assert (code, "redis is away" in said) == (1, True)


def test_a_data_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    data = Path(shutil.copytree(DATA, tmp_path / "data"))
    (data / "boards" / "kills.json").write_text('{"operator": "OPERATOR_SUM", "windows": ["hourly"]}')
    with pytest.raises(ValueError, match=r"kills\.json: board\.windows|kills\.json: windows"):
        read(data)


async def test_without_redis_everything_is_answered_by_postgresql(
    database_url: str, own_redis: RedisServer
) -> None:
    """Then Redis comes back empty, and has the order again by itself."""
    base = {"database_url": database_url, "redis_url": own_redis.url, "redis_retry_s": 0.05}
    async with leaderboard(**base) as server:
        await server.board(tie_policy="TIE_POLICY_SHARED_DENSE")
        await server.submit(*(score(f"p{number}", number) for number in range(3)))
        own_redis.kill()
        assert (
            await server.submit(*(score(f"p{number}", number) for number in range(3, 6))) == ["counted"] * 3
        )
        assert ranks((await server.top(limit=3)).entries) == BY_SCORE
        assert ranks((await server.around("p4", limit=3)).entries) == BY_SCORE
        assert ranks((await server.players("p3", "p4", "p5")).entries) == BY_SCORE
        assert (await fetch(f"{server.admin}/ready"))[0] == 200
        own_redis.start()

        async def from_redis() -> bool:
            before = LEADERBOARD_READS.labels("redis")._value.get()
            assert ranks((await server.top(limit=3)).entries) == BY_SCORE
            return bool(LEADERBOARD_READS.labels("redis")._value.get() > before)

        await eventually(from_redis)
        await server.submit(score("p0", 9))
        assert ranks((await server.top(limit=1)).entries) == [(1, "p0", 9)]


async def test_without_postgresql_ranks_are_read_and_no_score_is_taken(
    postgres: Postgres, database_url: str, redis_url: str
) -> None:
    """Streams go on, and what was refused counts once when it is sent again."""
    base = {"database_url": database_url, "redis_url": redis_url, "database_wait_s": 0.5}
    async with leaderboard(**base) as server:
        await server.board(operator="OPERATOR_SUM")
        await server.submit(score("ann", 5))
        call = server.stub.WatchLeaderboard(leaderboard_service_pb2.WatchLeaderboardRequest())
        await call.read()

        async def from_redis() -> bool:
            before = LEADERBOARD_READS.labels("redis")._value.get()
            await server.top()
            return bool(LEADERBOARD_READS.labels("redis")._value.get() > before)

        await eventually(from_redis)
        postgres.stop()
        try:
            away = server.submit(score("ann", 7), request_id="r1")
            await refused(away, grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
            assert ranks((await server.top()).entries) == [(1, "ann", 5)]
            assert ranks((await server.around("ann")).entries) == [(1, "ann", 5)]
        finally:
            postgres.start()

        async def taken() -> bool:
            try:
                return await server.submit(score("ann", 7), request_id="r1") == ["counted"]
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                return False

        await eventually(taken)
        answer = await call.read()
        assert isinstance(answer, leaderboard_service_pb2.WatchLeaderboardResponse)
        assert ranks(answer.entries) == [(1, "ann", 12)]
        assert await server.submit(score("ann", 7), request_id="r1") == ["counted"]
        assert ranks((await server.top()).entries) == [(1, "ann", 12)]
        call.cancel()


async def test_a_period_becomes_final_by_itself(server: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it changes from then on, and it stays readable."""
    await server.board(windows=["seasonal"], grace="0s")
    now = clock.now()
    times = [(now + timedelta(seconds=each)).isoformat().replace("+00:00", "Z") for each in (-60, 3600)]
    await server.season("short", *times)
    await server.submit(score("ann", 3), score("ben", 5))
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=2))
    asked = {"window": "seasonal", "season": "short"}

    async def final() -> bool:
        return bool((await server.top(**asked)).period.final)

    await eventually(final)
    answer = await server.top(**asked)
    assert ranks(answer.entries) == [(1, "ben", 5), (2, "ann", 3)]
    assert (answer.period.entries, len(answer.period.checksum)) == (2, 64)
    assert list((await server.periods()).periods) == [answer.period]
    call = server.top(window="seasonal")
    await refused(call, grpc.StatusCode.NOT_FOUND, "SEASON_NOT_FOUND")
    assert await server.submit(score("ann", 9, occurred_at=times[0])) == ["late"]
    assert (await server.top(**asked)).entries == answer.entries

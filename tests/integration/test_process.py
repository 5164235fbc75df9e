"""The worker as a process: subcommands, admin port, metrics, graceful stop."""

import asyncio
import json
import signal

import asyncpg
import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, session_pb2

from tests.support import redis as redis_server
from tests.support import tokens
from tests.support.postgres import Postgres
from tests.support.process import fetch, run, serving
from tests.support.refusals import reason
from tests.support.worker import Worker, worker

# -- subcommands --------------------------------------------------------------------------------------


async def test_migrate_then_check(postgres: Postgres, redis_url: str) -> None:
    name = await postgres.clone("template1")
    variables = {"DATABASE_URL": postgres.url(name), "REDIS_URL": redis_url}
    code, said = await run("check", **variables)
    assert (code, "run `migrate`" in said) == (1, True)
    code, said = await run("serve", **variables)
    assert (code, "run `migrate`" in said) == (1, True)
    assert (await run("migrate", **variables))[0] == 0
    assert (await run("check", **variables))[0] == 0
    await postgres.drop(name)


async def test_bad_settings_are_all_named() -> None:
    code, said = await run("serve", PORT="x", ENVIRONMENT="production", RECONNECT_SECONDS="0")
    assert code == 2
    assert [line.split(":")[0] for line in said.splitlines()] == ["PORT", "RECONNECT_SECONDS"]


async def test_the_development_secret_stays_in_development() -> None:
    code, said = await run("serve", ENVIRONMENT="production")
    assert code == 2
    assert said.startswith("JWT_SECRET:")


async def test_no_database(redis_url: str) -> None:
    url = "postgresql://ann:hunter2@127.0.0.1:1/x"
    code, said = await run("serve", DATABASE_URL=url, REDIS_URL=redis_url)
    assert code == 1
    assert "cannot go on" in said
    assert "hunter2" not in said


async def test_a_port_that_is_taken(combat: Worker, database_url: str, redis_url: str) -> None:
    taken = str(combat.server.port)
    code, said = await run("serve", DATABASE_URL=database_url, REDIS_URL=redis_url, PORT=taken)
    assert code == 1
    assert taken in said


# -- stopping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_graceful_stop(database_url: str, redis_url: str, number: signal.Signals) -> None:
    variables = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "DRAIN_S": "2"}
    async with (
        serving(**variables) as (process, ports),
        grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}") as channel,
    ):
        client = Worker(None, channel)  # type: ignore[arg-type]
        session = await client.create()
        await client.join(session.session_id, "ann")
        await client.begin(session.session_id)
        stream = await client.play(session.session_id, tokens.player("ann"))
        process.send_signal(number)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.rest()
        assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "SESSION_MOVED")
        notices = [notice.kind for answer in stream.seen for notice in answer.notices]
        assert notices == [play_pb2.NOTICE_KIND_MOVED]
        async with asyncio.timeout(10):
            _, said = await process.communicate()
        assert process.returncode == 0
        assert "stopped" in said.decode()
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow("SELECT status, owner, epoch FROM gameplay.combat_sessions")
    assert row and tuple(row) == ("ACTIVE", "", 1)
    assert await connection.fetchval("SELECT count(*) FROM gameplay.combat_workers") == 0
    await connection.close()


# -- the admin port -----------------------------------------------------------------------------------


async def test_health_and_readiness(combat: Worker) -> None:
    assert await fetch(f"{combat.admin}/health") == (200, '{"status": "ok"}')
    status, body = await fetch(f"{combat.admin}/ready")
    assert status == 200
    assert json.loads(body)["checks"] == {"postgresql": "ok", "redis": "ok"}


async def readiness(combat: Worker) -> tuple[int, str, str]:
    """The status code, the status, and the state of Redis; PostgreSQL must be well."""
    code, body = await fetch(f"{combat.admin}/ready")
    document = json.loads(body)
    assert document["checks"]["postgresql"] == "ok"
    return code, document["status"], document["checks"]["redis"].split(":")[0]


async def test_combat_does_without_redis_from_the_start(database_url: str) -> None:
    async with worker(database_url=database_url, redis_url="redis://127.0.0.1:1/0") as combat:
        assert await readiness(combat) == (200, "degraded", "failed")
        assert (await combat.create()).status == session_pb2.SESSION_STATUS_WAITING


async def test_redis_dies_hangs_and_comes_back_under_a_match(database_url: str) -> None:
    limits = {"bus_timeout_s": 0.2}
    with redis_server.server() as redis:
        async with worker(database_url=database_url, redis_url=redis.url, **limits) as combat:
            session = await combat.create()
            await combat.join(session.session_id, "ann")
            await combat.begin(session.session_id)
            stream = await combat.play(session.session_id, tokens.game_server())
            sequence = 0

            async def told() -> None:
                """A verdict that is durable, and a call."""
                nonlocal sequence
                sequence += 1
                damage = play_pb2.Damage(
                    target=0, amount_milli=1, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True
                )
                command = play_pb2.Command(slot=0, sequence=sequence, damage=damage)
                (verdict,) = await stream.commands(command)
                assert (verdict.sequence, verdict.journal_sequence > 0) == (sequence, True)
                assert (await combat.get(session.session_id)).player_count == 1

            await told()
            assert await readiness(combat) == (200, "ok", "ok")
            await asyncio.to_thread(redis.kill)
            await told()
            assert await readiness(combat) == (200, "degraded", "failed")
            await asyncio.to_thread(redis.start)
            assert await readiness(combat) == (200, "ok", "ok")
            redis.pause()
            await told()
            assert await readiness(combat) == (200, "degraded", "failed")
            await told()
            redis.resume()
            assert await readiness(combat) == (200, "ok", "ok")
            await told()


async def test_not_ready_while_draining(combat: Worker) -> None:
    combat.server.drain()
    status, body = await fetch(f"{combat.admin}/ready")
    assert (status, json.loads(body)["checks"]["process"]) == (503, "draining")


async def test_a_profile(combat: Worker) -> None:
    status, body = await fetch(f"{combat.admin}/debug/profile?seconds=0.1")
    assert status == 200
    stack, count = body.splitlines()[0].rsplit(" ", 1)
    assert "asyncio" in stack
    assert int(count) >= 1
    for bad in ("0", "-1", "61", "x", "nan"):
        assert (await fetch(f"{combat.admin}/debug/profile?seconds={bad}"))[0] == 400


def metric(text: str, name: str) -> float:
    """Sum of a metric's samples; a labelled one has none before its first use."""
    assert f"# TYPE {name.removesuffix('_count')} " in text
    samples = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(sample.rsplit(" ", 1)[1]) for sample in samples)


async def test_metrics_carry_the_names_of_the_source(combat: Worker) -> None:
    async def scrape() -> str:
        return (await fetch(f"{combat.admin}/metrics"))[1]

    session = await combat.create()
    await combat.join(session.session_id, "ann")
    await combat.begin(session.session_id)
    before = await scrape()
    stream = await combat.play(session.session_id, tokens.game_server())
    damage = play_pb2.Damage(target=0, amount_milli=1000, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True)
    await stream.commands(play_pb2.Command(slot=0, sequence=1, damage=damage))
    await combat.create()
    with pytest.raises(grpc.aio.AioRpcError):
        await combat.get("none")
    after = await scrape()

    def grown(name: str) -> float:
        return metric(after, name) - metric(before, name)

    assert grown("combat_sessions_created_total") == 1
    assert grown("combat_active_sessions") == 1
    assert grown("combat_damage_events_total") >= 1
    assert grown("combat_commands_total") == 1
    assert grown("combat_errors_total") == 1
    assert grown("combat_request_duration_seconds_count") >= 2
    assert grown("grpc_server_handled_total") >= 2
    assert grown("grpc_server_started_total") >= 3
    for name in ("combat_tick_seconds_count", "combat_tick_late_seconds_count", "combat_queue_bytes_count"):
        assert metric(after, name) >= 1
    assert 'grpc_code="NOT_FOUND"' in after

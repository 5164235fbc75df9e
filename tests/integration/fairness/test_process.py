"""The service as a process, and without its database."""

from __future__ import annotations

import json
import signal
from functools import partial
from typing import Any

import grpc
from arenamesh.liveops.v1 import fairness_service_pb2, fairness_service_pb2_grpc

from services.chassis.bus.port import Bus
from services.fairness.detectors import read
from services.fairness.settings import FairnessSettings
from tests.support import process
from tests.support.fairness import fairness, played, refused
from tests.support.postgres import Postgres
from tests.support.process import fetch, serving
from tests.support.tokens import operator
from tests.support.waiting import eventually

run = partial(process.run, service="fairness")


async def test_from_an_empty_database_to_an_audit(postgres: Postgres, redis_url: str) -> None:
    name = await postgres.clone("template1")
    variables = {"DATABASE_URL": postgres.url(name), "REDIS_URL": redis_url}
    data = sorted(each.id for each in read(FairnessSettings().data_dir))
    code, said = await run("migrate", **variables)
    assert code == 0
    assert json.loads(said.splitlines()[-1])["detectors_installed"] == data
    async with serving(service="fairness", **variables) as (serving_process, ports):
        status, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/ready")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        assert (await fetch(f"http://127.0.0.1:{ports['admin_port']}/healthz"))[0] == 200
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            stub: fairness_service_pb2_grpc.FairnessServiceAsyncStub
            stub = fairness_service_pb2_grpc.FairnessServiceStub(channel)
            detectors = fairness_service_pb2.ListDetectorsRequest()
            answer = await stub.ListDetectors(detectors, metadata=operator())
            assert [each.id for each in answer.detectors] == data
            block = fairness_service_pb2.BlockPlayerRequest(player_id="ann", reason="Insults.")
            await stub.BlockPlayer(block, metadata=operator())
            _, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/metrics")
            assert 'fairness_request_duration_seconds_count{method="BlockPlayer"} 1.0' in text
        serving_process.send_signal(signal.SIGTERM)
        assert await serving_process.wait() == 0
    code, said = await run("audit", "--json", **variables)
    assert code == 0
    found = json.loads(next(line for line in said.splitlines() if line.startswith('{"lines"')))
    assert (found["lines"], found["sanctions"], found["differing"]) == (len(data) + 1, 1, 0)
    await postgres.drop(name)


async def test_without_postgresql_nothing_is_found_and_nothing_is_lost(
    postgres: Postgres, database_url: str, redis_url: str, bus: Bus
) -> None:
    base: dict[str, Any] = {"database_url": database_url, "redis_url": redis_url, "bus_kind": "redis"}
    soon = {"database_wait_s": 0.5, "database_open_s": 0.1, "bus_max_backoff_s": 0.1}
    async with fairness(**base, **soon) as server:
        await server.detector(quarantine=True)
        postgres.stop()
        try:
            away = server.block("ann", request_id="r1")
            await refused(away, grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
            await bus.publish("game.combat.events", [played("eve", shots=11)])
        finally:
            postgres.start()

        async def back() -> bool:
            """Writes and reads have connections of their own, which come back each in its time."""
            try:
                await server.flags(player_id="eve")
                return bool((await server.block("ann", request_id="r1")).sanctions)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                return False

        await eventually(back)
        assert len((await server.block("ann", request_id="r1")).sanctions) == 1

        async def found() -> bool:
            return bool((await server.flags(player_id="eve")).flags)

        await eventually(found)
        assert (await server.flag_of("eve")).occurrences == 1

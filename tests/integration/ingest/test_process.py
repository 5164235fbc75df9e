"""The service as a process: what it refuses to start with, a graceful stop."""

import json
import signal
from functools import partial

import grpc
import pytest
from arenamesh.liveops.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from google.api import httpbody_pb2  # type: ignore[import-untyped]

from services.ingest.settings import IngestSettings
from tests.support import process
from tests.support.ingest import body, settings, signature
from tests.support.postgres import Postgres
from tests.support.process import fetch, serving

SECRET = "a-secret-of-a-studio-with-enough-bytes"
run = partial(process.run, service="ingest")


async def test_from_an_empty_database_to_a_graceful_stop(postgres: Postgres, redis_url: str) -> None:
    name = await postgres.clone("template1")
    variables = {
        "DATABASE_URL": postgres.url(name),
        "REDIS_URL": redis_url,
        "BUS_KIND": "inmem",
        "HMAC_SECRET": SECRET,
    }
    code, said = await run("check", **variables)
    assert (code, "run `migrate`" in said) == (1, True)
    assert (await run("migrate", **variables))[0] == 0
    async with serving(service="ingest", **variables) as (serving_process, ports):
        status, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/ready")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            stub: ingest_service_pb2_grpc.IngestServiceAsyncStub
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            request = ingest_service_pb2.PostEventRequest(body=httpbody_pb2.HttpBody(data=body()))
            answer = await stub.PostEvent(request, metadata=(("x-signature", signature(body(), SECRET)),))
            assert answer.event_id
        _, text = await fetch(f"http://127.0.0.1:{ports['admin_port']}/metrics")
        assert 'ingest_events_total{outcome="accepted"} 1.0' in text
        assert "ingest_commit_requests_count 1.0" in text
        serving_process.send_signal(signal.SIGTERM)
        assert await serving_process.wait() == 0


async def test_without_its_keys_it_does_not_start() -> None:
    code, said = await run("serve", ENVIRONMENT="production", JWT_SECRET="j" * 32)
    assert (code, "HMAC_SECRET" in said) == (2, True)


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"idempotency_hours": 0.16}, "IDEMPOTENCY_HOURS"),
        ({"hmac_secret": "short"}, "HMAC_SECRET"),
        ({"ingest_keys": "{"}, "INGEST_KEYS"),
        ({"max_message_bytes": 65_536}, "MAX_MESSAGE_BYTES"),
        ({"player_rate": 1, "player_burst": 2**51}, "PLAYER_BURST"),
        ({"producer_rate": 1, "producer_burst": 2**51}, "PRODUCER_BURST"),
    ],
)
def test_settings_that_are_wrong(changes: dict[str, object], variable: str) -> None:
    assert [fault.split("[")[0].split(":")[0] for fault in settings(**changes).faults()] == [variable]


def test_a_signature_of_the_body_only_is_for_development_unless_it_is_asked_for() -> None:
    secrets = {"jwt_secret": "j" * 32, "hmac_secret": SECRET}
    production = IngestSettings(environment="production", **secrets)  # type: ignore[arg-type]
    asked = IngestSettings(environment="production", body_signatures=True, **secrets)  # type: ignore[arg-type]
    assert not production.faults()
    allowed = [each.allows_body_signatures for each in (settings(), production, asked)]
    assert allowed == [True, False, True]

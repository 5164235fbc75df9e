"""Every RPC through real gRPC, good and bad."""

from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.progression import Progression


async def test_it_says_that_it_serves(server: Progression) -> None:
    request = health_pb2.HealthCheckRequest(service="arenamesh.progression.v1.ProgressionService")
    answer = await health_pb2_grpc.HealthStub(server.channel).Check(request)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING

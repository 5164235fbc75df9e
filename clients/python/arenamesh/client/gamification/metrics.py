"""Metrics: what is counted, what happened, what looked impossible, and how everything fares."""

from __future__ import annotations

from collections.abc import AsyncIterator

from arenamesh.client.calls import Caller, key
from arenamesh.gamification.v1 import metric_pb2, metric_service_pb2, metric_service_pb2_grpc


class Metrics:
    """A metric cannot be changed once it is defined."""

    def __init__(self, stub: metric_service_pb2_grpc.MetricServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    async def record(
        self, *records: metric_pb2.MetricRecord, request_id: str = ""
    ) -> list[metric_pb2.RecordOutcome]:
        """Things that happened, each by itself, in order. For game servers and services.

        A record with an `event_id` counts once however often it is sent, by whichever call.
        """
        request = metric_service_pb2.RecordMetricsRequest(records=records, request_id=request_id or key())
        return list((await self._caller.call(self._stub.RecordMetrics, request, retry=True)).outcomes)

    # -- for tools ------------------------------------------------------------------------------

    async def define(self, metric: metric_pb2.Metric, *, request_id: str = "") -> metric_pb2.Metric:
        """For operators and services."""
        request = metric_service_pb2.CreateMetricRequest(metric=metric, request_id=request_id or key())
        return (await self._caller.call(self._stub.CreateMetric, request, retry=True)).metric

    async def all(self) -> AsyncIterator[metric_pb2.Metric]:
        """By id, page after page as wanted."""
        request = metric_service_pb2.ListMetricsRequest()
        async for page in self._caller.pages(self._stub.ListMetrics, request):
            for metric in page.metrics:
                yield metric

    async def quarantined(self, user_id: str = "") -> AsyncIterator[metric_pb2.QuarantinedGain]:
        """Gains that no honest player has, the newest first: of one player, or of all."""
        request = metric_service_pb2.ListQuarantinedGainsRequest(user_id=user_id)
        async for page in self._caller.pages(self._stub.ListQuarantinedGains, request):
            for gain in page.gains:
                yield gain

    async def resolve(
        self,
        id: str,  # noqa: A002
        *,
        release: bool,
        request_id: str = "",
    ) -> metric_pb2.RecordOutcome:
        """Lets a quarantined gain count, as of when it happened, or throws it away."""
        request = metric_service_pb2.ResolveQuarantinedGainRequest(
            id=id, release=release, request_id=request_id or key()
        )
        return (await self._caller.call(self._stub.ResolveQuarantinedGain, request, retry=True)).outcome

    async def analytics(
        self, *, achievement_id: str = "", quest_id: str = ""
    ) -> metric_service_pb2.GetAnalyticsResponse:
        """How many began, completed, were paid, and how long it took: of one, or of all."""
        request = metric_service_pb2.GetAnalyticsRequest(achievement_id=achievement_id, quest_id=quest_id)
        return await self._caller.call(self._stub.GetAnalytics, request, retry=True)

"""MetricService between the contract and the domain: only translation."""

from collections import Counter

from arenamesh.gamification.v1 import metric_pb2, metric_service_pb2

from services.chassis import clock, paging
from services.chassis.auth import principal
from services.chassis.errors import NotFound
from services.chassis.method import Context
from services.chassis.metrics import GAMIFICATION_RECORDS
from services.chassis.times import to_time
from services.gamification import translate_out
from services.gamification.access import user_of
from services.gamification.analytics import analytics
from services.gamification.commands import Asked, Commands, Record
from services.gamification.definition_commands import DefinitionCommands
from services.gamification.definitions import Writing
from services.gamification.definitions_store import Definitions
from services.gamification.domain.observation import Observation
from services.gamification.queries import LAST, Queries
from services.gamification.shelf import Shelf


class MetricServicer:
    """Every RPC of the service."""

    def __init__(
        self,
        definitions: Definitions,
        writing: DefinitionCommands,
        commands: Commands,
        queries: Queries,
    ) -> None:
        self._definitions = definitions
        self._writing = writing
        self._commands = commands
        self._queries = queries

    async def CreateMetric(
        self, request: metric_service_pb2.CreateMetricRequest, context: Context
    ) -> metric_service_pb2.CreateMetricResponse:
        def answer(shelf: Shelf) -> bytes:
            shown = shelf.metrics[request.metric.id]
            return metric_service_pb2.CreateMetricResponse(metric=shown).SerializeToString()

        def rule(writing: Writing) -> None:
            writing.metric(request.metric)

        stored = await self._writing.write(Asked.of(request, context).key, rule, answer)
        return metric_service_pb2.CreateMetricResponse.FromString(stored)

    async def ListMetrics(
        self, request: metric_service_pb2.ListMetricsRequest, _context: Context
    ) -> metric_service_pb2.ListMetricsResponse:
        query = "metrics"
        size = paging.size(request.page_size)
        last = paging.decode(request.page_token, query, fields=1)
        shelf = await self._definitions.current()
        found = [each for each in shelf.metrics.values() if last is None or each.id > last[0]]
        page = found[:size]
        return metric_service_pb2.ListMetricsResponse(
            metrics=page,
            next_page_token=paging.encode([page[-1].id], query) if len(found) > size else "",
        )

    async def RecordMetrics(
        self, request: metric_service_pb2.RecordMetricsRequest, context: Context
    ) -> metric_service_pb2.RecordMetricsResponse:
        asked = Asked.of(request, context)
        records = [_record(each, number, asked) for number, each in enumerate(request.records)]
        stored = await self._commands.record(records, asked)
        answer = metric_service_pb2.RecordMetricsResponse.FromString(stored)
        for outcome, count in Counter(answer.outcomes).items():
            name = metric_pb2.RecordOutcome.Name(outcome).removeprefix("RECORD_OUTCOME_").lower()
            GAMIFICATION_RECORDS.labels(name).inc(count)
        return answer

    async def ListQuarantinedGains(
        self, request: metric_service_pb2.ListQuarantinedGainsRequest, _context: Context
    ) -> metric_service_pb2.ListQuarantinedGainsResponse:
        query = f"gains {request.user_id}"
        size = paging.size(request.page_size)
        before = paging.decode_place(request.page_token, query) or LAST
        found = await self._queries.gains(request.user_id, before, size + 1)
        page = found[:size]
        last = page[-1] if len(found) > size else None
        return metric_service_pb2.ListQuarantinedGainsResponse(
            gains=[translate_out.gain(*each) for each in page],
            next_page_token=paging.encode_place(last.created_at, last.gain.id, query) if last else "",
        )

    async def ResolveQuarantinedGain(
        self, request: metric_service_pb2.ResolveQuarantinedGainRequest, context: Context
    ) -> metric_service_pb2.ResolveQuarantinedGainResponse:
        user_id = await self._queries.gain_user(request.id)
        if user_id is None:
            raise NotFound(
                "There is no such gain.", reason="GAIN_NOT_FOUND", metadata={"gain_id": request.id}
            )
        stored = await self._commands.resolve(
            request.id, user_id, Asked.of(request, context), release=request.release
        )
        return metric_service_pb2.ResolveQuarantinedGainResponse.FromString(stored)

    async def GetAnalytics(
        self, request: metric_service_pb2.GetAnalyticsRequest, _context: Context
    ) -> metric_service_pb2.GetAnalyticsResponse:
        shelf = await self._definitions.current()
        return await analytics(shelf, self._queries, request.achievement_id, request.quest_id)


def _record(message: metric_pb2.MetricRecord, number: int, asked: Asked) -> Record:
    at = clock.now()
    if message.HasField("occurred_at"):
        at = to_time(message.occurred_at, f"records[{number}].occurred_at")
    caller = asked.caller.subject
    event = f"{caller}/{message.event_id}" if message.event_id else f"{caller}/{asked.id}#{number}"
    return Record(
        user_of(message.user_id, principal()),
        Observation(
            metric=message.metric,
            value=message.value if message.HasField("value") else 1,
            member=message.member,
            at=at,
            event=event,
            cause=message.event_id or asked.cause,
        ),
        event if message.event_id else "",
    )

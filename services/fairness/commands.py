"""What people change, as commands on players: each decided by the rules of the domain, and answered in the
words of the contract."""

from collections.abc import Callable
from datetime import datetime

from arenamesh.liveops.v1 import fairness_service_pb2, flag_pb2
from google.protobuf.message import Message

from services.chassis.auth import principal
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.chassis.times import to_time
from services.fairness import translate_out
from services.fairness.batch import Command, Turn
from services.fairness.committer import Committer
from services.fairness.domain.flag import Verdict
from services.fairness.domain.player import Draft
from services.fairness.domain.sanction import State
from services.fairness.translate_in import no_nul

MOST_ACTOR = 255
"""Characters of an actor in the log."""


def actor() -> str:
    """Who calls, as the log names it."""
    caller = principal()
    return f"{caller.role.value}:{caller.subject}"[:MOST_ACTOR]


class Commands:
    """Every one is durable when it returns. What it answered is what a repetition gets. Each raises what the
    rules say (`Draft`), and what `Committer.run` does; then nothing happened."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def decide(
        self, request: fairness_service_pb2.DecideFlagRequest, player_id: str, context: Context
    ) -> fairness_service_pb2.DecideFlagResponse:
        """A flag of that player."""
        no_nul(request.reason, "reason")
        block_until = _time(request, "block_until")

        def decided(draft: Draft, turn: Turn) -> Message:
            flag = draft.decide(request.flag_id, Verdict(request.decision), request.reason, block_until)
            return fairness_service_pb2.DecideFlagResponse(
                flag=translate_out.flag(flag), standing=_standing(draft, turn)
            )

        stored = await self._run(request, player_id, decided, context)
        return fairness_service_pb2.DecideFlagResponse.FromString(stored)

    async def appeal(
        self, request: fairness_service_pb2.AppealFlagRequest, player_id: str, context: Context
    ) -> fairness_service_pb2.AppealFlagResponse:
        """Against a flag of that player, who is the caller."""
        no_nul(request.text, "text")

        def appealed(draft: Draft, turn: Turn) -> Message:
            draft.appeal(request.flag_id, request.text)
            return fairness_service_pb2.AppealFlagResponse(standing=_standing(draft, turn))

        stored = await self._run(request, player_id, appealed, context)
        return fairness_service_pb2.AppealFlagResponse.FromString(stored)

    async def block(
        self, request: fairness_service_pb2.BlockPlayerRequest, context: Context
    ) -> fairness_service_pb2.BlockPlayerResponse:
        no_nul(request.reason, "reason")
        until = _time(request, "until")
        state = State(request.state or State.BLOCKED)

        def blocked(draft: Draft, turn: Turn) -> Message:
            draft.block(request.reason, state, until, hide_scores=request.hide_scores)
            return fairness_service_pb2.BlockPlayerResponse(standing=_standing(draft, turn))

        stored = await self._run(request, request.player_id, blocked, context)
        return fairness_service_pb2.BlockPlayerResponse.FromString(stored)

    async def unblock(
        self, request: fairness_service_pb2.UnblockPlayerRequest, context: Context
    ) -> fairness_service_pb2.UnblockPlayerResponse:
        no_nul(request.reason, "reason")

        def unblocked(draft: Draft, turn: Turn) -> Message:
            draft.unblock(request.reason)
            return fairness_service_pb2.UnblockPlayerResponse(standing=_standing(draft, turn))

        stored = await self._run(request, request.player_id, unblocked, context)
        return fairness_service_pb2.UnblockPlayerResponse.FromString(stored)

    async def _run(
        self,
        request: fairness_service_pb2.DecideFlagRequest
        | fairness_service_pb2.AppealFlagRequest
        | fairness_service_pb2.BlockPlayerRequest
        | fairness_service_pb2.UnblockPlayerRequest,
        player_id: str,
        change: Callable[[Draft, Turn], Message],
        context: Context,
    ) -> bytes:
        def decide(turn: Turn) -> bytes:
            return change(turn.player(player_id), turn).SerializeToString()

        # A key is of a method: requests are named after theirs.
        method = request.DESCRIPTOR.name.removesuffix("Request")
        key = key_of(context, method, request, request.request_id)
        traceparent = str(dict(context.invocation_metadata() or ()).get("traceparent", ""))
        return await self._committer.run(
            Command((player_id,), decide, actor=actor(), key=key, traceparent=traceparent)
        )


def _standing(draft: Draft, turn: Turn) -> flag_pb2.Standing:
    player = draft.player
    return translate_out.standing(player.id, player.sanctions.values(), player.flags, turn.now)


def _time(request: Message, name: str) -> datetime | None:
    """Raises InvalidArgument for a time that no calendar has."""
    if not request.HasField(name):
        return None
    return to_time(getattr(request, name), name)

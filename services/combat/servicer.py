"""CombatService between the contract and the domain: only translation."""

import re
from collections.abc import AsyncIterator
from typing import Any

from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2, snapshot_pb2, spectate_pb2, verdict_pb2
from google.protobuf.message import Message

from native.arena import ALL_SLOTS
from services.chassis import clock, paging
from services.chassis.auth import Principal, Role, principal
from services.chassis.errors import InvalidArgument, PermissionDenied
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.combat.live.match import Match
from services.combat.live.play import Play, seats
from services.combat.live.sessions import Sessions
from services.combat.replay.evidence import Evidence, Filter
from services.combat.replay.proof import Prover
from services.combat.replay.spectate import Spectate
from services.combat.replay.stream import Replay
from services.combat.statistics.queries import Statistics
from services.combat.translate import status_of, to_change, to_draft, to_message, type_of

_PLAYER_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")


class CombatServicer:
    """Every RPC of `arenamesh.combat.v1.CombatService`. Play and Spectate write bytes; see the chassis."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        play: Play,
        spectate: Spectate,
        replay: Replay,
        prover: Prover,
        evidence: Evidence,
        statistics: Statistics,
    ) -> None:
        self._sessions = sessions
        self._play = play
        self._spectate = spectate
        self._replay = replay
        self._prover = prover
        self._evidence = evidence
        self._statistics = statistics

    # -- sessions ---------------------------------------------------------------------------------

    async def ListSessions(
        self, request: service_pb2.ListSessionsRequest, _context: Context
    ) -> service_pb2.ListSessionsResponse:
        query = f"sessions {request.status} {request.type}"
        size = paging.size(request.page_size)
        rows = await self._sessions.list(
            status=status_of(request.status),
            type_=type_of(request.type),
            after=paging.decode_place(request.page_token, query),
            limit=size + 1,
        )
        page = rows[:size]
        last = page[-1] if len(rows) > size else None
        return service_pb2.ListSessionsResponse(
            sessions=map(to_message, page),
            next_page_token=paging.encode_place(last.created_at, last.session_id, query) if last else "",
        )

    async def CreateSession(
        self, request: service_pb2.CreateSessionRequest, context: Context
    ) -> service_pb2.CreateSessionResponse:
        metadata = _metadata(context)
        asked = metadata.get("x-request-id", "")
        answer = await self._sessions.create(
            to_draft(request.session),
            asked if clock.is_id(asked) else clock.new_id(),
            key_of(context, "CreateSession", request, request.request_id),
            lambda session: _encode(service_pb2.CreateSessionResponse(session=to_message(session))),
        )
        return service_pb2.CreateSessionResponse.FromString(answer)

    async def GetSession(
        self, request: service_pb2.GetSessionRequest, _context: Context
    ) -> service_pb2.GetSessionResponse:
        session = await self._sessions.get(request.session_id)
        return service_pb2.GetSessionResponse(session=to_message(session))

    async def UpdateSession(
        self, request: service_pb2.UpdateSessionRequest, context: Context
    ) -> service_pb2.UpdateSessionResponse:
        current = to_message(await self._sessions.get(request.session_id))
        answer = await self._sessions.update(
            request.session_id,
            to_change(request.session, request.update_mask, current),
            key_of(context, "UpdateSession", request),
            lambda session: _encode(service_pb2.UpdateSessionResponse(session=to_message(session))),
        )
        return service_pb2.UpdateSessionResponse.FromString(answer)

    async def EndSession(
        self, request: service_pb2.EndSessionRequest, context: Context
    ) -> service_pb2.EndSessionResponse:
        answer = await self._sessions.end(
            request.session_id,
            key_of(context, "EndSession", request),
            lambda session: _encode(service_pb2.EndSessionResponse(session=to_message(session))),
        )
        return service_pb2.EndSessionResponse.FromString(answer)

    async def JoinSession(
        self, request: service_pb2.JoinSessionRequest, _context: Context
    ) -> service_pb2.JoinSessionResponse:
        player = _acting(request.player_id)
        match, slot = await self._sessions.join(request.session_id, player, request.team)
        return service_pb2.JoinSessionResponse(
            seat=snapshot_pb2.Seat(slot=slot, player_id=player, team=match.arena.team(slot)),
            session=to_message(match.current),
        )

    async def LeaveSession(
        self, request: service_pb2.LeaveSessionRequest, _context: Context
    ) -> service_pb2.LeaveSessionResponse:
        kicked = principal().role is Role.OPERATOR
        reason = event_pb2.LEAVE_REASON_KICKED if kicked else event_pb2.LEAVE_REASON_LEFT
        await self._sessions.leave(request.session_id, _acting(request.player_id), reason)
        return service_pb2.LeaveSessionResponse()

    # -- commands ---------------------------------------------------------------------------------

    async def ApplyDamage(
        self, request: service_pb2.ApplyDamageRequest, _context: Context
    ) -> service_pb2.ApplyDamageResponse:
        match = await self._sessions.match(request.session_id)
        command = play_pb2.Command(view_tick=request.view_tick, view_fraction=request.view_fraction)
        if request.HasField("shot"):
            command.shot.CopyFrom(request.shot)
        else:
            command.damage.CopyFrom(request.direct)
        verdict = await _judge(match, request.player_id, request.sequence, command)
        return service_pb2.ApplyDamageResponse(verdict=verdict)

    async def ExecuteAction(
        self, request: service_pb2.ExecuteActionRequest, _context: Context
    ) -> service_pb2.ExecuteActionResponse:
        match = await self._sessions.match(request.session_id)
        command = play_pb2.Command(action=request.action)
        verdict = await _judge(match, request.player_id, request.sequence, command)
        return service_pb2.ExecuteActionResponse(verdict=verdict)

    async def UpdatePosition(
        self, request: service_pb2.UpdatePositionRequest, _context: Context
    ) -> service_pb2.UpdatePositionResponse:
        match = await self._sessions.match(request.session_id)
        command = play_pb2.Command(move=request.move)
        verdict = await _judge(match, request.player_id, request.sequence, command)
        return service_pb2.UpdatePositionResponse(verdict=verdict)

    async def GetState(
        self, request: service_pb2.GetStateRequest, _context: Context
    ) -> service_pb2.GetStateResponse:
        match = await self._sessions.match(request.session_id)
        caller = principal()
        own = match.arena.seat(caller.subject) if caller.role is Role.PLAYER else ALL_SLOTS
        shown = play_pb2.PlayResponse.FromString(match.arena.snapshot(own if own >= 0 else ALL_SLOTS, 0))
        return service_pb2.GetStateResponse(
            session=to_message(match.current),
            server_time_us=shown.server_time_us,
            snapshot=shown.snapshot,
            seats=seats(match, numbered=False),
            state_hash=f"{match.arena.state_hash():016x}",
        )

    # -- streams ----------------------------------------------------------------------------------

    async def Play(self, _requests: AsyncIterator[Any], context: Context) -> None:
        await self._play.serve(context, principal())

    async def Spectate(self, request: spectate_pb2.SpectateRequest, context: Context) -> None:
        await self._spectate.serve(request, context, principal())

    # -- what needs the journal -------------------------------------------------------------------

    async def GetReplay(self, request: service_pb2.GetReplayRequest, context: Context) -> None:
        await self._replay.serve(request, context, principal())

    async def VerifyReplay(
        self, request: service_pb2.VerifyReplayRequest, _context: Context
    ) -> service_pb2.VerifyReplayResponse:
        proof = await self._prover.verify(request.session_id)
        return service_pb2.VerifyReplayResponse(
            verified=not proof.difference,
            records=proof.records,
            checkpoints=proof.checkpoints,
            first_difference_sequence=proof.sequence,
            first_difference=proof.difference,
            played_us=proof.played_us,
            took_us=proof.took_us,
        )

    async def ListVerdicts(
        self, request: service_pb2.ListVerdictsRequest, _context: Context
    ) -> service_pb2.ListVerdictsResponse:
        wanted = Filter(request.player_id, request.outcome, request.every_record)
        if wanted.every_record and (wanted.player_id or wanted.outcome):
            raise InvalidArgument.of("every_record", "does not go with player_id or outcome")
        query = f"verdicts {request.session_id} {wanted}"
        last = paging.decode_number(request.page_token, query)
        after = request.after_sequence if last is None else last
        page = await self._evidence.list(request.session_id, wanted, after, paging.size(request.page_size))
        return service_pb2.ListVerdictsResponse(
            records=page.records, next_page_token=paging.encode([str(page.last)], query) if page.more else ""
        )

    async def GetVerdict(
        self, request: service_pb2.GetVerdictRequest, _context: Context
    ) -> service_pb2.GetVerdictResponse:
        record, explanation = await self._evidence.get(request.session_id, request.sequence)
        return service_pb2.GetVerdictResponse(record=record, explanation=explanation)

    # -- statistics -------------------------------------------------------------------------------

    async def GetSessionStats(
        self, request: service_pb2.GetSessionStatsRequest, _context: Context
    ) -> service_pb2.GetSessionStatsResponse:
        return await self._statistics.session(request.session_id)

    async def GetPlayerStats(
        self, request: service_pb2.GetPlayerStatsRequest, _context: Context
    ) -> service_pb2.GetPlayerStatsResponse:
        return await self._statistics.player(request.player_id)


async def _judge(
    match: Match, player_id: str, sequence: int, command: play_pb2.Command
) -> verdict_pb2.Verdict:
    """One command on the way that Play's commands take; answered when its verdict is durable, if it must."""
    caller = principal()
    arena = match.arena
    command.slot = match.seat(_acting(player_id))
    command.sequence = sequence or arena.last_sequence(command.slot) + 1
    binding = command.slot if caller.role is Role.PLAYER else ALL_SLOTS
    frame = play_pb2.PlayRequest(commands=[command], acked_snapshot=arena.acked(binding))
    reply = arena.judge(match.now_us(), frame.SerializeToString(), binding)
    await match.durable_to(arena.awaits)
    return play_pb2.PlayResponse.FromString(reply).verdicts[0]


def _acting(player_id: str) -> str:
    """The player a call is about: a player's own subject, for others the one they name.

    Raises:
        PermissionDenied: NOT_YOURSELF.
        InvalidArgument: no player is named, or the token's subject is no player id.
    """
    caller: Principal = principal()
    if caller.role is not Role.PLAYER:
        if not player_id:
            raise InvalidArgument.of("player_id", f"a {caller.role.value} must name a player")
        return player_id
    if player_id not in ("", caller.subject):
        raise PermissionDenied(
            "A player acts only as itself.", reason="NOT_YOURSELF", metadata={"player_id": player_id}
        )
    if not _PLAYER_ID.fullmatch(caller.subject):
        raise InvalidArgument.of("player_id", "the token's subject is not a player id")
    return caller.subject


def _metadata(context: Context) -> dict[str, Any]:
    return dict(context.invocation_metadata() or ())


def _encode(message: Message) -> bytes:
    return message.SerializeToString()

"""The combat service's unary calls: whose session they are about, and which may be repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf import field_mask_pb2

from arenamesh.client.calls import Caller, key
from arenamesh.combat.v1 import (
    journal_pb2,
    play_pb2,
    service_pb2,
    service_pb2_grpc,
    session_pb2,
    snapshot_pb2,
    spectate_pb2,
    statistics_pb2,
    verdict_pb2,
)

T = TypeVar("T")
SessionType = session_pb2.SessionType
SessionStatus = session_pb2.SessionStatus

_PAGE = 1000


class Combat:
    """Every method raises a `MeshError` when it is refused or not answered within `deadline_s`."""

    def __init__(self, stub: service_pb2_grpc.CombatServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    # -- sessions -----------------------------------------------------------------------------

    async def create_session(
        self,
        name: str,
        *,
        type: session_pb2.SessionType = session_pb2.SESSION_TYPE_TRAINING,  # noqa: A002
        map_id: str = "",
        mode: str = "",
        ruleset: str = "",
        ruleset_version: int = 0,
        max_players: int = 0,
        min_players: int | None = None,
        tick_rate_hz: int = 0,
        spectator_delay_s: int = 0,
        request_id: str = "",
    ) -> session_pb2.Session:
        """A new session. Empty and 0 mean the mesh's defaults.

        Args:
            min_players: begins when so many have joined (1 by default); 0: only by `start_session`.
            request_id: the same id gives the same session again; a fresh one by default.
        """
        session = session_pb2.Session(
            name=name,
            type=type,
            map_id=map_id,
            game_mode=mode,
            max_players=max_players,
            min_players=min_players,
            tick_rate_hz=tick_rate_hz,
            spectator_delay_s=spectator_delay_s,
        )
        if ruleset:
            session.ruleset.name, session.ruleset.version = ruleset, ruleset_version
        request = service_pb2.CreateSessionRequest(request_id=request_id or key(), session=session)
        answer = await self._call(self._stub.CreateSession, request, retry=True)
        return answer.session

    async def get_session(self, session_id: str) -> session_pb2.Session:
        request = service_pb2.GetSessionRequest(session_id=session_id)
        return (await self._call(self._stub.GetSession, request, session_id, retry=True)).session

    async def list_sessions(
        self,
        *,
        status: session_pb2.SessionStatus = session_pb2.SESSION_STATUS_UNSPECIFIED,
        type: session_pb2.SessionType = session_pb2.SESSION_TYPE_UNSPECIFIED,  # noqa: A002
        page_size: int = 0,
    ) -> AsyncIterator[session_pb2.Session]:
        """Newest first, page after page as they are wanted."""
        request = service_pb2.ListSessionsRequest(page_size=page_size, status=status, type=type)
        while True:
            page = await self._call(self._stub.ListSessions, request, retry=True)
            for session in page.sessions:
                yield session
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def update_session(
        self, session_id: str, session: session_pb2.Session, *fields: str
    ) -> session_pb2.Session:
        """Changes `fields` (every one that is set, when none is named) to their values in `session`."""
        request = service_pb2.UpdateSessionRequest(
            session_id=session_id, session=session, update_mask=field_mask_pb2.FieldMask(paths=fields)
        )
        answer = await self._call(self._stub.UpdateSession, request, session_id, key=key(), retry=True)
        return answer.session

    async def start_session(self, session_id: str) -> session_pb2.Session:
        """WAITING becomes ACTIVE."""
        session = session_pb2.Session(status=session_pb2.SESSION_STATUS_ACTIVE)
        return await self.update_session(session_id, session, "status")

    async def end_session(self, session_id: str) -> session_pb2.Session:
        """ACTIVE becomes ENDED, WAITING becomes ABORTED."""
        request = service_pb2.EndSessionRequest(session_id=session_id)
        answer = await self._call(self._stub.EndSession, request, session_id, key=key(), retry=True)
        return answer.session

    async def join(self, session_id: str, player_id: str = "", *, team: int = 0) -> snapshot_pb2.Seat:
        """Takes a seat, or the same one again. `player_id`: for game servers; `team`: 0 for the smallest."""
        request = service_pb2.JoinSessionRequest(session_id=session_id, player_id=player_id, team=team)
        return (await self._call(self._stub.JoinSession, request, session_id, retry=True)).seat

    async def leave(self, session_id: str, player_id: str = "") -> None:
        request = service_pb2.LeaveSessionRequest(session_id=session_id, player_id=player_id)
        await self._call(self._stub.LeaveSession, request, session_id)

    # -- single commands, for programs that hold no stream --------------------------------------

    async def apply_damage(
        self, session_id: str, command: play_pb2.Command, *, player_id: str = ""
    ) -> verdict_pb2.Verdict:
        """Judges a `shot` or `damage` command. With a `sequence` it is safe to repeat, and is retried."""
        request = service_pb2.ApplyDamageRequest(
            session_id=session_id,
            player_id=player_id,
            sequence=command.sequence,
            view_tick=command.view_tick,
            view_fraction=command.view_fraction,
        )
        if command.HasField("shot"):
            request.shot.CopyFrom(command.shot)
        elif command.HasField("damage"):
            request.direct.CopyFrom(command.damage)
        else:
            raise ValueError("apply_damage takes a shot or damage command")
        retry = command.sequence > 0
        return (await self._call(self._stub.ApplyDamage, request, session_id, retry=retry)).verdict

    async def execute_action(
        self, session_id: str, command: play_pb2.Command, *, player_id: str = ""
    ) -> verdict_pb2.Verdict:
        """Judges an `action` command; see `apply_damage`."""
        request = service_pb2.ExecuteActionRequest(
            session_id=session_id, player_id=player_id, sequence=command.sequence, action=command.action
        )
        retry = command.sequence > 0
        return (await self._call(self._stub.ExecuteAction, request, session_id, retry=retry)).verdict

    async def update_position(
        self, session_id: str, command: play_pb2.Command, *, player_id: str = ""
    ) -> verdict_pb2.Verdict:
        """Judges a `move` command; see `apply_damage`."""
        request = service_pb2.UpdatePositionRequest(
            session_id=session_id, player_id=player_id, sequence=command.sequence, move=command.move
        )
        retry = command.sequence > 0
        return (await self._call(self._stub.UpdatePosition, request, session_id, retry=retry)).verdict

    # -- looking ------------------------------------------------------------------------------

    async def get_state(self, session_id: str) -> service_pb2.GetStateResponse:
        request = service_pb2.GetStateRequest(session_id=session_id)
        return await self._call(self._stub.GetState, request, session_id, retry=True)

    async def session_stats(self, session_id: str) -> list[statistics_pb2.PlayerStats]:
        request = service_pb2.GetSessionStatsRequest(session_id=session_id)
        return list((await self._call(self._stub.GetSessionStats, request, session_id, retry=True)).players)

    async def spectate(
        self, session_id: str, *, follow_player_id: str = "", from_tick: int = 0, delay_s: int = 0
    ) -> AsyncIterator[spectate_pb2.SpectatorFrame]:
        """Frame after frame until the session ends; put `frame.snapshot` on a `World` to look at it."""
        request = spectate_pb2.SpectateRequest(
            session_id=session_id, follow_player_id=follow_player_id, from_tick=from_tick, delay_s=delay_s
        )
        async for frame in self._frames(self._stub.Spectate, request, session_id):
            yield frame

    # -- the past -------------------------------------------------------------------------------

    async def replay(
        self,
        session_id: str,
        *,
        from_tick: int = 0,
        to_tick: int = 0,
        speed: float = 0.0,
        follow_player_id: str = "",
    ) -> AsyncIterator[spectate_pb2.SpectatorFrame]:
        """The match again, as `spectate` showed it. `speed`: times real time, 0 as fast as it is read."""
        request = service_pb2.GetReplayRequest(
            session_id=session_id,
            from_tick=from_tick,
            to_tick=to_tick,
            speed=speed,
            follow_player_id=follow_player_id,
        )
        async for frame in self._frames(self._stub.GetReplay, request, session_id):
            yield frame

    async def verify(self, session_id: str, *, deadline_s: float = 120.0) -> service_pb2.VerifyReplayResponse:
        """Has the whole match judged again and compared."""
        request = service_pb2.VerifyReplayRequest(session_id=session_id)
        return await self._call(
            self._stub.VerifyReplay, request, session_id, retry=True, deadline_s=deadline_s
        )

    async def verdict(self, session_id: str, sequence: int) -> service_pb2.GetVerdictResponse:
        """A journal record, and what it says in words."""
        request = service_pb2.GetVerdictRequest(session_id=session_id, sequence=sequence)
        return await self._call(self._stub.GetVerdict, request, session_id, retry=True)

    async def records(
        self,
        session_id: str,
        *,
        after: int = 0,
        player_id: str = "",
        outcome: verdict_pb2.Outcome = verdict_pb2.OUTCOME_UNSPECIFIED,
        every_record: bool = False,
    ) -> AsyncIterator[journal_pb2.JournalRecord]:
        """Journal records of commands after a sequence, or all records, in order, as far as there are any."""
        request = service_pb2.ListVerdictsRequest(
            session_id=session_id,
            page_size=_PAGE,
            player_id=player_id,
            after_sequence=after,
            outcome=outcome,
            every_record=every_record,
        )
        while True:
            page = await self._call(self._stub.ListVerdicts, request, session_id, retry=True)
            for record in page.records:
                yield record
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # -- how ----------------------------------------------------------------------------------

    async def _call(
        self,
        method: Callable[..., Awaitable[T]],
        request: Any,
        session_id: str = "",
        *,
        key: str = "",
        **how: Any,
    ) -> T:
        """`key`: makes a repeat harmless where the request has no field for it. `how`: as `Caller.call`."""
        metadata = {"x-session-id": session_id, "idempotency-key": key}
        return await self._caller.call(method, request, metadata, **how)

    async def _frames(
        self, method: Callable[..., Any], request: Any, session_id: str
    ) -> AsyncIterator[spectate_pb2.SpectatorFrame]:
        async for response in self._caller.stream(method, request, {"x-session-id": session_id}):
            yield response.frame

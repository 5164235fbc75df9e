"""A whole leaderboard server inside the test's own process: real gRPC, real PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc
from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2, leaderboard_service_pb2_grpc
from google.protobuf.json_format import ParseDict

from services.leaderboard.settings import LeaderboardSettings
from services.leaderboard.wiring import built
from tests.support import refusals
from tests.support.served import QUICK, Served, serve
from tests.support.tokens import Metadata, game_server, operator


@dataclass
class Leaderboard(Served):
    """A serving process and a client of it. Boards and scores are given as the contract's JSON."""

    def __post_init__(self) -> None:
        self.stub: leaderboard_service_pb2_grpc.LeaderboardServiceAsyncStub = (
            leaderboard_service_pb2_grpc.LeaderboardServiceStub(self.channel)
        )

    # -- boards and seasons -----------------------------------------------------------------------

    async def board(self, id_: str = "score", **fields: Any) -> board_pb2.Board:
        """Of the best scores of all time, unless the fields say otherwise."""
        request = leaderboard_service_pb2.CreateBoardRequest(board=a_board(id_, **fields))
        return (await self.stub.CreateBoard(request, metadata=operator())).board

    async def season(self, id_: str, starts_at: str, ends_at: str) -> board_pb2.Season:
        request = leaderboard_service_pb2.CreateSeasonRequest(season=a_season(id_, starts_at, ends_at))
        return (await self.stub.CreateSeason(request, metadata=operator())).season

    # -- scores -----------------------------------------------------------------------------------

    async def submit(
        self, *scores: Mapping[str, Any], metadata: Metadata | None = None, request_id: str = ""
    ) -> list[str]:
        """Outcomes, by their names."""
        request = leaderboard_service_pb2.SubmitScoresRequest(
            scores=[ParseDict(dict(each), board_pb2.Score()) for each in scores], request_id=request_id
        )
        answer = await self.stub.SubmitScores(request, metadata=metadata or game_server())
        return [
            board_pb2.ScoreOutcome.Name(each).removeprefix("SCORE_OUTCOME_").lower()
            for each in answer.outcomes
        ]

    # -- ranks ------------------------------------------------------------------------------------

    async def top(self, **fields: Any) -> leaderboard_service_pb2.GetLeaderboardResponse:
        return await self.stub.GetLeaderboard(leaderboard_service_pb2.GetLeaderboardRequest(**fields))

    async def around(self, player_id: str, **fields: Any) -> leaderboard_service_pb2.GetAroundPlayerResponse:
        request = leaderboard_service_pb2.GetAroundPlayerRequest(player_id=player_id, **fields)
        return await self.stub.GetAroundPlayer(request)

    async def players(self, *ids: str, **fields: Any) -> leaderboard_service_pb2.GetPlayersResponse:
        request = leaderboard_service_pb2.GetPlayersRequest(player_ids=ids, **fields)
        return await self.stub.GetPlayers(request)

    async def periods(self, **fields: Any) -> leaderboard_service_pb2.ListPeriodsResponse:
        return await self.stub.ListPeriods(leaderboard_service_pb2.ListPeriodsRequest(**fields))


def a_board(id_: str = "score", **fields: Any) -> board_pb2.Board:
    asked = {"id": id_, "operator": "OPERATOR_BEST", "windows": ["all_time"]} | fields
    return ParseDict(asked, board_pb2.Board())


def a_season(id_: str, starts_at: str, ends_at: str) -> board_pb2.Season:
    return ParseDict({"id": id_, "starts_at": starts_at, "ends_at": ends_at}, board_pb2.Season())


def score(player_id: str, value: int, **fields: Any) -> dict[str, Any]:
    return {"player_id": player_id, "score": str(value)} | fields


def ranks(entries: Iterable[board_pb2.Entry]) -> list[tuple[int, str, int]]:
    """Rank, player and score of each."""
    return [(each.rank, each.player_id, each.score) for each in entries]


def settings(**changes: Any) -> LeaderboardSettings:
    """As `QUICK`."""
    return LeaderboardSettings(**(QUICK | {"watch_every_s": 0.02, "finalise_s": 0.05} | changes))


async def refused(call: Awaitable[Any], code: grpc.StatusCode, reason: str) -> Mapping[str, str]:
    """Of a call that must fail so: what is wrong with its fields, by path."""
    error = await refusals.failure(call, code, "leaderboard.arenamesh")
    assert refusals.reason(error) == reason
    return refusals.violations(error)


def leaderboard(**changes: Any) -> AbstractAsyncContextManager[Leaderboard]:
    """A server with these settings, stopped gracefully at the end."""
    return serve(built(settings(**changes)), Leaderboard)

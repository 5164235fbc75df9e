"""The leaderboard service: who is best, of a board, in a window of time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from arenamesh.client.calls import Caller, key
from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2, leaderboard_service_pb2_grpc


class Leaderboard:
    """Every method raises a `MeshError` when it is refused or not answered in time.

    An empty `board` is `score`, an empty `window` the board's first, an empty `season` or `period` the
    present one, a `limit` of 0 the board's own. Writes carry a `request_id`, a fresh one by default, and are
    tried again; the same id given twice has one effect and one answer.
    """

    def __init__(
        self, stub: leaderboard_service_pb2_grpc.LeaderboardServiceAsyncStub, caller: Caller
    ) -> None:
        self._stub = stub
        self._caller = caller

    async def submit(self, *scores: board_pb2.Score, request_id: str = "") -> list[board_pb2.ScoreOutcome]:
        """Each by itself, in order. For game servers and services."""
        request = leaderboard_service_pb2.SubmitScoresRequest(scores=scores, request_id=request_id or key())
        return list((await self._caller.call(self._stub.SubmitScores, request, retry=True)).outcomes)

    async def top(
        self, board: str = "", window: str = "", *, season: str = "", period: str = "", limit: int = 0
    ) -> leaderboard_service_pb2.GetLeaderboardResponse:
        """The best, with the period they are of and how many players there are."""
        request = leaderboard_service_pb2.GetLeaderboardRequest(
            board=board, window=window, season=season, period=period, limit=limit
        )
        return await self._caller.call(self._stub.GetLeaderboard, request, retry=True)

    async def all(
        self, board: str = "", window: str = "", *, season: str = "", period: str = "", limit: int = 1000
    ) -> AsyncIterator[board_pb2.Entry]:
        """By rank, pages of `limit` as wanted. What changes meanwhile may be seen twice, or not."""
        request = leaderboard_service_pb2.GetLeaderboardRequest(
            board=board, window=window, season=season, period=period, limit=limit
        )
        async for page in self._caller.pages(self._stub.GetLeaderboard, request):
            for entry in page.entries:
                yield entry

    async def around(
        self,
        player_id: str,
        board: str = "",
        window: str = "",
        *,
        season: str = "",
        period: str = "",
        limit: int = 0,
    ) -> leaderboard_service_pb2.GetAroundPlayerResponse:
        """The player and those about it. Raises NotFound (NOT_ON_BOARD)."""
        request = leaderboard_service_pb2.GetAroundPlayerRequest(
            board=board, window=window, season=season, period=period, player_id=player_id, limit=limit
        )
        return await self._caller.call(self._stub.GetAroundPlayer, request, retry=True)

    async def players(
        self,
        player_ids: Sequence[str],
        board: str = "",
        window: str = "",
        *,
        season: str = "",
        period: str = "",
    ) -> list[board_pb2.Entry]:
        """Some among each other, such as friends, each with its rank among all; the others are left out."""
        request = leaderboard_service_pb2.GetPlayersRequest(
            board=board, window=window, season=season, period=period, player_ids=player_ids
        )
        return list((await self._caller.call(self._stub.GetPlayers, request, retry=True)).entries)

    async def watch(
        self, board: str = "", window: str = "", *, season: str = "", period: str = "", limit: int = 0
    ) -> AsyncGenerator[leaderboard_service_pb2.WatchLeaderboardResponse, None]:
        """The best now, and again each time that they change. A lost stream is opened again: then they are
        told once more, changed or not. `aclose()` of what is returned ends it at once."""
        request = leaderboard_service_pb2.WatchLeaderboardRequest(
            board=board, window=window, season=season, period=period, limit=limit
        )
        async with aclosing(self._caller.follow(self._stub.WatchLeaderboard, lambda: request)) as answers:
            async for answer in answers:
                yield answer

    async def periods(self, board: str = "", window: str = "") -> AsyncIterator[board_pb2.Period]:
        """The latest first, page after page as wanted."""
        request = leaderboard_service_pb2.ListPeriodsRequest(board=board, window=window)
        async for page in self._caller.pages(self._stub.ListPeriods, request):
            for period in page.periods:
                yield period

    # -- definitions ----------------------------------------------------------------------------

    async def boards(self) -> list[board_pb2.Board]:
        """By id."""
        request = leaderboard_service_pb2.ListBoardsRequest()
        return list((await self._caller.call(self._stub.ListBoards, request, retry=True)).boards)

    async def create_board(self, board: board_pb2.Board, *, request_id: str = "") -> board_pb2.Board:
        """It cannot be changed afterwards. For operators and services."""
        request = leaderboard_service_pb2.CreateBoardRequest(board=board, request_id=request_id or key())
        return (await self._caller.call(self._stub.CreateBoard, request, retry=True)).board

    async def seasons(self) -> list[board_pb2.Season]:
        """The latest first."""
        request = leaderboard_service_pb2.ListSeasonsRequest()
        return list((await self._caller.call(self._stub.ListSeasons, request, retry=True)).seasons)

    async def create_season(self, season: board_pb2.Season, *, request_id: str = "") -> board_pb2.Season:
        """For operators and services."""
        request = leaderboard_service_pb2.CreateSeasonRequest(season=season, request_id=request_id or key())
        return (await self._caller.call(self._stub.CreateSeason, request, retry=True)).season

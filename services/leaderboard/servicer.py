"""LeaderboardService between the contract and the domain: only translation."""

from arenamesh.liveops.v1 import leaderboard_service_pb2

from services.chassis import clock, paging
from services.chassis.errors import NotFound
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.leaderboard import translate
from services.leaderboard.boards import Boards, board_of
from services.leaderboard.commands import Commands
from services.leaderboard.domain.board import Board
from services.leaderboard.domain.places import Slot
from services.leaderboard.periods import Periods
from services.leaderboard.places import Named, meant, window_of
from services.leaderboard.rankings import Rankings, owner
from services.leaderboard.watch import Watch

_AROUND = 11


class LeaderboardServicer:
    """Every RPC of the contract. WatchLeaderboard writes bytes itself; see the chassis."""

    def __init__(
        self, boards: Boards, commands: Commands, rankings: Rankings, periods: Periods, watch: Watch
    ) -> None:
        self._boards = boards
        self._commands = commands
        self._rankings = rankings
        self._periods = periods
        self._watch = watch

    # -- boards and seasons -----------------------------------------------------------------------

    async def CreateBoard(
        self, request: leaderboard_service_pb2.CreateBoardRequest, context: Context
    ) -> leaderboard_service_pb2.CreateBoardResponse:
        key = key_of(context, "CreateBoard", request, request.request_id)
        return await self._boards.create_board(key, request.board)

    async def ListBoards(
        self, _request: leaderboard_service_pb2.ListBoardsRequest, _context: Context
    ) -> leaderboard_service_pb2.ListBoardsResponse:
        catalogue = await self._boards.current()
        return leaderboard_service_pb2.ListBoardsResponse(
            boards=[
                translate.board(board, catalogue.created[id_])
                for id_, board in sorted(catalogue.boards.items())
            ]
        )

    async def CreateSeason(
        self, request: leaderboard_service_pb2.CreateSeasonRequest, context: Context
    ) -> leaderboard_service_pb2.CreateSeasonResponse:
        key = key_of(context, "CreateSeason", request, request.request_id)
        return await self._boards.create_season(key, request.season)

    async def ListSeasons(
        self, _request: leaderboard_service_pb2.ListSeasonsRequest, _context: Context
    ) -> leaderboard_service_pb2.ListSeasonsResponse:
        seasons = (await self._boards.current()).seasons.values()
        latest = sorted(seasons, key=lambda season: season.starts_at, reverse=True)
        return leaderboard_service_pb2.ListSeasonsResponse(seasons=map(translate.season, latest))

    # -- scores -----------------------------------------------------------------------------------

    async def SubmitScores(
        self, request: leaderboard_service_pb2.SubmitScoresRequest, context: Context
    ) -> leaderboard_service_pb2.SubmitScoresResponse:
        return await self._commands.submit(request, context)

    # -- ranks ------------------------------------------------------------------------------------

    async def GetLeaderboard(
        self, request: leaderboard_service_pb2.GetLeaderboardRequest, _context: Context
    ) -> leaderboard_service_pb2.GetLeaderboardResponse:
        board, slot = await self._meant(request)
        limit = request.limit or board.default_limit
        query = f"leaderboard {'/'.join(slot.place)}"
        last = paging.decode(request.page_token, query, fields=1)
        found, players = await self._rankings.top(
            board, slot, limit + 1, after=_after(last), owner=owner(board)
        )
        page = found[:limit]
        more = len(found) > limit
        return leaderboard_service_pb2.GetLeaderboardResponse(
            period=translate.period(slot, await self._periods.state(slot)),
            entries=translate.entries(page),
            players=players,
            next_page_token=paging.encode([page[-1].key.hex()], query) if more else "",
        )

    async def GetAroundPlayer(
        self, request: leaderboard_service_pb2.GetAroundPlayerRequest, _context: Context
    ) -> leaderboard_service_pb2.GetAroundPlayerResponse:
        board, slot = await self._meant(request)
        player = request.player_id
        found = await self._rankings.around(board, slot, player, request.limit or _AROUND, owner=owner(board))
        if found is None:
            raise NotFound(
                "The player is not on the board.",
                reason="NOT_ON_BOARD",
                metadata={"player_id": player},
            )
        return leaderboard_service_pb2.GetAroundPlayerResponse(
            period=translate.period(slot, await self._periods.state(slot)),
            entries=translate.entries(found.entries),
            players=found.players,
        )

    async def GetPlayers(
        self, request: leaderboard_service_pb2.GetPlayersRequest, _context: Context
    ) -> leaderboard_service_pb2.GetPlayersResponse:
        board, slot = await self._meant(request)
        found = await self._rankings.players(board, slot, request.player_ids, owner=owner(board))
        return leaderboard_service_pb2.GetPlayersResponse(
            period=translate.period(slot, await self._periods.state(slot)),
            entries=translate.entries(found),
        )

    async def WatchLeaderboard(
        self, request: leaderboard_service_pb2.WatchLeaderboardRequest, context: Context
    ) -> None:
        await self._watch.serve(request, context)

    async def _meant(self, request: Named) -> tuple[Board, Slot]:
        return await self._boards.found(lambda catalogue: meant(catalogue, request, clock.now()))

    # -- periods ----------------------------------------------------------------------------------

    async def ListPeriods(
        self, request: leaderboard_service_pb2.ListPeriodsRequest, _context: Context
    ) -> leaderboard_service_pb2.ListPeriodsResponse:
        board = await self._boards.found(lambda catalogue: board_of(catalogue, request.board))
        window = window_of(board, request.window)
        query = f"periods {board.id}/{window}"
        size = paging.size(request.page_size)
        before = paging.decode_time(request.page_token, query)
        found = await self._periods.list(board, window, before, size + 1)
        page = found[:size]
        more = len(found) > size
        return leaderboard_service_pb2.ListPeriodsResponse(
            periods=[translate.period(slot, state) for slot, state in page],
            next_page_token=paging.encode([page[-1][0].starts_at.isoformat()], query) if more else "",
        )


def _after(last: list[str] | None) -> bytes:
    """The key after which a page begins; empty: the first one."""
    try:
        return bytes.fromhex(last[0]) if last else b""
    except ValueError as error:
        raise paging.invalid() from error

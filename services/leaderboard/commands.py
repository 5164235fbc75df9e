"""What callers change, as commands of the committer, answered in the words of the contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2

from services.chassis import clock
from services.chassis.auth import principal
from services.chassis.errors import InvalidArgument
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.chassis.metrics import LEADERBOARD_SCORES
from services.leaderboard.batch import Command
from services.leaderboard.boards import Boards
from services.leaderboard.committer import Committer
from services.leaderboard.domain.board import Board
from services.leaderboard.domain.scoring import Outcome, Score
from services.leaderboard.translate import DEFAULT_BOARD, to_score


class Commands:
    """Every one is durable, and what anybody reads, when it returns. What it answered is what a repetition
    gets."""

    def __init__(self, committer: Committer, boards: Boards) -> None:
        self._committer = committer
        self._boards = boards

    async def submit(
        self, request: leaderboard_service_pb2.SubmitScoresRequest, context: Context
    ) -> leaderboard_service_pb2.SubmitScoresResponse:
        """All of them, in order.

        Raises:
            InvalidArgument: a score can be true of nothing: BOARD_UNKNOWN, OCCURRED_IN_FUTURE,
                OCCURRED_BEFORE_1970, FIELD_INVALID. Nothing happened.
            FailedPrecondition: SCORE_OVERFLOW, IDEMPOTENCY_KEY_REUSED. Nothing happened.
            Overloaded, Unavailable: see `GroupCommit.run`.
        """
        caller = principal()
        scores = await self._scores(request.scores)
        stored = await self._committer.run(
            Command(
                answer=_answer,
                actor=f"{caller.role.value}:{caller.subject}",
                scores=tuple(scores),
                caller=caller.subject[:255],
                key=key_of(context, "SubmitScores", request, request.request_id),
            )
        )
        answer = leaderboard_service_pb2.SubmitScoresResponse.FromString(stored)
        for outcome in answer.outcomes:
            LEADERBOARD_SCORES.labels("submitted", Outcome(outcome).name.lower()).inc()
        return answer

    async def _scores(self, messages: Sequence[board_pb2.Score]) -> list[Score]:
        return await self._boards.found(lambda catalogue: _read(messages, catalogue.boards, clock.now()))


def _read(messages: Sequence[board_pb2.Score], boards: Mapping[str, Board], now: datetime) -> list[Score]:
    found = []
    for number, message in enumerate(messages):
        path = f"scores[{number}]"
        board = boards.get(message.board or DEFAULT_BOARD)
        if board is None:
            raise InvalidArgument.of(f"{path}.board", "must be the id of a board", reason="BOARD_UNKNOWN")
        found.append(to_score(message, board, now, path))
    return found


def _answer(outcomes: Sequence[Outcome]) -> bytes:
    numbers = [cast(board_pb2.ScoreOutcome, outcome.value) for outcome in outcomes]
    return leaderboard_service_pb2.SubmitScoresResponse(outcomes=numbers).SerializeToString()

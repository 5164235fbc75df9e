"""Ranks: from Redis, or from PostgreSQL while Redis is away or does not have them."""

from collections.abc import Sequence

from services.chassis import clock
from services.chassis.auth import Role, known_principal
from services.chassis.metrics import LEADERBOARD_READS
from services.leaderboard.archive import Archive
from services.leaderboard.domain.board import Board
from services.leaderboard.domain.places import Slot
from services.leaderboard.domain.ranking import Found, Page, Ranked, among, around, listed
from services.leaderboard.standings import Away, Standings, Unbuilt


def owner(board: Board) -> str:
    """The player who calls, when the board shows quarantined entries to their owners; empty: nobody."""
    caller = known_principal()
    if caller is None or caller.role is not Role.PLAYER or not board.quarantined_visible_to_owner:
        return ""
    return caller.subject


class Rankings:
    """Every method answers the same, whichever has it. Entries that are quarantined are shown to nobody; to
    their owner as if they were not, when the caller says so.

    Raises:
        Unavailable: PostgreSQL does not answer either.
    """

    def __init__(self, standings: Standings, archive: Archive) -> None:
        self._standings = standings
        self._archive = archive

    async def top(self, board: Board, slot: Slot, limit: int, *, after: bytes = b"", owner: str = "") -> Page:
        """The first `limit` entries after a key: the best, or those behind `Ranked.key` of the last of them.
        `owner`: is shown its own entry in any case."""
        found: Found
        try:
            found = await self._standings.top(board, slot.place, after, limit, owner)
            LEADERBOARD_READS.labels("redis").inc()
        except (Away, Unbuilt) as error:
            self._missed(slot, error)
            found = await self._archive.top(board, slot.place, after, limit, owner)
        return listed(board, found, limit, after)

    async def around(
        self, board: Board, slot: Slot, player: str, limit: int, *, owner: str = ""
    ) -> Page | None:
        """`limit` entries with the player's in the middle, as far as that goes. None: it has none that is
        shown. `owner`: as in `top`."""
        found: Found | None
        try:
            found = await self._standings.around(board, slot.place, player, limit, owner)
            LEADERBOARD_READS.labels("redis").inc()
        except (Away, Unbuilt) as error:
            self._missed(slot, error)
            found = await self._archive.around(board, slot.place, player, limit, owner)
        return None if found is None else around(board, found, player, limit)

    async def players(
        self, board: Board, slot: Slot, players: Sequence[str], *, owner: str = ""
    ) -> list[Ranked]:
        """Those of them that are ranked, in order. `owner`: as in `top`."""
        try:
            found, own = await self._standings.players(board, slot.place, players, owner)
            LEADERBOARD_READS.labels("redis").inc()
        except (Away, Unbuilt) as error:
            self._missed(slot, error)
            found, own = await self._archive.players(board, slot.place, players, owner)
        return among(board, found, own)

    def _missed(self, slot: Slot, error: Away | Unbuilt) -> None:
        LEADERBOARD_READS.labels(type(error).__name__.lower()).inc()
        if isinstance(error, Unbuilt) and not slot.final(clock.now()):
            self._standings.want(slot.place)

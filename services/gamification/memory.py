"""Players that need not be read again: as the last transaction of this process left them."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from services.gamification.domain.player import Player
from services.gamification.store import Head

TIDY_EVERY = 64
"""Versions of a player. What is over is looked for that often."""


class Memory:
    """The players that were used last, with `limit` rows in all; one that has more is not kept.

    A player is in it, or in the batch that changes it, never in both: what a batch that fails made of a
    player is forgotten with it. The version tells whether another process has changed it since.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[Player, int]] = OrderedDict()
        """With the number of rows."""
        self.rows = 0

    def take(self, heads: Mapping[str, Head]) -> dict[str, Player]:
        """Those that are still as they were, by the rows that are locked. They are no longer in it."""
        found = {}
        for user_id, head in heads.items():
            player = self._pop(user_id)
            if player is not None and player.version == head.version:
                found[user_id] = player
        return found

    def keep(self, player: Player, now: datetime) -> None:
        """As the database has it."""
        self._pop(player.user_id)
        if player.version % TIDY_EVERY == 0:
            _tidy(player, now)
        rows = 1 + len(player.accumulators) + len(player.achievements) + len(player.quests)
        self._kept[player.user_id] = player, rows
        self.rows += rows
        while self.rows > self._limit:
            self.rows -= self._kept.popitem(last=False)[1][1]

    def _pop(self, user_id: str) -> Player | None:
        player, rows = self._kept.pop(user_id, (None, 0))
        self.rows -= rows
        return player


def _tidy(player: Player, now: datetime) -> None:
    """The sweeper has deleted them, or will; what a closing will look at stays until it has."""
    awaited = {(closing.window, closing.starts_at) for closing in player.closings}
    over = [
        key
        for key, it in player.accumulators.items()
        if it.over_at is not None and it.over_at <= now and (key.window, key.starts_at) not in awaited
    ]
    for key in over:
        del player.accumulators[key]

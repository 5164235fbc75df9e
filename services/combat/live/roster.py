"""The matches that are played here."""

from collections import Counter
from collections.abc import Mapping

from services.combat.durability.committer import Committer
from services.combat.live.match import Match


class Roster:
    """Every match of this worker, also while it stands still or its end is being written. What one of them
    judges goes to `committer`."""

    def __init__(self, committer: Committer) -> None:
        self.live: dict[str, Match] = {}
        """By session id."""
        self._committer = committer
        self._gone: Counter[str] = Counter()

    def has(self, match: Match) -> bool:
        return self.live.get(match.session_id) is match

    def add(self, match: Match) -> Match:
        """The match that is here: another one when there is one already."""
        here = self.live.setdefault(match.session_id, match)
        if here is match:
            # What was counted before the match came here is not this process's.
            self._gone.subtract(match.arena.counters)
            self._committer.add(match)
        return here

    def remove(self, match: Match) -> None:
        if self.has(match):
            del self.live[match.session_id]
            self._gone.update(match.arena.counters)
        self._committer.remove(match)

    def totals(self) -> Mapping[str, int]:
        """The arenas' counters, summed over all that ever lived here; `sessions` and `players` now."""
        totals = Counter(self._gone)
        for match in self.live.values():
            totals.update(match.arena.counters)
        totals["sessions"] = len(self.live)
        totals["players"] = sum(match.arena.players for match in self.live.values())
        return totals

    def counts(self) -> dict[str, int]:
        """Seats taken, by session."""
        return {session_id: match.arena.players for session_id, match in self.live.items()}

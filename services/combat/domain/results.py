"""Who came where when a match ended; pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from services.combat.domain.statistics import PlayerStats


@dataclass(frozen=True, slots=True)
class Mode:
    """What of a mode decides who is better."""

    teams: bool
    respawns: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How a match ended. `winner`: team plus one, or seat plus one in a mode without teams; 0: a draw."""

    winner: int
    seated: Collection[str]
    """Players who were there to the end."""
    fallen: Mapping[str, int]
    """Of players who were out of a match without respawns: the journal sequence at which they were."""


@dataclass(frozen=True, slots=True)
class Place:
    """1 is best; equal results share a place, and the next one counts them all. Nobody who left has won."""

    place: int
    won: bool


def places(players: Sequence[PlayerStats], mode: Mode, ending: Ending) -> dict[str, Place]:
    """The place of everybody, by player id.

    - Teams: the team that won, then the others by their kills; all of a team share its place.
    - Without respawns: who won, then who stood longest.
    - Otherwise: who won, then by kills, then by fewer deaths.
    """
    keys = _ranks(players, mode, ending)
    return {
        player.player_id: Place(
            1 + sum(other < keys[player.player_id] for other in keys.values()), _won(player, mode, ending)
        )
        for player in players
    }


def _won(player: PlayerStats, mode: Mode, ending: Ending) -> bool:
    side = player.team if mode.teams else player.slot
    return player.player_id in ending.seated and ending.winner == side + 1


def _ranks(players: Sequence[PlayerStats], mode: Mode, ending: Ending) -> dict[str, tuple[int, ...]]:
    """The lower the better."""
    if mode.teams:
        kills: dict[int, int] = {}
        for player in players:
            kills[player.team] = kills.get(player.team, 0) + player.kills
        return {p.player_id: (ending.winner != p.team + 1, -kills[p.team]) for p in players}
    lost = {player.player_id: not _won(player, mode, ending) for player in players}
    if mode.respawns:
        return {p.player_id: (lost[p.player_id], -p.kills, p.deaths) for p in players}
    return {
        name: (lost[name], name in ending.fallen, -ending.fallen.get(name, 0))
        for name in (player.player_id for player in players)
    }

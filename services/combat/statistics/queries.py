"""What was counted, for whoever asks. Everybody may: it is what a scoreboard and a profile show."""

from arenamesh.combat.v1 import service_pb2, statistics_pb2, verdict_pb2

from services.chassis.db import Database
from services.combat.domain.session import not_found
from services.combat.domain.statistics import PlayerStats
from services.combat.statistics.store import StatisticsStore

_PLAIN = (
    *("player_id", "kills", "deaths", "assists", "damage_dealt_milli", "damage_taken_milli", "healed_milli"),
    *("shots", "hits", "headshots", "longest_kill_mm", "best_streak", "time_alive_us"),
    *("movement_violations", "rewind_p50_us", "rewind_p99_us"),
)


class Statistics:
    """Reads from the database alone, so every worker answers for every session."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = StatisticsStore()

    async def session(self, session_id: str) -> service_pb2.GetSessionStatsResponse:
        """Raises NotFound (SESSION_NOT_FOUND)."""
        async with self._database.connection() as connection:
            found = await self._store.session(connection, session_id)
        if found is None:
            raise not_found(session_id)
        sequence, players = found
        return service_pb2.GetSessionStatsResponse(
            players=map(_to_message, players), journal_sequence=sequence
        )

    async def player(self, player_id: str) -> service_pb2.GetPlayerStatsResponse:
        """Of somebody who never played: zeros."""
        async with self._database.connection() as connection:
            sessions, stats = await self._store.player(connection, player_id)
        return service_pb2.GetPlayerStatsResponse(stats=_to_message(stats), sessions=sessions)


def _to_message(stats: PlayerStats) -> statistics_pb2.PlayerStats:
    return statistics_pb2.PlayerStats(
        **{name: getattr(stats, name) for name in _PLAIN},
        weapons=[
            statistics_pb2.WeaponStats(
                weapon=count.index, name=name, shots=count.shots, hits=count.hits, kills=count.kills
            )
            for name, count in sorted(stats.weapons.items(), key=lambda item: (item[1].index, item[0]))
        ],
        regions=[
            statistics_pb2.RegionStats(region=verdict_pb2.Region.Name(region), hits=hits)
            for region, hits in sorted(stats.regions.items())
        ],
    )

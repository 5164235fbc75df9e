"""The maps and rulesets of the data folder, loaded once and compiled for the native core."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

from native.arena import Arena
from native.ruleset import Ruleset
from native.world import World
from services.combat.domain.map import load_map
from services.combat.domain.ruleset import load_ruleset
from services.combat.domain.session import Session


class Catalogue:
    """Immutable; arenas share what is in it."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError naming the file and field of the first fault."""
        self._worlds = {path.stem: World(load_map(path)) for path in sorted((folder / "maps").glob("*.json"))}
        self._rulesets: dict[tuple[str, int], Ruleset] = {}
        for path in sorted((folder / "rulesets").glob("*.json")):
            ruleset = Ruleset(load_ruleset(path))
            if path.stem != f"{ruleset.name}-{ruleset.version}":
                raise ValueError(f"{path.name}: holds {ruleset.name}-{ruleset.version}")
            self._rulesets[ruleset.name, ruleset.version] = ruleset
        if not self._worlds or not self._rulesets:
            raise ValueError(f"{folder}: needs at least one map and one ruleset")

    def has_map(self, map_id: str) -> bool:
        return map_id in self._worlds

    def newest_ruleset(self, name: str) -> int | None:
        return max((version for known, version in self._rulesets if known == name), default=None)

    def modes(self, name: str, version: int) -> tuple[str, ...] | None:
        ruleset = self._rulesets.get((name, version))
        return None if ruleset is None else ruleset.mode_names

    def map_hash(self, map_id: str) -> str:
        return f"{self._worlds[map_id].hash():016x}"

    def ruleset_hash(self, name: str, version: int) -> str:
        return self._rulesets[name, version].hash()

    def world(self, map_id: str) -> World:
        return self._worlds[map_id]

    def ruleset(self, name: str, version: int) -> Ruleset:
        return self._rulesets[name, version]

    def arena(
        self, session: Session, *, journal: bool = True, volatile_kinds: Collection[str] = ("move",)
    ) -> Arena:
        """The session's, in which nothing has happened yet. The options are the arena's."""
        return Arena(
            self.ruleset(session.ruleset_name, session.ruleset_version),
            self.world(session.map_id),
            key=session.arena_key,
            mode=session.game_mode,
            max_players=session.max_players,
            tick_rate=session.tick_rate_hz,
            journal=journal,
            volatile_kinds=volatile_kinds,
        )


@cache
def load_catalogue(folder: Path) -> Catalogue:
    """The one of a folder, loaded once a process."""
    return Catalogue(folder)

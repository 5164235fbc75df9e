"""Static map geometry. Shapes, units and the rules at edges: `world.pyx`; the readable twin:
`reference/world.py`."""

from collections.abc import Sequence
from typing import Any

Vector = Sequence[float]

class World:
    """A map, compiled. Immutable; any number of arenas may share one."""

    map_id: str
    spawns: list[tuple[float, float, float, float, int]]
    """x, y, z, yaw, team plus one (0: any)."""
    def __init__(self, document: dict[str, Any]) -> None:
        """`document`: a map as in `services/combat/data/maps`. Raises ValueError with the path of the
        first thing wrong (`boxes[3].low: ...`)."""
    @property
    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]: ...
    @property
    def solids(self) -> int:
        """Boxes and triangles."""
    def hash(self) -> int:
        """64 bits over bounds, solids and spawns: equal for equal maps, in every process."""
    def ray(self, origin: Vector, direction: Vector, reach: float) -> float:
        """Distance along the unit direction to the first solid; `reach` when there is none nearer."""
    def sees(self, a: Vector, b: Vector) -> bool:
        """Nothing stands between two points."""
    def sweep(self, half: Vector, centre: Vector, delta: Vector) -> tuple[float, tuple[float, float, float]]:
        """Share 0..1 of `delta` that a box of half extents `half` about `centre` can go, and the unit
        normal of what stops it; (0, 0, 0) when nothing does."""
    def overlaps(self, half: Vector, centre: Vector) -> bool:
        """The box is more than a millimetre deep in a solid."""

"""Hitboxes of a body."""

from typing import Any

class Rig:
    """Hitboxes of a body, compiled from the `rig` of a ruleset."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Raises ValueError with the path of the first thing wrong."""
    @property
    def reach(self) -> float:
        """Radius of the sphere about the point at height `centre` of the axis that holds every shape."""
    @property
    def centre(self) -> float: ...

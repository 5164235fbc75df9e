"""A ruleset compiled to C tables."""

from collections.abc import Mapping
from typing import Any

class Ruleset:
    """Compiles a complete document (see `services.combat.domain.ruleset.load_ruleset`).

    Raises ValueError with the path of the first field that is missing, of another type, or does not fit.
    """

    def __init__(self, document: Mapping[str, Any]) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def weapon_names(self) -> tuple[str, ...]:
        """Index = the weapon's number on the wire; likewise below."""
    @property
    def action_names(self) -> tuple[str, ...]: ...
    @property
    def mode_names(self) -> tuple[str, ...]: ...
    def hash(self) -> str:
        """64 bits of the canonical document, as 16 hex digits."""
    def tables(self) -> dict[str, Any]:
        """The compiled values, in the core's units: `player`, `judge`, `rewind`, `armour`, `move`, `rig`, and
        the lists `weapons`, `actions`, `modes`; keys are the fields of native/types.pxd."""

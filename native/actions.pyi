"""Weapons and abilities of one player: pure functions of (state, time), in microseconds and integers."""

from native.reference.actions import Ability, Active, Armed, Effect
from native.ruleset import Ruleset

class Loadout:
    """What one player carries and what acts on him. Calls that may be refused return a Reason of the contract
    (0: none); a refused call changes nothing. Times are not negative; kinds are those of native/types.pxd.
    """

    def __init__(self, ruleset: Ruleset, now_us: int = 0) -> None: ...
    @property
    def weapons(self) -> list[Armed]: ...
    @property
    def abilities(self) -> list[Ability]: ...
    @property
    def effects(self) -> list[Active]: ...
    @property
    def in_hand(self) -> int:
        """The weapon last fired."""
    @property
    def resource_milli(self) -> int:
        """As of `resource_us`."""
    @property
    def resource_us(self) -> int: ...
    def reset(self, now_us: int) -> None:
        """A fresh player: full magazines, all charges, the whole resource, no effects."""
    def fire(self, weapon: int, now_us: int) -> int:
        """Spends a round, or says why not. An empty magazine starts its reload."""
    def settle(self, now_us: int) -> None:
        """Finishes reloads that are due."""
    def reload(self, now_us: int) -> int:
        """Starts the reload of the weapon in hand."""
    def charges(self, action: int, now_us: int) -> int: ...
    def resource(self, now_us: int) -> int:
        """In 1/1000 points."""
    def use(self, action: int, now_us: int) -> int:
        """Spends a charge and the cost, or says why not."""
    def refund(self, action: int) -> None:
        """Gives back what an interrupted cast had cost."""
    def add_effect(self, effect: Effect, source: int, action: int, now_us: int) -> None:
        """`source`: seat; `action`: index plus one. Renews the same effect of the same action and source."""
    def periods(self, index: int, now_us: int) -> int:
        """Periods of a running effect that have come due since last asked. IndexError for another index."""
    def expire(self, now_us: int) -> None:
        """Removes effects that are over."""
    def factor(self, kind: int, now_us: int) -> int:
        """Product of the running effects of a kind, in 1/65536."""
    def has(self, kind: int, now_us: int) -> bool: ...
    def shield(self, now_us: int) -> int:
        """Shield left, in 1/1000 points."""
    def spend_shield(self, amount_milli: int, now_us: int) -> None:
        """Takes what the shield absorbed, first from the one that ends first."""

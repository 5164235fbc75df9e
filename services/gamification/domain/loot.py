"""What is drawn from a loot table: a pure function of the table and a seed, so that any draw can be checked.

Every choice is one whole number below a limit, each as likely: as many bits as the limit needs, from SHA-256
over the seed and a counter, drawn again while they are not below it.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace

from services.gamification.domain.definitions import Amount, LootEntry, LootTable

Below = Callable[[int], int]
"""Given a limit from 1 on: a whole number from 0 up to and without it."""


def draw(table: LootTable, seed: bytes) -> tuple[Amount, ...]:
    """What the seed gives; each asset once, in the order in which they were first drawn."""
    return drawn(table, Stream(seed).below)


def drawn(table: LootTable, below: Below) -> tuple[Amount, ...]:
    """As `draw`, by these choices: for each roll the entry, then how much of it."""
    amounts = [_amount(entry, below) for entry in table.guaranteed]
    weights = [entry.weight for entry in table.weighted]
    times = [0] * len(weights)
    for _ in range(table.rolls):
        if not any(weights):
            break
        number = _weighted(weights, below)
        times[number] += 1
        if times[number] == table.max_repeat:
            weights[number] = 0
        amounts.append(_amount(table.weighted[number], below))
    return merged(amount for amount in amounts if amount is not None)


def merged(amounts: Iterable[Amount]) -> tuple[Amount, ...]:
    """Each asset once, with the sum of its quantities."""
    sums: dict[str, Amount] = {}
    for amount in amounts:
        before = sums.get(amount.asset)
        sums[amount.asset] = (
            replace(before, quantity=before.quantity + amount.quantity) if before is not None else amount
        )
    return tuple(sums.values())


class Stream:
    """Numbers that follow from a seed. A limit of 1 takes none of them."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._taken = 0

    def below(self, limit: int) -> int:
        """As `Below`, for limits up to 2**256."""
        bits = (limit - 1).bit_length()
        while bits:
            block = hashlib.sha256(self._seed + self._taken.to_bytes(8, "big")).digest()
            self._taken += 1
            number = int.from_bytes(block, "big") >> (256 - bits)
            if number < limit:
                return number
        return 0


def _weighted(weights: list[int], below: Below) -> int:
    """The number of one of them, each as likely as its share of all."""
    point = below(sum(weights))
    for number, weight in enumerate(weights):
        if point < weight:
            return number
        point -= weight
    raise ValueError("a choice that is not below its limit")


def _amount(entry: LootEntry, below: Below) -> Amount | None:
    """None: nothing."""
    if not entry.asset:
        return None
    quantity = entry.low + entry.step * below((entry.high - entry.low) // entry.step + 1)
    return Amount(entry.asset, quantity, entry.item_type)

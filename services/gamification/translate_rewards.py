"""What rewards of the contract pay, as the rules see it, and what no field of them can say alone."""

from collections.abc import Iterable

from arenamesh.gamification.v1 import reward_pb2

from services.chassis.errors import InvalidArgument
from services.gamification.domain.definitions import Amount, LootEntry, LootTable
from services.gamification.domain.grants import COSMETIC

_MOST_TYPE = 32
"""Characters of an item's type."""

# What a reward of each type is made of.
_FIELDS = {
    reward_pb2.REWARD_TYPE_CURRENCY: frozenset({"value", "currency"}),
    reward_pb2.REWARD_TYPE_ITEM: frozenset({"items"}),
    reward_pb2.REWARD_TYPE_COSMETIC: frozenset({"items"}),
    reward_pb2.REWARD_TYPE_LOOT: frozenset({"loot"}),
}
_PAYING = frozenset[str]().union(*_FIELDS.values())


def contents(message: reward_pb2.Reward, path: str) -> tuple[Amount, ...]:
    """What it always pays; of a loot table nothing. Raises InvalidArgument."""
    fields = _FIELDS.get(message.type)
    if fields is None:
        raise InvalidArgument.of(f"{path}.type", "must be given")
    given = {field.name for field, _ in message.ListFields()} & _PAYING
    for name in sorted(given - fields):
        type_ = reward_pb2.RewardType.Name(message.type).removeprefix("REWARD_TYPE_")
        raise InvalidArgument.of(f"{path}.{name}", f"says nothing in a reward of type {type_}")
    for name in sorted(fields - given):
        raise InvalidArgument.of(f"{path}.{name}", "must be given")
    if message.type == reward_pb2.REWARD_TYPE_CURRENCY:
        return (Amount(f"currency:{message.currency}", message.value),)
    cosmetic = message.type == reward_pb2.REWARD_TYPE_COSMETIC
    return _items(message.items, f"{path}.items", cosmetic=cosmetic)


def _items(messages: Iterable[reward_pb2.RewardItem], path: str, *, cosmetic: bool) -> tuple[Amount, ...]:
    items: dict[str, Amount] = {}
    for number, each in enumerate(messages):
        if each.id in items:
            raise InvalidArgument.of(f"{path}[{number}].id", "must be another than that of the other items")
        type_ = _cosmetic(each.type) if cosmetic else each.type
        if len(type_) > _MOST_TYPE:
            rule = f"must have at most {_MOST_TYPE} characters, as {type_}"
            raise InvalidArgument.of(f"{path}[{number}].type", rule)
        items[each.id] = Amount(f"item:{each.id}", each.quantity, type_)
    return tuple(items.values())


def _cosmetic(type_: str) -> str:
    """By an item's type it is known, wherever it turns up, that one is enough."""
    if type_ == COSMETIC or type_.startswith(f"{COSMETIC}."):
        return type_
    return f"{COSMETIC}.{type_}" if type_ else COSMETIC


def loot_table(message: reward_pb2.Reward, path: str) -> LootTable | None:
    """None: it is no loot. Raises InvalidArgument."""
    if message.type != reward_pb2.REWARD_TYPE_LOOT:
        return None
    loot, at = message.loot, f"{path}.loot"
    table = LootTable(
        guaranteed=_entries(loot.guaranteed, f"{at}.guaranteed"),
        weighted=_entries(loot.weighted, f"{at}.weighted"),
        rolls=loot.rolls,
        max_repeat=loot.max_repeat,
    )
    for number, entry in enumerate(table.guaranteed):
        if not entry.asset:
            raise InvalidArgument.of(f"{at}.guaranteed[{number}]", "must be an item or a currency")
    if not table.guaranteed and not table.weighted:
        raise InvalidArgument.of(at, "must have something guaranteed or weighted")
    drawable = sum(entry.weight > 0 for entry in table.weighted)
    if table.weighted and not drawable:
        raise InvalidArgument.of(f"{at}.weighted", "must have an entry with a weight")
    if bool(table.weighted) != bool(table.rolls):
        raise InvalidArgument.of(f"{at}.rolls", "must be given with something weighted, and only then")
    if table.max_repeat and table.rolls > table.max_repeat * drawable:
        raise InvalidArgument.of(f"{at}.max_repeat", "must let the entries be drawn as often as rolls says")
    return table


def _entries(messages: Iterable[reward_pb2.LootEntry], path: str) -> tuple[LootEntry, ...]:
    return tuple(_entry(each, f"{path}[{number}]") for number, each in enumerate(messages))


def _entry(message: reward_pb2.LootEntry, path: str) -> LootEntry:
    if message.item and message.currency:
        raise InvalidArgument.of(f"{path}.currency", "must not stand beside an item")
    if message.item_type and not message.item:
        raise InvalidArgument.of(f"{path}.item_type", "says nothing without an item")
    asset = f"item:{message.item}" if message.item else ""
    if message.currency:
        asset = f"currency:{message.currency}"
    low = message.min or 1
    high = message.max or low
    step = message.step or 1
    if high < low:
        raise InvalidArgument.of(f"{path}.max", "must not be less than min")
    if (high - low) % step:
        raise InvalidArgument.of(f"{path}.step", "must divide what is between min and max")
    return LootEntry(message.weight, asset, low, high, step, message.item_type)

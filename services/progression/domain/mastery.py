"""Mastery of kinds of play: levels with rewards, each unlocked once for ever."""

from collections.abc import Collection, Iterable

from services.progression.domain.character import Character
from services.progression.domain.definition import Definition, MasteryType, Reward
from services.progression.domain.events import MasteryGain


def gains(
    definition: Definition, character: Character, awarded: Iterable[tuple[str, int]]
) -> tuple[MasteryGain, ...]:
    """What experience by type makes of levels and rewards. Raises InvalidArgument MASTERY_TYPE_UNKNOWN."""
    return tuple(_gain(definition.mastery_type(type_), character, amount) for type_, amount in awarded)


def _gain(mastery: MasteryType, character: Character, amount: int) -> MasteryGain:
    before = character.mastery.get(mastery.type, 0)
    level = mastery.curve.level(before + amount)
    return MasteryGain(
        type=mastery.type,
        experience=amount,
        from_level=mastery.curve.level(before),
        to_level=level,
        reward_ids=unlocked(mastery, level, character.rewards),
    )


def unlocked(mastery: MasteryType, level: int, owned: Collection[str]) -> tuple[str, ...]:
    """The rewards that `level` gives to whoever owns those: also one that a later definition put below it."""
    return tuple(
        reward.reward_id
        for reward in mastery.rewards
        if reward.level <= level and reward.reward_id not in owned
    )


def next_reward(mastery: MasteryType, owned: Collection[str]) -> Reward | None:
    return next((reward for reward in mastery.rewards if reward.reward_id not in owned), None)

"""What the file of a definition may say: every field with its range, and the rules between fields.

Rules that need the curves which a definition names are in `definition.py`.
"""

from collections import Counter
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MICRO = 1_000_000
MOST_MICRO = 1_000_000_000
"""A prestige bonus is a thousandfold at most."""
MOST_POINTS = (2**63 - 1) // 1_000
"""In one attribute: its effect in 1/1000 stays a 64-bit integer."""

Name = Annotated[str, Field(pattern="^[a-z0-9_]{1,32}$")]
Versioned = Annotated[str, Field(pattern="^[a-z0-9_]{1,48}-[1-9][0-9]{0,8}$")]
"""Name and version of a curve or definition, such as `paragon-1`."""
Title = Annotated[str, Field(min_length=1, max_length=64)]
Experience = Annotated[int, Field(ge=0, le=2**63 - 1)]
LevelNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
Mode = Literal["keep_experience", "keep_level"]
Track = Annotated[str, Field(pattern=r"^(base|paragon|mastery\.[a-z0-9_]{1,32})$")]
Role = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,31}$")]

ROLES: dict[str, str] = {
    "combat.kill": "killer|assist",
    "combat.session_ended": "player|winner|place_[1-9][0-9]*"
    "|duel|team_deathmatch|battle_royale|raid|tournament|training",
    "liveops.boss_kill": "killer",
    "liveops.drop_claimed": "claimer",
}
"""Event types that may give something, each with the roles in it, as a pattern."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RespecPart(Part):
    """`cost`: a curve; respec n, from 0, takes the total of its n-th level; the first `free` take nothing."""

    free: Annotated[int, Field(ge=0, le=1_000_000)]
    cost: Versioned


class BasePart(Part):
    curve: Versioned
    cap: LevelNumber
    """The highest level; experience beyond it is paragon experience."""


class ReturnsPart(Part):
    """Points above `above` are worth `milli` each, in 1/1000."""

    above: Annotated[int, Field(ge=0, le=MOST_POINTS)]
    milli: Annotated[int, Field(ge=0, le=1_000)]


class AttributePart(Part):
    cap: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = None
    returns: Annotated[list[ReturnsPart], Field(min_length=1, max_length=32)] = [
        ReturnsPart(above=0, milli=1_000)
    ]

    @model_validator(mode="after")
    def check(self) -> Self:
        above = [each.above for each in self.returns]
        milli = [each.milli for each in self.returns]
        if above[0] != 0:
            raise ValueError(f"returns[0].above must be 0, not {above[0]}")
        if any(here >= there for here, there in pairwise(above)):
            raise ValueError("returns: above must rise from one to the next")
        if any(here <= there for here, there in pairwise(milli)):
            raise ValueError("returns: milli must fall from one to the next")
        return self


class AttributesPart(Part):
    strength: AttributePart = AttributePart()
    agility: AttributePart = AttributePart()
    intelligence: AttributePart = AttributePart()
    vitality: AttributePart = AttributePart()
    luck: AttributePart = AttributePart()


class ParagonPart(Part):
    curve: Versioned
    points_per_level: Annotated[int, Field(ge=0, le=1_000)]
    attributes: AttributesPart = AttributesPart()
    respec: RespecPart


class KeepsPart(Part):
    """What a reset leaves to a character. Without paragon there is nothing to keep points by."""

    paragon: bool
    points: bool

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.points and not self.paragon:
            raise ValueError("points can only be kept when paragon is kept")
        return self


class PrestigePart(Part):
    mode: Literal["additive", "multiplicative"]
    step_micro: Annotated[int, Field(ge=0, le=100 * MICRO)]
    cap_micro: Annotated[int, Field(ge=MICRO, le=MOST_MICRO)] = MOST_MICRO
    """The highest bonus on experience."""
    required_level: LevelNumber
    cost: Versioned
    """A curve; reset n, from 0, takes the total of its n-th level."""
    keeps: KeepsPart

    @model_validator(mode="after")
    def check(self) -> Self:
        # A power is reckoned exactly: the smaller the step, the more digits until it reaches the cap.
        if self.mode == "multiplicative" and self.step_micro < MICRO // 100:
            raise ValueError(f"step_micro must be at least {MICRO // 100} when mode is multiplicative")
        return self


class RewardPart(Part):
    level: LevelNumber
    reward_id: Annotated[str, Field(pattern="^[a-z0-9_.-]{1,64}$")]
    title: Title


class MasteryPart(Part):
    title: Title
    curve: Versioned
    rewards: Annotated[list[RewardPart], Field(max_length=1_000)] = []


class GainPart(Part):
    experience: Experience = 0
    mastery: dict[Name, Annotated[int, Field(ge=1, le=2**63 - 1)]] = {}


class DefinitionDocument(Part):
    name: Annotated[str, Field(pattern="^[a-z0-9_]{1,48}$")]
    version: Annotated[int, Field(ge=1, le=999_999_999)]
    base: BasePart
    paragon: ParagonPart
    prestige: PrestigePart
    mastery: Annotated[dict[Name, MasteryPart], Field(max_length=64)]
    level_difference: Literal["none", "path_of_exile"] = "none"
    """What an award that names a content level loses by its distance to the base level."""
    awards: dict[str, dict[Role, GainPart]] = {}
    changes: dict[Versioned, dict[Track, Mode]] = {}
    """Definitions whose characters may come to this one, and what of each track stays the same then."""

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.prestige.required_level > self.base.cap:
            raise ValueError(f"prestige.required_level must not be above base.cap, {self.base.cap}")
        rewards = Counter(each.reward_id for type_ in self.mastery.values() for each in type_.rewards)
        if again := [reward_id for reward_id, count in rewards.items() if count > 1]:
            raise ValueError(f"mastery: the reward_id {again[0]!r} is used twice")
        return self

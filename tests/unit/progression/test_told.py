"""What others hear of what happened to a character."""

from __future__ import annotations

from typing import Any

from arenamesh.events.v1 import progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.progression.batch import Recorded
from services.progression.domain.character import Character
from services.progression.domain.events import (
    ATTRIBUTES,
    DefinitionChanged,
    Enrolled,
    Event,
    ExperienceAwarded,
    MasteryGain,
    PointsDistributed,
    PointsRespecced,
    PrestigeReset,
    TrackChange,
)
from services.progression.told import tell
from tests.support.progression_rules import NOW

MAGE = Character("ann-mage", "ann", "default-1", version=7)
ABOUT: dict[str, Any] = {"character_id": "ann-mage", "player_id": "ann", "version": 7}
KINDS = {
    "progression.experience_awarded": progression_pb2.ProgressionExperienceAwarded,
    "progression.level_up": progression_pb2.ProgressionLevelUp,
    "progression.prestige_reset": progression_pb2.ProgressionPrestigeReset,
    "progression.mastery_level_up": progression_pb2.ProgressionMasteryLevelUp,
}
POINTS = dict.fromkeys(ATTRIBUTES, 0)


def told(event: Event) -> list[Envelope]:
    return tell(Recorded("ann-mage", 7, event, NOW, "service:studio"), MAGE)


def said(envelopes: list[Envelope]) -> list[Any]:
    found = []
    for envelope in envelopes:
        data = KINDS[envelope.type]()
        assert envelope.data.Unpack(data)
        found.append(data)
    return found


def awarded(**changes: Any) -> ExperienceAwarded:
    fields: dict[str, Any] = {
        "source": "combat.kill",
        "base": 100,
        "multipliers": (),
        "experience": 2**70,
        "base_experience": 100,
        "paragon_experience": 2**70 - 100,
        "from_base_level": 3,
        "to_base_level": 3,
        "from_paragon_level": 0,
        "to_paragon_level": 0,
    }
    return ExperienceAwarded(**(fields | changes))


def test_an_award_that_raises_nothing_is_one_event() -> None:
    gain = MasteryGain("pvp", 25, 1, 1)
    (envelope,) = envelopes = told(awarded(mastery=(gain,)))
    assert envelope.id == "ann-mage:7:experience_awarded"
    assert (envelope.source, envelope.subject) == ("arenamesh/progression", "ann-mage")
    assert envelope.time.ToDatetime(NOW.tzinfo) == NOW
    assert said(envelopes) == [
        progression_pb2.ProgressionExperienceAwarded(
            **ABOUT,
            source="combat.kill",
            base="100",
            experience=str(2**70),
            mastery=[progression_pb2.ProgressionMasteryGain(type="pvp", experience="25")],
        )
    ]


def test_every_level_that_rose_is_told_after_the_award_under_an_id_of_its_own() -> None:
    envelopes = told(
        awarded(
            to_base_level=50,
            to_paragon_level=2**40,
            mastery=(
                MasteryGain("pvp", 25, 1, 3, ("mastery.pvp.2", "mastery.pvp.3")),
                MasteryGain("raid", 5, 4, 4),
                MasteryGain("combat", 5, 4, 5),
            ),
        )
    )
    assert [envelope.id for envelope in envelopes] == [
        "ann-mage:7:experience_awarded",
        "ann-mage:7:level_up:base",
        "ann-mage:7:level_up:paragon",
        "ann-mage:7:mastery_level_up:pvp",
        "ann-mage:7:mastery_level_up:combat",
    ]
    _, base, paragon, pvp, combat = said(envelopes)
    assert base == progression_pb2.ProgressionLevelUp(**ABOUT, track="base", from_level=3, to_level=50)
    assert paragon == progression_pb2.ProgressionLevelUp(**ABOUT, track="paragon", to_level=2**40)
    assert pvp == progression_pb2.ProgressionMasteryLevelUp(
        **ABOUT, type="pvp", from_level=1, to_level=3, reward_ids=["mastery.pvp.2", "mastery.pvp.3"]
    )
    assert combat == progression_pb2.ProgressionMasteryLevelUp(
        **ABOUT, type="combat", from_level=4, to_level=5
    )


def test_a_reset_says_what_it_gives_and_of_no_level() -> None:
    reset = PrestigeReset(
        number=2,
        cost=10,
        base_level=50,
        paragon_level=9,
        base_experience=0,
        paragon_experience=5,
        points=POINTS,
        xp_micro=1_200_000,
        currency_micro=1_200_000,
        drop_rate_micro=1_100_000,
    )
    envelopes = told(reset)
    assert [envelope.id for envelope in envelopes] == ["ann-mage:7:prestige_reset"]
    assert said(envelopes) == [
        progression_pb2.ProgressionPrestigeReset(
            **ABOUT, resets=2, xp_micro=1_200_000, currency_micro=1_200_000, drop_rate_micro=1_100_000
        )
    ]


def change(track: str, from_level: int, to_level: int, *reward_ids: str) -> TrackChange:
    return TrackChange(track, "a-1", "a-2", "keep_experience", 10, 10, from_level, to_level, reward_ids)


def test_another_definition_raises_levels_and_unlocks_rewards_too() -> None:
    tracks = (
        change("base", 3, 4),
        change("paragon", 9, 2),
        change("mastery.pvp", 5, 5, "mastery.pvp.new"),
        change("mastery.raid", 5, 4),
    )
    envelopes = told(DefinitionChanged("default-1", "default-2", tracks, POINTS, points_returned=False))
    assert [envelope.id for envelope in envelopes] == [
        "ann-mage:7:level_up:base",
        "ann-mage:7:mastery_level_up:pvp",
    ]
    _, pvp = said(envelopes)
    assert (pvp.from_level, pvp.to_level, list(pvp.reward_ids)) == (5, 5, ["mastery.pvp.new"])


def test_points_are_nobody_elses_business() -> None:
    for event in (Enrolled("ann", "default-1"), PointsDistributed(POINTS), PointsRespecced(POINTS, 5)):
        assert told(event) == []

"""The domain in the words of the contract: every field of every event, and what is absent."""

from datetime import UTC, datetime
from typing import Any

import pytest
from arenamesh.progression.v1 import paragon_pb2, service_pb2
from google.protobuf.json_format import MessageToDict

from services.progression import translate
from services.progression.batch import Recorded
from services.progression.domain import events
from services.progression.domain.award import Award
from services.progression.domain.character import Character
from services.progression.domain.definition import MasteryType, Reward
from services.progression.statistics import Bucket, GlobalStatistics, Top, bucket_end

AT = datetime(2026, 11, 20, 9, 30, 0, 250_000, tzinfo=UTC)
HUGE = 2**80
POINTS = {"strength": 5, "agility": 4, "intelligence": 3, "vitality": 2, "luck": 1}


def told(event: events.Event) -> dict[str, Any]:
    """What the history says of an event, as REST shows it."""
    shown = MessageToDict(
        translate.history_event(Recorded("ada", 7, event, AT, "player:ada")), preserving_proto_field_name=True
    )
    assert (shown.pop("version"), shown.pop("actor")) == ("7", "player:ada")
    assert shown.pop("time") == "2026-11-20T09:30:00.250Z"
    return shown


def test_an_award_with_all_there_is_to_it() -> None:
    message = service_pb2.ExperienceAward(
        character_id="hero",
        player_id="ada",
        source="raid",
        experience=9,
        mastery=[service_pb2.MasteryAward(type="raid", experience=4)],
        multipliers=[
            service_pb2.AwardMultiplier(name="b", micro=2),
            service_pb2.AwardMultiplier(name="a", micro=1),
        ],
        content_level=3,
    )
    assert translate.to_award(message) == Award(
        "hero", "ada", "raid", 9, (("raid", 4),), (("b", 2), ("a", 1)), 3
    )
    message.ClearField("content_level")
    assert translate.to_award(message).content_level is None


def test_points_go_there_and_back() -> None:
    message = paragon_pb2.AttributePoints(**POINTS)
    assert translate.to_points(message) == POINTS
    assert translate.attribute_points(POINTS) == message


def test_every_event_of_the_domain_has_its_words() -> None:
    """What a new event would need: this fails until it is told too."""
    shown = {
        "enrolled": told(events.Enrolled("ada", "default-1")),
        "experience_awarded": told(_AWARDED),
        "points_distributed": told(events.PointsDistributed(POINTS)),
        "points_respecced": told(events.PointsRespecced(POINTS, HUGE)),
        "prestige_reset": told(_RESET),
        "definition_changed": told(_CHANGED),
    }
    assert set(shown) == set(events.TYPES)
    for type_, each in shown.items():
        assert list(each) == [type_]


_AWARDED = events.ExperienceAwarded(
    source="raid",
    base=HUGE,
    multipliers=(events.Multiplier("prestige", 1_100_000, HUGE + 1),),
    experience=HUGE + 1,
    base_experience=1,
    paragon_experience=HUGE,
    from_base_level=49,
    to_base_level=50,
    from_paragon_level=0,
    to_paragon_level=2**62,
    mastery=(events.MasteryGain("raid", 10, 1, 2, ("mastery.raid.2",)),),
)


def test_an_award_is_told_with_how_it_came_about() -> None:
    assert told(_AWARDED)["experience_awarded"] == {
        "source": "raid",
        "base": str(HUGE),
        "multipliers": [{"name": "prestige", "micro": "1100000", "result": str(HUGE + 1)}],
        "experience": str(HUGE + 1),
        "base_experience": "1",
        "paragon_experience": str(HUGE),
        "base_level": {"from": "49", "to": "50"},
        "paragon_level": {"to": str(2**62)},
        "mastery": [
            {
                "type": "raid",
                "experience": "10",
                "level": {"from": "1", "to": "2"},
                "reward_ids": ["mastery.raid.2"],
            }
        ],
    }


_RESET = events.PrestigeReset(
    number=3,
    cost=HUGE,
    base_level=50,
    paragon_level=9,
    base_experience=0,
    paragon_experience=5,
    points=POINTS,
    xp_micro=1_300_000,
    currency_micro=1_200_000,
    drop_rate_micro=1_150_000,
)


def test_a_reset_is_told_with_its_price_and_its_bonuses() -> None:
    assert told(_RESET)["prestige_reset"] == {
        "number": "3",
        "time": "2026-11-20T09:30:00.250Z",
        "base_level": 50,
        "paragon_level": "9",
        "cost": str(HUGE),
        "bonuses": {"xp_micro": "1300000", "currency_micro": "1200000", "drop_rate_micro": "1150000"},
    }


_CHANGED = events.DefinitionChanged(
    "default-1",
    "default-2",
    (events.TrackChange("mastery.raid", "a-1", "b-2", "keep_level", HUGE, 6, 3, 4, ("r",)),),
    POINTS,
    points_returned=True,
)


def test_a_change_of_definition_is_told_by_track() -> None:
    assert told(_CHANGED)["definition_changed"] == {
        "from": "default-1",
        "to": "default-2",
        "tracks": [
            {
                "track": "mastery.raid",
                "from_curve": "a-1",
                "to_curve": "b-2",
                "mode": "keep_level",
                "experience_before": str(HUGE),
                "experience_after": "6",
                "level": {"from": "3", "to": "4"},
            }
        ],
        "points_returned": True,
    }


def test_rewards_rise_by_level_over_all_types() -> None:
    def kind(type_: str, *levels: int) -> MasteryType:
        rewards = tuple(Reward(f"{type_}.{level}", level, "T") for level in levels)
        return MasteryType(type_, "T", None, rewards)  # type: ignore[arg-type]  # no curve is asked

    owner = Character("ada", "ada", "default-1", 3, rewards={"raid.5": AT})
    found = translate.mastery_rewards([kind("raid", 5, 20), kind("pvp", 5, 10)], owner)
    assert [each.reward_id for each in found] == ["pvp.5", "raid.5", "pvp.10", "raid.20"]
    assert [each.unlocked for each in found] == [False, True, False, False]
    assert [each.HasField("unlocked_at") for each in found] == [False, True, False, False]


# -- statistics ---------------------------------------------------------------------------------------


def statistics(*buckets: tuple[int, int]) -> GlobalStatistics:
    """Characters by the lowest level of their bucket."""
    return GlobalStatistics(
        characters=sum(count for _, count in buckets),
        experience=HUGE,
        levels=sum(level * count for level, count in buckets),
        points=POINTS,
        distribution=tuple(Bucket(level, bucket_end(level), count) for level, count in buckets),
        top=(Top(1, "ada", 5, HUGE), Top(2, "ben", 4, 9)),
    )


def test_no_more_of_the_best_than_were_asked_for() -> None:
    shown = translate.global_stats(statistics((4, 1), (5, 1)), 1)
    assert [each.character_id for each in shown.top] == ["ada"]
    assert (shown.experience, shown.average_experience) == (str(HUGE), str(HUGE // 2))
    assert shown.average_level_milli == 4500


@pytest.mark.parametrize(
    ("level", "percentile_milli"),
    [(0, 0), (3, 0), (4, 25_000), (99, 50_000), (100, 50_000), (129, 75_000), (10**18, 100_000)],
)
def test_a_percentile_counts_lower_buckets(level: int, percentile_milli: int) -> None:
    found = statistics((3, 1), (7, 1), (110, 1), (120, 1))
    assert found.percentile_milli(level) == percentile_milli


def test_of_nobody_there_is_no_share() -> None:
    assert statistics().percentile_milli(5) == 0


@pytest.mark.parametrize(
    ("lowest", "end"), [(0, 0), (99, 99), (100, 109), (990, 999), (1000, 1099), (92 * 10**17, 2**63 - 1)]
)
def test_where_a_bucket_ends(lowest: int, end: int) -> None:
    assert bucket_end(lowest) == end

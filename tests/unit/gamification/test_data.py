"""What comes with the service: every file can be installed, and what it counts is there to be counted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import protovalidate
import pytest
from arenamesh.gamification.v1 import achievement_pb2, quest_pb2, requirement_pb2, reward_pb2
from google.protobuf import json_format

from services.chassis.calendar import Calendar
from services.chassis.event_fields import EVENTS
from services.gamification.domain.catalogue import conditions
from services.gamification.domain.definitions import Aggregation, AllOf, AnyOf, Condition, Operator
from services.gamification.domain.window import Sliding
from services.gamification.settings import GamificationSettings
from services.gamification.shelf import MESSAGES, Definition, Shelf, document
from services.gamification.sources import violations
from services.gamification.translate_in import is_reference

DATA = GamificationSettings().data_dir
MASTERY = DATA.parents[1] / "progression" / "data" / "definitions" / "default-1.json"
FOLDERS = {"metrics": "metric", "rewards": "reward", "achievements": "achievement", "quests": "quest"}
FILES = [path for folder in FOLDERS for path in sorted((DATA / folder).glob("*.json"))]
AT = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def message(path: Path) -> Any:
    return json_format.Parse(path.read_text(), MESSAGES[FOLDERS[path.parent.name]]())


@cache
def shelf() -> Shelf:
    return Shelf(
        1,
        [
            Definition(FOLDERS[path.parent.name], path.stem, 1, document(message(path)), 0, AT, AT)
            for path in FILES
        ],
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_keeps_the_contract(path: Path) -> None:
    protovalidate.validate(message(path))
    assert message(path).id == path.stem


def test_all_files_are_read_into_the_rules() -> None:
    catalogue = shelf().catalogue
    assert len(catalogue.metrics) == len(list((DATA / "metrics").iterdir()))
    assert len(catalogue.newest_achievements()) == 20
    assert len(catalogue.newest_quests()) == 8
    assert sum(reward.loot is not None for reward in catalogue.rewards.values()) == 3


def test_every_field_of_a_source_is_in_its_event() -> None:
    sources = [(metric, source) for metric in shelf().catalogue.metrics.values() for source in metric.sources]
    assert {source.event for _, source in sources} <= set(EVENTS)
    wrong = {
        metric.id: found for metric, source in sources if (found := violations(metric.aggregation, source))
    }
    assert not wrong


def test_only_rewards_that_there_are_are_paid() -> None:
    found = shelf()
    rewards = [
        reward
        for message in [*found.achievements.values(), *found.quests.values()]
        for holder in [message, *getattr(message, "steps", [])]
        for reward in holder.rewards
    ]
    assert all(map(is_reference, rewards))
    assert {reward.id for reward in rewards} <= set(found.rewards)


def test_quests_build_on_what_there_is() -> None:
    found = shelf()
    named = [
        requirement
        for quest in found.quests.values()
        for requirements in [quest.requirements, *(step.requirements for step in quest.steps)]
        for requirement in requirements
        if requirement.id
    ]
    assert named
    for requirement in named:
        of_quest = requirement.type == requirement_pb2.REQUIREMENT_TYPE_QUEST
        assert requirement.id in (found.quests if of_quest else found.achievements)


def test_every_reward_of_a_mastery_is_there_under_its_title() -> None:
    tracks = json.loads(MASTERY.read_text())["mastery"].values()
    wanted = {reward["reward_id"]: reward["title"] for track in tracks for reward in track["rewards"]}
    assert {
        id_: reward.title for id_, reward in shelf().rewards.items() if id_.startswith("mastery.")
    } == wanted


def test_cosmetics_are_paid_as_such() -> None:
    for reward in shelf().rewards.values():
        cosmetic = reward.type == reward_pb2.REWARD_TYPE_COSMETIC
        for item in reward.items:
            assert (item.type.split(".")[0] == "cosmetic") == cosmetic, reward.id


def test_there_is_something_of_every_kind() -> None:
    found = shelf()
    types = Counter(each.type for each in found.achievements.values())
    assert set(types) == set(achievement_pb2.AchievementType.values()) - {0}
    assert types[achievement_pb2.ACHIEVEMENT_TYPE_SECRET] == 1
    assert {each.type for each in found.quests.values()} == set(quest_pb2.QuestType.values()) - {0}
    catalogue = found.catalogue
    all_conditions: list[Condition] = []
    for each in catalogue.newest_achievements():
        all_conditions += conditions(each.requirement)
    aggregations = {catalogue.metrics[each.metric].aggregation for each in all_conditions}
    assert {Aggregation.COUNT, Aggregation.SUM, Aggregation.MAX, Aggregation.DISTINCT} <= aggregations
    assert any(isinstance(each.window, Sliding) for each in all_conditions)
    assert any(isinstance(each.window, Calendar) and each.window.zone != "UTC" for each in all_conditions)
    assert any(each.operator is Operator.LT and each.closing for each in all_conditions)
    assert any(each.repeat for each in catalogue.newest_achievements())
    members = [member for each in catalogue.newest_achievements() for member in each.requirement.members]
    assert any(isinstance(each, AnyOf) for each in members)
    quests = catalogue.newest_quests()
    steps = [step for each in quests for step in each.steps]
    assert any(each.auto_start for each in quests)
    assert any(each.time_limit and each.repeat for each in quests)
    assert any(each.start_date and each.end_date for each in quests)
    assert any(step.optional for step in steps)
    assert any(step.player_confirms for step in steps)
    assert any(not step.player_confirms and step.requirement == AllOf(()) for step in steps)
    assert any(len({step.order for step in each.steps}) == 1 < len(each.steps) for each in quests)
    assert any(len({step.order for step in each.steps}) == 3 for each in quests)
    assert any(metric.limits for metric in catalogue.metrics.values())

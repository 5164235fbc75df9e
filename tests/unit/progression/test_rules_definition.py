"""What a definition may say, and what is told about one that says something else."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.progression.domain import definition_document
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character, applied
from services.progression.domain.curve import load_curves
from services.progression.domain.definition import (
    Cost,
    Definition,
    DefinitionError,
    Definitions,
    Gain,
    load_definitions,
    parse_definition,
)
from services.progression.domain.definition_document import ROLES
from tests.support.progression_rules import NOW

DATA = Path(__file__).parents[3] / "services" / "progression" / "data"
CURVES = load_curves(DATA / "curves")
INSTALLED = load_definitions(DATA / "definitions", CURVES)
DEFAULT = INSTALLED["default-1"]


def document() -> Any:
    return json.loads((DATA / "definitions" / "default-1.json").read_text())


def changed(path: str, value: object) -> Any:
    """The default, with the field at `a.b.0` set."""
    whole = copy.deepcopy(document())
    *steps, last = path.split(".") if "|" not in path else path.split("|")
    part = whole
    for step in steps:
        part = part[int(step) if isinstance(part, list) else step]
    part[int(last) if isinstance(part, list) else last] = value
    return whole


def test_the_default_says_what_the_game_promises() -> None:
    assert DEFAULT.base.cap == 50
    assert DEFAULT.prestige.required_level == 50
    assert (DEFAULT.prestige.mode, DEFAULT.prestige.step_micro) == ("additive", 100_000)
    assert set(DEFAULT.mastery) == {"raid", "dungeon", "world_boss", "pvp", "exploration", "combat"}
    for type_, mastery in DEFAULT.mastery.items():
        assert (mastery.curve.first_level, mastery.curve.last_level) == (1, 100)
        assert 6 <= len(mastery.rewards) <= 10
        assert [each.reward_id for each in mastery.rewards] == [
            f"mastery.{type_}.{each.level}" for each in mastery.rewards
        ]
        assert all(2 <= each.level <= 100 for each in mastery.rewards)
    kill = DEFAULT.gain("combat.kill", "killer")
    assist = DEFAULT.gain("combat.kill", "assist")
    assert kill.experience == 100
    assert {type_ for type_, _ in kill.mastery} == {"combat", "pvp"}
    assert 0 < assist.experience < kill.experience
    assert set(DEFAULT.awards) == set(ROLES)
    assert DEFAULT.level_difference is not None
    assert DEFAULT.level_difference(24, 19) == 950_419


def test_levels_rise_within_the_first_kills_of_a_match() -> None:
    """A bot match has some kills a minute: by the third, base level and both masteries have risen."""
    kill = DEFAULT.gain("combat.kill", "killer")
    character: Character | None = None
    for _ in range(3):
        given = Award("ann", "", "combat.kill", kill.experience, kill.mastery)
        for event in award(DEFAULT, character, given):
            character = applied(character, "ann", event, NOW)
    assert character is not None
    assert DEFAULT.base.curve.level(character.base_experience) > 1
    assert set(character.rewards) == {"mastery.combat.2", "mastery.pvp.2"}


def test_an_event_gives_the_sum_of_all_roles() -> None:
    gain = DEFAULT.gain("combat.session_ended", "player", "winner", "place_1", "duel")
    assert gain.experience == 150 + 250 + 100
    assert dict(gain.mastery) == {"combat": 125, "pvp": 105}
    assert DEFAULT.gain("combat.session_ended", "place_44") == Gain()
    assert DEFAULT.gain("combat.session_started", "player") == Gain()


def test_a_mastery_type_that_is_unknown_is_told_with_those_that_are() -> None:
    with pytest.raises(InvalidArgument, match=r"type: 'fishing' is not one of .*raid") as refused:
        DEFAULT.mastery_type("fishing")
    assert refused.value.reason == "MASTERY_TYPE_UNKNOWN"
    assert refused.value.violations[0].field == "type"


def test_costs_go_by_how_many_were_done() -> None:
    curve = CURVES["respec_cost-1"]
    assert [Cost(curve).of(done) for done in range(4)] == [0, 100, 225, 375]
    assert [Cost(curve, free=3).of(done) for done in range(5)] == [0, 0, 0, 375, 550]
    ends = CURVES["path_of_exile-1"]
    assert [Cost(ends).of(done) for done in (98, 99, 100, 10**9)] == [
        3_932_818_530,
        *[4_250_334_444] * 3,
    ]


def test_points_are_worth_less_and_less() -> None:
    luck = DEFAULT.paragon.attributes["luck"]
    assert [luck.effect_milli(points) for points in (0, 1, 50, 51, 100, 101, 200)] == [
        0,
        1_000,
        50_000,
        50_500,
        75_000,
        75_250,
        100_000,
    ]
    assert luck.most == 200
    assert DEFAULT.paragon.attributes["strength"].cap is None


WRONG = [
    ("base.cap", 51, r"base\.cap: must be a level of base-1 above its first"),
    ("base.cap", 1, r"prestige\.required_level must not be above base\.cap, 1"),
    ("base.cap", "50", r"base\.cap: Input should be a valid integer"),
    ("base.cap", 50.5, r"base\.cap: "),
    ("base.curve", "nothing-1", r"base\.curve: 'nothing-1' is not one of base-1, "),
    ("base.colour", "red", r"base\.colour: Extra inputs are not permitted"),
    ("paragon.points_per_level", -1, r"paragon\.points_per_level: .*greater than or equal to 0"),
    ("paragon.curve", "nothing-1", r"paragon\.curve: "),
    ("paragon.respec.cost", "nothing-1", r"paragon\.respec\.cost: "),
    ("paragon.attributes.charm", {}, r"paragon\.attributes\.charm: Extra inputs"),
    ("paragon.attributes.luck.cap", 0, r"paragon\.attributes\.luck\.cap: "),
    ("paragon.attributes.luck.returns", [{"above": 1, "milli": 5}], r"returns\[0\]\.above must be 0, not 1"),
    (
        "paragon.attributes.luck.returns",
        [{"above": 0, "milli": 9}, {"above": 0, "milli": 5}],
        r"paragon\.attributes\.luck: returns: above must rise",
    ),
    (
        "paragon.attributes.luck.returns",
        [{"above": 0, "milli": 5}, {"above": 9, "milli": 5}],
        r"paragon\.attributes\.luck: returns: milli must fall",
    ),
    ("prestige.required_level", 51, r"prestige\.required_level must not be above base\.cap, 50"),
    ("prestige.mode", "magical", r"prestige\.mode: "),
    ("prestige.cap_micro", 999_999, r"prestige\.cap_micro: "),
    ("prestige.cost", "nothing-1", r"prestige\.cost: "),
    ("prestige.keeps.paragon", False, r"prestige\.keeps: points can only be kept when paragon is kept"),
    ("mastery.raid.curve", "paragon-1", r"mastery\.raid\.curve: paragon-1 must have a last level"),
    (
        "mastery.raid.rewards.0.level",
        101,
        r"mastery\.raid\.rewards\[0\]\.level: must be a level of mastery-1",
    ),
    ("mastery.raid.rewards.0.level", 1, r"mastery\.raid\.rewards\[0\]\.level: "),
    ("mastery.raid.rewards.0.reward_id", "mastery.pvp.2", r"the reward_id 'mastery\.pvp\.2' is used twice"),
    ("mastery.raid.rewards.0.reward_id", "Über", r"mastery\.raid\.rewards\[0\]\.reward_id: "),
    ("mastery|Raid", {"title": "x", "curve": "mastery-1"}, r"mastery\.Raid.*: String should match"),
    ("level_difference", "some", r"level_difference: "),
    ("awards|combat.hit", {}, r"awards\.combat\.hit: must be one of combat\.kill, "),
    ("awards|combat.kill|victim", {}, r"awards\.combat\.kill\.victim: must match killer\|assist"),
    (
        "awards|combat.kill|killer|mastery",
        {"fishing": 1},
        r"awards\.combat\.kill\.killer\.mastery\.fishing: ",
    ),
    ("awards|combat.kill|killer|experience", -1, r"awards\.combat\.kill\.killer\.experience: "),
    ("changes", {"default-0": {}}, r"changes\.default-0"),
    (
        "changes",
        {"other-1": {"mastery.fishing": "keep_level"}},
        r"changes\.other-1\.mastery\.fishing: no such",
    ),
    ("changes", {"other-1": {"base": "keep_both"}}, r"changes\.other-1\.base: "),
    ("version", 2, r"name: the file of default 2 must be called after both"),
]


@pytest.mark.parametrize(("path", "value", "told"), WRONG, ids=[f"{each[0]}={each[1]}" for each in WRONG])
def test_what_is_wrong_is_told_with_file_field_and_rule(path: str, value: object, told: str) -> None:
    with pytest.raises(DefinitionError, match=told) as refused:
        parse_definition(changed(path, value), "default-1", CURVES)
    assert str(refused.value).startswith("default-1.json: ")


EXAMPLES = [
    json.loads(text)
    for text in re.findall(r"```json\n(.*?)```", (DATA / "definitions" / "README.md").read_text(), re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=["+".join(each) for each in EXAMPLES])
def test_what_the_designers_are_taught_works(example: Any) -> None:
    curves = dict(CURVES) | {"paragon-2": CURVES["paragon-1"]}
    whole = document() | {"awards": {}} | example
    parse_definition(whole, f"default-{whole['version']}", curves)


def test_every_field_is_taught() -> None:
    taught = (DATA / "definitions" / "README.md").read_text()
    parts = [value for value in vars(definition_document).values() if isinstance(value, type)]
    fields = {
        name for part in parts if issubclass(part, definition_document.Part) for name in part.model_fields
    }
    assert len(fields) > 30
    assert {name for name in fields if name not in taught} == set()


def test_a_multiplicative_bonus_has_a_least_step() -> None:
    whole = changed("prestige.mode", "multiplicative")
    parse_definition(whole, "default-1", CURVES)
    whole["prestige"]["step_micro"] = 9_999
    with pytest.raises(DefinitionError, match="prestige: step_micro must be at least 10000"):
        parse_definition(whole, "default-1", CURVES)


def test_a_file_must_be_json_and_its_changes_be_there(tmp_path: Path) -> None:
    (tmp_path / "broken-1.json").write_text("{")
    with pytest.raises(DefinitionError, match=r"broken-1\.json: not JSON"):
        load_definitions(tmp_path, CURVES)
    (tmp_path / "broken-1.json").unlink()
    later = document() | {"version": 2, "changes": {"default-1": {"paragon": "keep_level"}}}
    (tmp_path / "default-2.json").write_text(json.dumps(later))
    with pytest.raises(DefinitionError, match=r"default-2\.json: changes\.default-1: no other definition"):
        load_definitions(tmp_path, CURVES)
    (tmp_path / "default-1.json").write_text(json.dumps(document()))
    found = load_definitions(tmp_path, CURVES)
    assert set(found) == {"default-1", "default-2"}
    assert found["default-2"].changes == {"default-1": {"paragon": "keep_level"}}


def test_a_character_follows_the_definition_it_pins() -> None:
    later: Definition = parse_definition(document() | {"version": 2}, "default-2", CURVES)
    installed = Definitions(later, {"default-1": DEFAULT, "default-2": later})
    assert installed.of(None) is later
    assert installed.of(Character("ann", "ann", "default-1", version=1)) is DEFAULT
    with pytest.raises(FailedPrecondition) as refused:
        installed.of(Character("ann", "ann", "gone-1", version=1))
    assert refused.value.reason == "DEFINITION_NOT_INSTALLED"

"""What a ruleset may say: the default one, every rule between fields, messages that name the field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from native.ruleset import Ruleset
from services.combat.domain.ruleset import RulesetError, check_ruleset, load_ruleset
from tests.support.rulesets import DEFAULT, default_document

Step = str | int


def changed(path: tuple[Step, ...], value: Any) -> dict[str, Any]:
    document = default_document()
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return document


def problems(document: Any) -> list[str]:
    with pytest.raises(RulesetError) as caught:
        check_ruleset(document)
    return caught.value.problems


def test_the_default_ruleset_is_complete() -> None:
    document = load_ruleset(DEFAULT)
    ruleset = Ruleset(document)
    assert {"rifle", "shotgun", "sniper", "pistol", "smg", "grenade", "rocket_launcher"} < set(
        ruleset.weapon_names
    )
    assert {"knife", "medic_beam"} < set(ruleset.weapon_names)
    assert {weapon["kind"] for weapon in document["weapons"]} == {"hitscan", "melee", "projectile"}
    assert {weapon["falloff"]["kind"] for weapon in document["weapons"]} == {
        "none",
        "curve",
        "smooth",
        "exponential",
    }
    kinds = {effect["kind"] for action in document["actions"] for effect in action["effects"]}
    assert kinds == {
        "damage",
        "heal",
        "shield",
        "speed",
        "damage_dealt",
        "damage_taken",
        "stun",
        "immune",
        "dash",
        "reload",
    }
    assert {action["target"] for action in document["actions"]} == {"self", "enemy", "point", "area"}
    assert ruleset.mode_names == (
        "deathmatch",
        "duel",
        "team_deathmatch",
        "battle_royale",
        "raid",
        "training",
    )


def test_checking_again_changes_nothing() -> None:
    document = load_ruleset(DEFAULT)
    assert check_ruleset(document) == document
    assert json.loads(json.dumps(document)) == document


def test_what_is_left_out_is_filled_in() -> None:
    medic = next(weapon for weapon in load_ruleset(DEFAULT)["weapons"] if weapon["name"] == "medic_beam")
    assert (medic["magazine"], medic["pellets"], medic["crit_factor"]) == (0, 1, 1)
    assert medic["falloff"] == {"kind": "none"}
    assert medic["region"] == {"head": 1, "torso": 1, "stomach": 1, "arm": 1, "leg": 1}


RIFLE, SNIPER, GRENADE, KNIFE, MEDIC = 0, 2, 5, 7, 8
DASH, SHIELD, PULSE, STUN, FIRE = 0, 1, 2, 4, 5


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("name",), "Default!", "name: String should match pattern"),
        (("version",), 0, "version: Input should be greater than or equal to 1"),
        (("colour",), "red", "colour: Extra inputs are not permitted"),
        (("player", "health"), 0, "player.health: Input should be greater than or equal to 1"),
        (("player", "health"), "100", "player.health: Input should be a valid number"),
        (("player", "health"), float("nan"), "player.health: Input should be a finite number"),
        (
            ("armour",),
            {"kind": "absorb", "bonus": 0},
            "armour.bonus: Input should be greater than or equal to 0.001",
        ),
        (("judge", "history_ticks"), 65, "judge: history_ticks must be a power of two, not 65"),
        (("judge", "history_ticks"), 16, "judge.history_ticks must hold rewind.max_rewind_s"),
        (("rewind", "jitter_min_s"), 0.9, "rewind: jitter_min_s must not exceed jitter_max_s"),
        (("rewind", "interpolation_s"), 0.9, "rewind: interpolation_s must not exceed interpolation_max_s"),
        (("movement", "height_m", "crouch"), 2.0, "movement: height_m.crouch must not exceed height_m.stand"),
        (("movement", "step_m"), 1.3, "movement: step_m must be below height_m.crouch"),
        (("weapons", RIFLE, "damage"), -1, "weapons[0].damage: Input should be greater than or equal to 0"),
        (
            ("weapons", RIFLE, "kind"),
            "laser",
            "weapons[0]: Input tag 'laser' found using 'kind' does not match",
        ),
        (("weapons", RIFLE, "fuse_s"), 1, "weapons[0].fuse_s: Extra inputs are not permitted"),
        (("weapons", RIFLE, "magazine"), 0, "weapons[0]: reserve needs a magazine"),
        (("weapons", RIFLE, "reload_s"), 0, "weapons[0]: a magazine needs reload_s above 0"),
        (
            ("weapons", RIFLE, "falloff", "curve"),
            [[5, 1], [5, 1]],
            "weapons[0].falloff: distances of the curve",
        ),
        (("weapons", RIFLE, "falloff", "curve"), [[5]], "weapons[0].falloff.curve[0][1]: Field required"),
        (
            ("weapons", RIFLE, "falloff", "curve"),
            [[5, "x"]],
            "weapons[0].falloff.curve[0][1]: Input should be",
        ),
        (
            ("weapons", SNIPER, "penetration"),
            16,
            "weapons[2].penetration: Input should be less than or equal to 15",
        ),
        (("weapons", GRENADE, "penetration"), 1, "weapons[5]: a projectile stops at what it touches"),
        (("weapons", GRENADE, "blast_m"), 0, "weapons[5]: a projectile that bounces needs blast_m"),
        (("weapons", KNIFE, "arc_deg"), 0, "weapons[7].arc_deg: Input should be greater than 0"),
        (("weapons", KNIFE, "crit_factor"), 0.5, "weapons[7]: crit_factor below 1"),
        (("weapons", MEDIC, "lifesteal"), 0.5, "weapons[8]: a weapon that heals has no lifesteal"),
        (("weapons", RIFLE, "name"), "smg", "weapons: the name 'smg' is used twice"),
        (("actions", DASH, "cooldown_s"), 0, "actions[0]: charges need cooldown_s above 0"),
        (("actions", DASH, "interruptible"), True, "actions[0]: interruptible needs cast_s above 0"),
        (("actions", DASH, "cost"), 101, "action 'dash': cost is above player.resource"),
        (("actions", SHIELD, "effects"), [], "actions[1].effects: List should have at least 1 item"),
        (("actions", PULSE, "area_side"), None, "actions[2]: area_m and area_side are needed"),
        (
            ("actions", PULSE, "effects", 1, "period_s"),
            0,
            "actions[2].effects[1]: duration_s and period_s go",
        ),
        (("actions", PULSE, "effects", 1, "period_s"), 9, "actions[2].effects[1]: period_s must be 0.01"),
        (("actions", PULSE, "effects", 0), {"kind": "heal"}, "actions[2].effects[0].amount: Field required"),
        (("actions", STUN, "range_m"), 0, "actions[4]: range_m is needed"),
        (("actions", FIRE, "area_m"), 0, "actions[5]: area_m and area_side are needed"),
        (
            ("actions", SHIELD, "effects"),
            [{"kind": "stun", "duration_s": 1}, {"kind": "stun", "duration_s": 2}],
            "actions[1]: two lasting effects of kind stun",
        ),
        (("player", "shield_max"), 0, "action 'shield': a shield needs player.shield_max above 0"),
        (("modes", 0, "respawns"), False, "modes[0]: respawn_s needs respawns"),
        (("modes",), [], "modes: List should have at least 1 item"),
        (("rig", "eye_m", "crouch"), 1.4, "rig.eye_m.crouch must not be above movement.height_m.crouch"),
        (("rig", "shapes"), [], "rig.shapes: Input should be a valid dictionary"),
        (("rig",), "octopus", "rig: 'octopus' is not one of humanoid"),
        (("rig",), "../rulesets/default-1", "rig: '../rulesets/default-1' is not one of humanoid"),
    ],
)
def test_a_problem_names_the_field_and_the_rule(path: tuple[Step, ...], value: Any, problem: str) -> None:
    found = problems(changed(path, value))
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_all_problems_are_told_at_once() -> None:
    document = changed(("player", "health"), -1)
    document["modes"][2]["teams"] = 17
    assert [problem.split(":")[0] for problem in problems(document)] == ["player.health", "modes[2].teams"]


@pytest.mark.parametrize("document", [None, [], "default", 7])
def test_a_ruleset_is_an_object(document: Any) -> None:
    assert "valid dictionary" in problems(document)[0]


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "broken-1.json"
    path.write_text('{"name": ')
    with pytest.raises(RulesetError, match=r"^broken-1\.json: not JSON: Expecting value"):
        load_ruleset(path)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd-1.json"
    path.write_text(json.dumps(changed(("version",), -2)))
    with pytest.raises(RulesetError, match=r"^odd-1\.json: version: "):
        load_ruleset(path)


def numbers(part: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Paths of all numbers of a document."""
    if isinstance(part, dict | list):
        steps: Iterable[tuple[Step, Any]] = part.items() if isinstance(part, dict) else enumerate(part)
        for step, value in steps:
            yield from numbers(value, (*path, step))
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield path


def test_the_compiler_takes_whatever_the_check_lets_through() -> None:
    """Each number of the default ruleset in turn at the ends of every range. Hitboxes are the compiler's."""
    ends = (0, 0.001, 1, 5, 10, 15, 100, 255, 1_000, 3_600, 10_000, 86_400, 1_000_000, 2**31 - 1)
    accepted = 0
    for path in numbers(default_document()):
        if path[:2] == ("rig", "shapes"):
            continue
        for value in ends:
            try:
                document = check_ruleset(changed(path, value))
            except RulesetError:
                continue
            Ruleset(document)
            accepted += 1
    assert accepted > 1_000

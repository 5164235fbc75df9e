"""The compiler of rulesets: units, order, limits, errors with a path, hash."""

from __future__ import annotations

import math
from typing import Any

import pytest

from native.ruleset import Ruleset
from tests.support.rulesets import action_document, default_document, named, ruleset_with, weapon_document

Path = tuple[str | int, ...]


def changed(path: Path, value: Any) -> dict[str, Any]:
    """The default document with one value replaced (or removed: None)."""
    document: Any = default_document()
    part = document
    for step in path[:-1]:
        part = part[step]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return dict(document)


def test_names_are_indices_in_order() -> None:
    ruleset = Ruleset(default_document())
    assert (ruleset.name, ruleset.version) == ("default", 1)
    assert ruleset.weapon_names[:3] == ("rifle", "shotgun", "sniper")
    assert ruleset.action_names[0] == "dash"
    assert "battle_royale" in ruleset.mode_names
    tables = ruleset.tables()
    assert len(tables["weapons"]) == len(ruleset.weapon_names)
    assert len(tables["actions"]) == len(ruleset.action_names)
    assert len(tables["modes"]) == len(ruleset.mode_names)


def test_weapons_in_the_units_of_the_core() -> None:
    rifle, shotgun, sniper, *_ = Ruleset(default_document()).tables()["weapons"]
    assert rifle["kind"] == 1
    assert rifle["damage_milli"] == 22_000
    assert rifle["fire_interval_us"] == 100_000
    assert rifle["spread_rad"] == math.radians(0.4)
    assert rifle["region_q16"] == [65536, 131_072, 65536, 72_090, 58_982, 52_429]
    assert rifle["falloff"]["points"] == 3
    assert rifle["falloff"]["distance_m"][:3] == [25.0, 60.0, 120.0]
    assert shotgun["pellets"] == 8
    assert (sniper["penetration"], sniper["penetration_q16"]) == (2, 39_322)


def test_chance_reaches_certainty() -> None:
    chances = [weapon_document(name=f"gun{chance}", crit_chance=chance) for chance in (0, 0.5, 1)]
    compiled = ruleset_with(weapons=chances).tables()["weapons"]
    assert [weapon["crit_chance_q32"] for weapon in compiled] == [0, 2**31, 2**32]


def test_projectiles_and_melee_have_their_own_fields() -> None:
    weapons = [named("weapons", "grenade"), named("weapons", "knife")]
    grenade, knife = ruleset_with(weapons=weapons).tables()["weapons"]
    assert (grenade["kind"], grenade["fuse_us"], grenade["bounces"], grenade["blast_edge_q16"]) == (
        3,
        2_500_000,
        8,
        9_830,
    )
    assert (knife["kind"], knife["arc_rad"], knife["speed_mps"]) == (2, math.radians(40), 0.0)


def test_actions_and_effects() -> None:
    actions = [named("actions", "heal_pulse"), named("actions", "dash")]
    pulse, dash = ruleset_with(actions=actions).tables()["actions"]
    assert (pulse["target"], pulse["area_side"], pulse["area_m"]) == (5, 2, 8.0)
    assert [effect["amount_milli"] for effect in pulse["effect"]] == [20_000, 5_000]
    assert (pulse["effect"][1]["duration_us"], pulse["effect"][1]["period_us"]) == (4_000_000, 1_000_000)
    assert (dash["charges"], dash["effect"][0]["kind"], dash["effect"][0]["speed_mps"]) == (2, 9, 22.0)


def test_player_judge_rewind_armour_and_movement() -> None:
    tables = Ruleset(default_document()).tables()
    assert tables["player"]["resource_per_s_milli"] == 12_000
    assert tables["judge"] == {"origin_tolerance_m": 0.5, "interest_m": 120.0, "history_ticks": 64}
    assert tables["rewind"]["max_rewind_us"] == 250_000
    assert tables["rewind"]["on_break"] == 0
    assert tables["armour"] == {"kind": 2, "health_share_q16": 26_214, "bonus_q16": 65_536, "percent_q16": 0}
    assert tables["move"]["speed_mps"] == [0.0, 5.0, 7.5, 2.5, 8.0, 3.0, 0.0]
    assert tables["move"]["height_m"] == [1.8, 1.3, 1.8]
    assert tables["move"]["clock_drift_q16"] == 655


def test_the_rig_has_every_stance() -> None:
    rig = Ruleset(default_document()).tables()["rig"]
    assert rig["eye"] == [1.62, 1.1, 1.62]
    assert rig["count"] == [15, 15, 15]
    assert rig["shapes"][0][0]["region"] == 1
    assert rig["centre"] + rig["reach"] >= 1.8, "the top of the head is within reach"


def test_modes() -> None:
    modes = [named("modes", "team_deathmatch"), named("modes", "battle_royale")]
    team, royale = ruleset_with(modes=modes).tables()["modes"]
    assert (team["teams"], team["score_limit"], team["respawn_us"]) == (2, 75, 4_000_000)
    assert royale["respawns"] == 0


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("name",), 7, r"^name: must be a text"),
        (("version",), -1, r"^version: must be 0\.\.2147483647, not -1"),
        (("player",), [], r"^player: is no object but list"),
        (("player", "health"), None, r"^player\.health: is missing"),
        (("player", "health"), 1e30, r"^player\.health: must be 0\.\.9\.22337e\+15, not 1e\+30"),
        (("player", "health"), 10**400, r"^player\.health: must be finite"),
        (("player", "health"), True, r"^player\.health: must be a number, not True"),
        (("rewind", "jitter_factor"), 40_000.0, r"^rewind\.jitter_factor: must be 0\.\.32768, not"),
        (("rewind", "on_break"), "guess", r"^rewind\.on_break: must be one of present, reject, clamp"),
        (("movement", "speed_mps", "swim"), None, r"^movement\.speed_mps\.swim: is missing"),
        (("movement", "burst_s"), 1e5, r"^movement\.burst_us: 1"),
        (("rig", "shapes", "air"), [], r"^rig\.shapes\.air: a list of 1 to 24 shapes"),
        (("rig", "eye_m", "stand"), "high", r"^rig\.eye_m\.stand: a number is needed"),
        (("weapons",), {}, r"^weapons: must be a list, not dict"),
        (("weapons", 1, "pellets"), 256, r"^weapons\[1\]\.pellets: must be 0\.\.255, not 256"),
        (("weapons", 1, "pellets"), 2.5, r"^weapons\[1\]\.pellets: must be an integer, not 2\.5"),
        (("weapons", 2, "crit_chance"), 1.01, r"^weapons\[2\]\.crit_chance: must be 0\.\.1, not 1\.01"),
        (("weapons", 0, "heals"), 1, r"^weapons\[0\]\.heals: must be true or false, not 1"),
        (("weapons", 0, "name"), "smg", r"^weapons\[4\]\.name: 'smg' is used twice"),
        (("weapons", 0, "range_m"), math.nan, r"^weapons\[0\]\.range_m: must be finite, not nan"),
        (("weapons", 0, "damage"), -1, r"^weapons\[0\]\.damage: must be 0\.\."),
        (
            ("weapons", 0, "falloff", "curve"),
            [[metres, 1] for metres in range(9)],
            r"^weapons\[0\]\.falloff\.curve: has 9 entries, at most 8 fit",
        ),
        (("weapons", 0, "falloff", "curve"), [], r"^weapons\[0\]\.falloff\.curve: needs at least one point"),
        (
            ("weapons", 0, "falloff", "curve"),
            [[1, 1, 1]],
            r"^weapons\[0\]\.falloff\.curve\[0\]: must be a pair",
        ),
        (
            ("weapons", 0, "falloff", "curve"),
            [[5, 1], [5, 0]],
            r"^weapons\[0\]\.falloff\.curve\[1\]: distances must rise",
        ),
        (("actions", 3, "effects", 0, "kind"), "bless", r"^actions\[3\]\.effects\[0\]\.kind: must be one of"),
        (("modes", 0, "teams"), 300, r"^modes\[0\]\.teams: must be 0\.\.255, not 300"),
    ],
)
def test_an_error_names_the_field(path: Path, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ruleset(changed(path, value))


def test_more_than_the_tables_hold() -> None:
    weapons = [weapon_document(name=f"gun{index}") for index in range(33)]
    with pytest.raises(ValueError, match=r"^weapons: has 33 entries, at most 32 fit"):
        ruleset_with(weapons=weapons)
    assert len(ruleset_with(weapons=weapons[:32]).weapon_names) == 32
    actions = [action_document(name=f"act{index}") for index in range(33)]
    with pytest.raises(ValueError, match=r"^actions: has 33 entries, at most 32 fit"):
        ruleset_with(actions=actions)
    five = action_document(effects=[{"kind": "reload"}] * 5)
    with pytest.raises(ValueError, match=r"^actions\[0\]\.effects: has 5 entries, at most 4 fit"):
        ruleset_with(actions=[five])
    modes = [named("modes", "duel") | {"name": f"mode{index}"} for index in range(17)]
    with pytest.raises(ValueError, match=r"^modes: has 17 entries, at most 16 fit"):
        ruleset_with(modes=modes)


@pytest.mark.parametrize("document", [None, [], "default"])
def test_a_document_is_an_object(document: Any) -> None:
    with pytest.raises(ValueError, match=r"^document: is no object"):
        Ruleset(document)


def test_the_hash_is_of_the_rules_not_of_their_spelling() -> None:
    first = Ruleset(default_document())
    assert first.hash() == Ruleset(dict(reversed(default_document().items()))).hash()
    assert first.hash() == Ruleset(changed(("player", "health"), 100)).hash(), "100 is 100.0"
    assert first.hash() != Ruleset(changed(("player", "health"), 100.001)).hash()
    assert len(first.hash()) == 16
    assert int(first.hash(), 16) > 0

"""A rule that is changed in one place is found out by the property: so the property looks at that place."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from tests.unit.progression import test_rules_properties as properties

SEEDS = 800
"""Tried at most; most mutants are found among the first hundred."""
MODULES = {
    name: import_module(f"services.progression.domain.{name}")
    for name in ("award", "definition", "levels", "mastery", "paragon", "prestige", "remap", "standing")
}
MUTANTS = [
    ("award", "experience * micro // MICRO", "(experience * micro + MICRO // 2) // MICRO"),
    ("award", "experience * micro // MICRO", "-(-experience * micro // MICRO)"),
    ("award", "[*factors, *given.multipliers]", "[*given.multipliers, *factors]"),
    ("award", "min(experience, base.full - character.base_experience)", "min(experience, base.full)"),
    ("award", "base.full - character.base_experience", "base.full - character.base_experience - 1"),
    ("award", "if character.resets:", "if character.resets > 1:"),
    ("definition", "if done < self.free", "if done <= self.free"),
    ("definition", "self.curve.first_level + done\n", "self.curve.first_level + done - self.free\n"),
    ("definition", "min(level, last)", "level % (last + 1)"),
    ("definition", "(level - self.curve.first_level) *", "level *"),
    ("definition", "(end - part.above) * part.milli", "end * part.milli"),
    ("definition", "self.curve.total(self.cap)", "self.curve.total(self.cap - 1) + 1"),
    ("mastery", "reward.reward_id not in owned), None", "True), None"),
    ("mastery", "reward.level <= level and", "reward.level < level and"),
    ("mastery", "and reward.reward_id not in owned\n    )", "\n    )"),
    ("levels", "None if number == last else", "None if number == curve.last_level else"),
    ("paragon", "sum(added.values()) > unspent", "sum(added.values()) > earned"),
    ("paragon", "sum(added.values()) > unspent", "sum(added.values()) >= unspent"),
    ("paragon", "+ more > most", "+ more > most + 1"),
    ("paragon", ".in_level\n", ".experience\n"),
    ("paragon", "cost > in_level", "cost >= in_level"),
    ("prestige", "level < prestige.required_level", "level <= prestige.required_level"),
    ("prestige", "cost > character.paragon_experience", "cost >= character.paragon_experience"),
    ("prestige", "keeps_points and affordable", "keeps_points"),
    ("prestige", "character.points_spent <= points_earned", "character.points_spent < points_earned"),
    ("prestige", "character.paragon_experience - cost if", "character.paragon_experience if"),
    ("prestige", "(factor - MICRO) // 2)", "(factor - MICRO))"),
    ("prestige", "** resets * MICRO // MICRO**resets", "* resets"),
    ("remap", "fit and character.points_spent <= earned", "fit"),
    ("remap", "if fit and", "if"),
    ("remap", "stood.in_level * (new.curve.total(level + 1) - reached) // stood.of_level", "stood.in_level"),
    ("remap", "paragon_after += max(base_after - new.base.full, 0)", "pass"),
    ("remap", "max(stood.level, new.curve.first_level)", "stood.level + new.curve.first_level"),
]


def mutant(module: ModuleType, fragment: str, instead: str) -> ModuleType:
    source = Path(str(module.__file__)).read_text()
    assert source.count(fragment) == 1, f"{fragment!r} occurs {source.count(fragment)} times"
    changed = ModuleType(module.__name__)
    exec(compile(source.replace(fragment, instead), str(module.__file__), "exec"), vars(changed))
    return changed


def put_in_place(patch: pytest.MonkeyPatch, module: ModuleType, changed: ModuleType) -> None:
    """Wherever a function of the module was imported, that of the mutant; in its classes, those of theirs."""
    for user in (*MODULES.values(), properties):
        for name, value in list(vars(user).items()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                patch.setattr(user, name, vars(changed)[name])
    for cls in [value for value in vars(module).values() if isinstance(value, type)]:
        for name, value in list(vars(cls).items()) if cls.__module__ == module.__name__ else []:
            if isinstance(value, FunctionType | property) and not name.startswith("__"):
                patch.setattr(cls, name, vars(vars(changed)[cls.__name__])[name])


def found_out() -> bool:
    for seed in range(SEEDS):
        try:
            properties.one_step_from_any_state(seed)
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize(
    ("name", "fragment", "instead"), MUTANTS, ids=[f"{name}: {instead}" for name, _, instead in MUTANTS]
)
def test_a_changed_rule_is_found_out(
    name: str, fragment: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_place(monkeypatch, MODULES[name], mutant(MODULES[name], fragment, instead))
    assert found_out()


def test_the_rules_as_they_are_hold_for_the_same_seeds() -> None:
    assert not found_out()

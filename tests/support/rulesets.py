"""The default ruleset, and small ones made from it, for tests of the core."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from native.ruleset import Ruleset
from services.combat.domain.ruleset import load_ruleset

DEFAULT = Path(__file__).parents[2] / "services" / "combat" / "data" / "rulesets" / "default-1.json"


@cache
def _default() -> dict[str, Any]:
    return load_ruleset(DEFAULT)


@cache
def _default_text() -> str:
    return json.dumps(_default())


def default_document() -> dict[str, Any]:
    """A fresh copy of the complete default document, to be changed at will."""
    document: dict[str, Any] = json.loads(_default_text())
    return document


def ruleset_with(**parts: Any) -> Ruleset:
    """The default ruleset with whole parts of its document replaced; not checked, only compiled."""
    return Ruleset(_default() | parts)


def weapon_document(**fields: Any) -> dict[str, Any]:
    """A complete hitscan weapon: unlimited rounds, ten shots a second, unless told otherwise."""
    return named("weapons", "medic_beam") | {"name": "gun", "heals": False, "fire_interval_s": 0.1} | fields


def action_document(**fields: Any) -> dict[str, Any]:
    """A complete action upon oneself without cost, cooldown or lasting effect, unless told otherwise."""
    return named("actions", "reload") | {"name": "act"} | fields


def named(field: str, name: str) -> dict[str, Any]:
    """A copy of one of the default weapons, actions or modes."""
    entries: list[dict[str, Any]] = _default()[field]
    return copy.deepcopy(next(entry for entry in entries if entry["name"] == name))

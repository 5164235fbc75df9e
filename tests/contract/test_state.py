"""Nothing that is judged is missing from the state hash, and nothing at all from a saved match: a field added
to the state must be hashed and saved, or said to be left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
STRUCTS = [
    ("movement", "mover_t"),
    ("rewind", "link_t"),
    ("damage", "body_t"),
    ("actions", "armed_t"),
    ("actions", "ability_t"),
    ("actions", "active_t"),
    ("actions", "loadout_t"),
    ("types", "effect_t"),
    ("state", "seat_t"),
    ("state", "entry_t"),
    ("state", "flight_t"),
    ("state", "attacker_t"),
    ("state", "kept_t"),
    ("state", "arena_t"),
]
MADE_OF = {"rules", "world", "tick_rate", "max_commands", "volatile_kinds", "spawns", "spawn"}
PASSING = {"scratch", "contact", "command", "verdict", "evidence"}
WRITERS = {"barrier", "awaits", "journalling", "journal", "hits", "caused", "events", "out"}
NOT_HASHED = {
    # Only shown, or where the ring of kept verdicts stands: they are hashed in their order.
    "seat_t": {"disconnected", "shown_tick", "kept_at"},
    # What it does is in the fields of the running effect.
    "effect_t": {"duration_us", "speed_mps"},
    # Counted from what is hashed; only shown.
    "arena_t": {"max_entries", "mask", "album", "trusted_tick", "counters"}
    | (MADE_OF - {"rules"})
    | PASSING
    | WRITERS,
}
NOT_SAVED = {"arena_t": {"key", "counters"} | (MADE_OF - {"rules"}) | PASSING | WRITERS}


def fields(module: str, struct: str) -> set[str]:
    text = (NATIVE / f"{module}.pxd").read_text()
    block = re.search(rf"^(?:ctypedef|cdef) struct {struct}:.*\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert block is not None, f"{struct} is not in {module}.pxd"
    names = re.findall(r"^    \w[\w ]*?\s\*?(\w+)(?:\[.*?\])?\s*(?:#.*)?$", block[1], re.MULTILINE)
    assert names
    return set(names)


def missing(module: str, struct: str, source: str) -> set[str]:
    text = (NATIVE / source).read_text()
    return {name for name in fields(module, struct) if not re.search(rf"[.&]{name}\b", text)}


@pytest.mark.parametrize(("module", "struct"), STRUCTS)
def test_every_field_is_hashed(module: str, struct: str) -> None:
    assert missing(module, struct, "digest.pyx") == NOT_HASHED.get(struct, set())


@pytest.mark.parametrize(("module", "struct"), STRUCTS)
def test_every_field_is_saved(module: str, struct: str) -> None:
    assert missing(module, struct, "contents.pyx") == NOT_SAVED.get(struct, set())


def test_what_is_saved_as_words_has_no_padding() -> None:
    block = re.search(r"struct entity_t:.*\n((?:    .*\n)+)", (NATIVE / "snapshot.pxd").read_text())
    words = re.search(r"ENTITY_WORDS = (\d+)", (NATIVE / "contents.pxd").read_text())
    assert block is not None and words is not None
    kinds = re.findall(r"^    (uint8_t|u?int32_t) \w+", block[1], re.MULTILINE)
    assert len(kinds) == block[1].count("\n")
    # Bytes come first, four to a word.
    assert kinds == sorted(kinds, key=lambda kind: kind != "uint8_t")
    assert sum(1 if kind == "uint8_t" else 4 for kind in kinds) == 4 * int(words[1])
    assert kinds.count("uint8_t") % 4 == 0

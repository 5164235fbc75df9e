"""Nothing that is judged is missing from the state hash: a field added to the state must be hashed, or said
to be left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
# Only shown, or where the ring of kept verdicts stands: the verdicts themselves are hashed in their order.
LEFT_OUT = {"seat_t": {"disconnected", "shown_tick", "kept_at"}}


def fields(module: str, struct: str) -> set[str]:
    text = (NATIVE / f"{module}.pxd").read_text()
    block = re.search(rf"^(?:ctypedef|cdef) struct {struct}:.*\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert block is not None, f"{struct} is not in {module}.pxd"
    names = re.findall(r"^    \w[\w ]*?\s\*?(\w+)(?:\[.*?\])?\s*(?:#.*)?$", block[1], re.MULTILINE)
    assert names
    return set(names)


@pytest.mark.parametrize(
    ("module", "struct"),
    [
        ("movement", "mover_t"),
        ("rewind", "link_t"),
        ("damage", "body_t"),
        ("actions", "armed_t"),
        ("actions", "ability_t"),
        ("actions", "active_t"),
        ("actions", "loadout_t"),
        ("state", "seat_t"),
        ("state", "flight_t"),
        ("state", "entry_t"),
    ],
)
def test_every_field_is_hashed(module: str, struct: str) -> None:
    digest = (NATIVE / "digest.pyx").read_text()
    missing = {name for name in fields(module, struct) if not re.search(rf"[.&]{name}\b", digest)}
    assert missing == LEFT_OUT.get(struct, set())

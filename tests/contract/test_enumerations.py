"""The enumerations of the native core are those of the contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, verdict_pb2
from google.protobuf.descriptor import EnumDescriptor

TYPES = Path(__file__).parents[2] / "native" / "types.pxd"


def native(name: str) -> dict[str, int]:
    """The members of an enumeration in `types.pxd`. `*_COUNT`, which is none of the contract's, must follow
    the last one."""
    text = TYPES.read_text()
    block = re.search(rf"^ctypedef enum {name}:.*\n((?:    .*\n)+)", text, re.MULTILINE)
    assert block is not None, f"{name} is not in types.pxd"
    members = {key: int(value) for key, value in re.findall(r"^    (\w+) = (\d+)", block[1], re.MULTILINE)}
    for count in [key for key in members if key.endswith("_COUNT")]:
        assert members.pop(count) == max(members.values()) + 1
    return members


def contract(enumeration: EnumDescriptor, prefix: str, own: str) -> dict[str, int]:
    return {value.name.replace(prefix, own, 1): value.number for value in enumeration.values}


@pytest.mark.parametrize(
    ("name", "enumeration", "prefix", "own", "zero"),
    [
        ("Outcome", verdict_pb2.Outcome, "OUTCOME_", "OUTCOME_", None),
        ("Reason", verdict_pb2.Reason, "REASON_", "REASON_", "REASON_NONE"),
        ("Clamp", verdict_pb2.Clamp, "CLAMP_", "CLAMP_", "CLAMP_NONE"),
        ("Region", verdict_pb2.Region, "REGION_", "REGION_", "REGION_NONE"),
        ("EndReason", event_pb2.EndReason, "END_REASON_", "END_", "END_NONE"),
        ("ActionPhase", event_pb2.ActionPhase, "ACTION_PHASE_", "PHASE_", "PHASE_NONE"),
        ("MoveMode", play_pb2.MoveMode, "MOVE_MODE_", "MODE_", "MODE_NONE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_are_equal(name: str, enumeration: object, prefix: str, own: str, zero: str | None) -> None:
    expected = contract(enumeration.DESCRIPTOR, prefix, own)  # type: ignore[attr-defined]
    assert expected.pop(f"{own}UNSPECIFIED") == 0
    members = native(name)
    if zero is not None:
        assert members.pop(zero) == 0
    assert members == expected


def test_command_kinds_are_the_field_numbers() -> None:
    kinds = play_pb2.Command.DESCRIPTOR.oneofs_by_name["kind"].fields
    expected = {f"COMMAND_{field.name.upper()}": field.number for field in kinds}
    assert native("CommandKind") == {"COMMAND_NONE": 0} | expected

"""Spectators' frames put together."""

from collections.abc import Sequence
from typing import Any

from arenamesh.combat.v1 import spectate_pb2


def world_of(found: Sequence[spectate_pb2.SpectatorFrame]) -> dict[int, dict[str, Any]]:
    """What a viewer that follows the differences ends up with."""
    seen: dict[int, dict[str, Any]] = {}
    for frame in found:
        if not frame.HasField("snapshot"):
            continue
        if not frame.snapshot.baseline_tick:
            seen = {}
        for slot in frame.snapshot.removed:
            seen.pop(slot, None)
        for entity in frame.snapshot.entities:
            fields = {field.name: value for field, value in entity.ListFields()}
            seen.setdefault(entity.slot, {}).update(fields)
    return seen

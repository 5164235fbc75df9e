"""A map as a file: static geometry, spawn points and a graph for bots. Checked whole when it is read, so
that the native core and the bots can rely on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

COORDINATE_MAX_M = 10_000.0
SOLIDS_MAX = 100_000
SPAWNS_MAX = 1_000
WAYPOINTS_MAX = 10_000

Metres = Annotated[float, Field(ge=-COORDINATE_MAX_M, le=COORDINATE_MAX_M, allow_inf_nan=False, strict=True)]
Point = tuple[Metres, Metres, Metres]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Box(_Part):
    low: Point
    high: Point

    @model_validator(mode="after")
    def _ordered(self) -> Box:
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("low must be below high on every axis")
        return self


class Spawn(_Part):
    at: Point
    yaw: float = Field(default=0.0, ge=-100.0, le=100.0, allow_inf_nan=False)
    """Radians, counter-clockwise from +x."""
    team: int = Field(default=0, ge=0, le=255)
    """Plus one; 0: any team."""


class Waypoint(_Part):
    at: Point
    next: list[int]
    """Waypoints one can walk to in a straight line; an edge is listed at both ends."""


class Map(_Part):
    map_id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    name: str = Field(min_length=1, max_length=80)
    bounds: Box
    """Feet outside are out of bounds."""
    boxes: list[Box] = Field(default_factory=list)
    triangles: list[tuple[Point, Point, Point]] = Field(default_factory=list)
    spawns: list[Spawn] = Field(min_length=1, max_length=SPAWNS_MAX)
    waypoints: list[Waypoint] = Field(default_factory=list, max_length=WAYPOINTS_MAX)

    @model_validator(mode="after")
    def _fits(self) -> Map:
        if len(self.boxes) + len(self.triangles) > SOLIDS_MAX:
            raise ValueError(f"boxes, triangles: at most {SOLIDS_MAX} solids")
        for i, spawn in enumerate(self.spawns):
            if not self._holds(spawn.at):
                raise ValueError(f"spawns[{i}].at: outside of bounds")
        for i, waypoint in enumerate(self.waypoints):
            if not self._holds(waypoint.at):
                raise ValueError(f"waypoints[{i}].at: outside of bounds")
            for other in waypoint.next:
                if not 0 <= other < len(self.waypoints) or other == i:
                    raise ValueError(f"waypoints[{i}].next: {other} is not another waypoint")
                if i not in self.waypoints[other].next:
                    raise ValueError(f"waypoints[{i}].next: {other} does not lead back")
        return self

    def _holds(self, at: Point) -> bool:
        low, high = self.bounds.low, self.bounds.high
        return all(low[k] <= at[k] <= high[k] for k in range(3))


def parse_map(document: object) -> Map:
    """Raises ValueError with one line a fault, each with its path: `boxes[3]: low must be below ...`."""
    try:
        return Map.model_validate(document)
    except ValidationError as error:
        faults = (
            f"{_path(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
        )
        raise ValueError("\n".join(faults)) from error


def load_map(path: Path) -> dict[str, Any]:
    """The document for `native.world.World`. Raises ValueError (with the file's name) or OSError."""
    try:
        return parse_map(json.loads(path.read_text(encoding="utf-8"))).model_dump(mode="json")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _path(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{text.lstrip('.')}: " if text else ""

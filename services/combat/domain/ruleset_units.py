"""Units and ranges of the fields of a ruleset, and what all its parts have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern="^[a-z0-9_-]+$", max_length=64)]
Points = Annotated[float, Field(ge=0, le=1e6)]
"""Health, armour, shield or resource points; kept in 1/1000."""
Seconds = Annotated[float, Field(ge=0, le=86_400)]
"""Kept in microseconds."""
SomeSeconds = Annotated[float, Field(ge=0.001, le=86_400)]
ClockSeconds = Annotated[float, Field(ge=0, le=3_600)]
"""In the time budgets of movement."""
SomeClockSeconds = Annotated[float, Field(ge=0.001, le=3_600)]
Metres = Annotated[float, Field(ge=0, le=10_000)]
SomeMetres = Annotated[float, Field(gt=0, le=10_000)]
Speed = Annotated[float, Field(ge=0, le=1_000)]
"""Metres a second."""
Acceleration = Annotated[float, Field(ge=0, le=10_000)]
"""Metres a second, each second."""
Factor = Annotated[float, Field(ge=0, le=100)]
"""Multiplies; kept in 1/65536."""
Share = Annotated[float, Field(ge=0, le=1)]
Angle = Annotated[float, Field(ge=0, le=180)]
"""Half angle of a cone, degrees."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

"""Stored events mean the same for ever: those of every schema, as they once were written, and what they made.

`golden/events_schema_<n>.json` is never changed: it stands for what is in databases. A new shape of an event
is a step in `events.STEPS` and a new file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import DataLoss
from services.progression.domain import events
from services.progression.domain.character import Character, fold
from services.progression.domain.events import SCHEMA, TYPES, from_json, to_json, type_of, upcast

GOLDEN = Path(__file__).parent / "golden"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def golden(schema: int) -> Any:
    return json.loads((GOLDEN / f"events_schema_{schema}.json").read_text())


def at(number: int) -> datetime:
    return BEGIN + timedelta(seconds=number)


def folded(schema: int) -> Character | None:
    stored = golden(schema)["events"]
    return fold(
        "ann",
        (
            (from_json(*upcast(schema, each["type"], each["payload"])), at(number))
            for number, each in enumerate(stored, 1)
        ),
    )


def test_every_schema_has_its_golden_file() -> None:
    assert {path.name for path in GOLDEN.glob("events_schema_*.json")} == {
        f"events_schema_{schema}.json" for schema in range(1, SCHEMA + 1)
    }


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_what_was_stored_makes_the_character_it_made(schema: int) -> None:
    expected = golden(schema)["character"]
    expected["rewards"] = {name: at(number) for name, number in expected["rewards"].items()}
    character = folded(schema)
    assert character is not None
    assert asdict(character) == expected


def test_the_present_shapes_are_the_golden_ones() -> None:
    stored = golden(SCHEMA)["events"]
    assert {each["type"] for each in stored} == set(TYPES)
    for each in stored:
        event = from_json(each["type"], each["payload"])
        assert type_of(event) == each["type"]
        assert json.loads(json.dumps(to_json(event))) == each["payload"]


def test_older_events_go_through_every_step_from_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(type_: str, payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        return "enrolled" if type_ == "began" else type_, payload

    def owned(type_: str, payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        return type_, {"player_id": payload["owner"], "definition": payload["definition"]}

    monkeypatch.setattr(events, "STEPS", (renamed, owned))
    monkeypatch.setattr(events, "SCHEMA", 3)
    now = {"player_id": "bob", "definition": "default-1"}
    then = {"owner": "bob", "definition": "default-1"}
    assert upcast(1, "began", then) == ("enrolled", now)
    assert upcast(2, "enrolled", then) == ("enrolled", now)
    assert upcast(3, "enrolled", now) == ("enrolled", now)


@pytest.mark.parametrize("schema", [-1, 0, SCHEMA + 1])
def test_a_schema_of_nobody_is_told(schema: int) -> None:
    with pytest.raises(DataLoss) as refused:
        upcast(schema, "enrolled", {})
    assert refused.value.reason == "EVENT_SCHEMA_UNKNOWN"
    assert refused.value.metadata["schema"] == str(schema)

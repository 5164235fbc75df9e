"""Each service has the tables of the bus in its own schema and migrations, and the chassis expects the same
ones everywhere."""

import re
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
TABLES = {"outbox", "outbox_checkpoint", "inbox", "dead_letters"}


def migrations() -> list[Path]:
    return sorted(SERVICES.glob("*/sql/migrations/*.sql"))


def bus() -> list[Path]:
    return [path for path in migrations() if path.stem.endswith("_bus")]


def label(path: Path) -> str:
    return str(path.relative_to(SERVICES))


def unnamed(path: Path) -> str:
    """Its text without the schema's name."""
    text = path.read_text()
    (schema,) = {found[1] for found in re.finditer(r"^CREATE TABLE (\w+)\.", text, re.MULTILINE)}
    return re.sub(rf"\b{schema}\.", "", text)


def test_there_is_something_to_check() -> None:
    assert {path.relative_to(SERVICES).parts[0] for path in bus()} >= {
        "combat",
        "gamification",
        "progression",
    }
    assert set(re.findall(r"^CREATE TABLE (\w+)", unnamed(bus()[0]), re.MULTILINE)) == TABLES


@pytest.mark.parametrize("path", bus()[1:], ids=label)
def test_they_are_the_same_but_for_the_schema(path: Path) -> None:
    assert unnamed(path) == unnamed(bus()[0])


@pytest.mark.parametrize("path", [path for path in migrations() if path not in bus()], ids=label)
def test_nothing_else_changes_them(path: Path) -> None:
    assert not set(re.findall(r"\b\w+\.(\w+)", path.read_text())) & TABLES

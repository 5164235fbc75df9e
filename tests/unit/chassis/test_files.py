"""Named queries and migration files are read strictly."""

from pathlib import Path

import pytest

from services.chassis import migrate, sql
from services.chassis.migrate import SchemaError


def test_queries_by_name(tmp_path: Path) -> None:
    path = tmp_path / "q.sql"
    path.write_text("-- name: one\nSELECT 1\n-- a remark\n\n-- name: two\nSELECT 2;\n")
    assert sql.load(path) == {"one": "SELECT 1\n-- a remark", "two": "SELECT 2;"}


@pytest.mark.parametrize("text", ["SELECT 1", "-- name: a\nSELECT 1\n-- name: a\nSELECT 2"])
def test_a_file_that_is_not_a_list_of_queries(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.sql"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"q\.sql"):
        sql.load(path)


def test_migrations_in_order(tmp_path: Path) -> None:
    (tmp_path / "0002_more.sql").write_text("b")
    (tmp_path / "0001_first.sql").write_text("a")
    assert [(m.version, m.name) for m in migrate.read(tmp_path)] == [(1, "0001_first"), (2, "0002_more")]


@pytest.mark.parametrize(
    "names", [["first.sql"], ["0001_A.sql"], ["0002_a.sql"], ["0001_a.sql", "0003_b.sql"]]
)
def test_bad_migration_names(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(SchemaError):
        migrate.read(tmp_path)

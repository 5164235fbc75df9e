"""Imports point one way: main -> servicer, store, events -> domain -> native; services never meet."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
# Rooms that are no service of the product: they may be told about services, never the other way.
SHARED = {"chassis"}
RUNNERS = {"mesh", "edge"}
DOMAIN_MAY = {"pydantic", "native"}
# Of the chassis, what is pure itself.
PURE = ("services.chassis.errors", "services.chassis.calendar")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rooms() -> list[Path]:
    return [path for path in sorted(SERVICES.iterdir()) if path.is_dir() and (path / "__init__.py").exists()]


PRODUCT = [room for room in rooms() if room.name not in SHARED | RUNNERS]


def test_there_is_something_to_check() -> None:
    assert "combat" in {room.name for room in PRODUCT}


@pytest.mark.parametrize("path", files(*PRODUCT), ids=label)
def test_a_service_imports_no_other_service(path: Path) -> None:
    own = path.relative_to(SERVICES).parts[0]
    reached = {name.split(".")[1] for name in imports(path) if name.startswith("services.")}
    assert reached <= SHARED | {own}


@pytest.mark.parametrize("path", files(SERVICES / "chassis"), ids=label)
def test_the_chassis_imports_no_service(path: Path) -> None:
    assert {name.split(".")[1] for name in imports(path) if name.startswith("services.")} <= SHARED


@pytest.mark.parametrize("path", files(*(room / "domain" for room in PRODUCT)), ids=label)
def test_the_domain_is_pure(path: Path) -> None:
    own = f"services.{path.relative_to(SERVICES).parts[0]}.domain"
    for name in imports(path):
        top = name.split(".")[0]
        assert top in DOMAIN_MAY or top in sys.stdlib_module_names or name.startswith((own, *PURE)), name


@pytest.mark.parametrize("path", files(*(room / "domain" for room in PRODUCT)), ids=label)
def test_the_domain_has_no_clock_and_no_dice(path: Path) -> None:
    forbidden = {"time", "random", "secrets", "asyncio", "socket", "subprocess", "threading"}
    assert not {name.split(".")[0] for name in imports(path)} & forbidden


@pytest.mark.parametrize("path", files(SERVICES / "chassis", *PRODUCT), ids=label)
def test_time_and_randomness_have_one_door(path: Path) -> None:
    doors = {"time", "random", "secrets"} if path.name != "clock.py" else set()
    assert not {name.split(".")[0] for name in imports(path)} & doors


# Combat's folders, and what each may know of the others.
COMBAT_KNOWS: dict[str, set[str]] = {
    "domain": set(),
    "durability": {"domain"},
    "live": {"domain", "durability"},
    "replay": {"domain", "live"},
    "statistics": {"domain"},
}


@pytest.mark.parametrize("path", files(*(SERVICES / "combat" / folder for folder in COMBAT_KNOWS)), ids=label)
def test_the_folders_of_combat_point_one_way(path: Path) -> None:
    own = path.relative_to(SERVICES / "combat").parts[0]
    reached = {name.split(".")[2] for name in imports(path) if name.startswith("services.combat.")}
    assert reached & COMBAT_KNOWS.keys() <= COMBAT_KNOWS[own] | {own}
    assert not reached & {"main", "project", "servicer", "translate"}


def test_every_folder_of_combat_is_among_them() -> None:
    folders = {path.parent.name for path in (SERVICES / "combat").glob("*/__init__.py")}
    assert folders == COMBAT_KNOWS.keys()


@pytest.mark.parametrize("path", files(ROOT / "native"), ids=label)
def test_native_knows_nothing_above_it(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    # A twin may say what it means in the contract's own messages; the compiled core never does.
    above = {"services", "grpc", "asyncio"} | (
        set() if "reference" in path.parts else {"arenamesh", "google"}
    )
    assert not tops & above


@pytest.mark.parametrize("path", files(ROOT / "clients" / "python" / "arenamesh" / "client"), ids=label)
def test_the_client_stands_alone(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & {"services", "native"}

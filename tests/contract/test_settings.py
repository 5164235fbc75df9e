"""Services that are started beside each other with nothing but defaults do not want the same port."""

import importlib
from collections import Counter
from pathlib import Path

from services.chassis.settings import Settings

SERVICES = Path(__file__).parents[2] / "services"
# By the specs: of the interfaces to other services of a game's back end.
TAKEN = range(8080, 8087)


def settings() -> dict[str, type[Settings]]:
    """By service."""
    found = {}
    for path in SERVICES.glob("*/settings.py"):
        module = importlib.import_module(f"services.{path.parent.name}.settings")
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Settings) and each.__module__ == module.__name__:
                found[path.parent.name] = each
    return found


def test_there_is_something_to_check() -> None:
    assert settings().keys() >= {"combat", "gamification", "progression"}


def test_no_port_is_the_default_of_two() -> None:
    ports = Counter(
        each.model_fields[name].default
        for service, each in settings().items()
        if service != "chassis"
        for name in ("port", "admin_port")
    )
    assert set(ports.values()) == {1}, ports


def test_an_admin_port_is_none_of_another_interface() -> None:
    for service, each in settings().items():
        assert each.model_fields["admin_port"].default not in TAKEN, service

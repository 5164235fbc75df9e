"""Settings are read once, complain by name, and never change."""

import sys

import pytest
from pydantic import ValidationError

from services.chassis.auth import DEVELOPMENT_SECRET
from services.chassis.bus import connect
from services.chassis.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, "env", "db_url"):
        monkeypatch.delenv(name.upper(), raising=False)


def faults(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    return str(caught.value)


def test_defaults_suit_development() -> None:
    settings = Settings.load()
    assert settings.environment == "development"
    assert settings.jwt_secret.get_secret_value() == DEVELOPMENT_SECRET


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings.load().port = 1


def test_every_fault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    text = faults(monkeypatch, PORT="70000", LOG_LEVEL="LOUD", DRAIN_S="-1")
    assert [line.split(":")[0] for line in text.splitlines()] == ["LOG_LEVEL", "PORT", "DRAIN_S"]


def test_the_development_secret_stays_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(monkeypatch, ENVIRONMENT="production").startswith("JWT_SECRET: the development secret")


def test_a_short_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "32 bytes" in faults(monkeypatch, ENVIRONMENT="production", JWT_SECRET="short")


def test_secrets_do_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@db/x")
    assert "hunter2" not in repr(Settings.load())


def test_a_bus_with_a_server_needs_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    text = faults(monkeypatch, BUS_KIND="nats")
    assert text == "BUS_URL: BUS_KIND=nats needs the address of the bus"
    monkeypatch.setenv("BUS_URL", "nats://127.0.0.1:4222")
    assert Settings.load().bus_kind == "nats"


def test_a_client_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "nats" or name.startswith("services.chassis.bus.nats"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nats", None)
    monkeypatch.setenv("BUS_KIND", "nats")
    monkeypatch.setenv("BUS_URL", "nats://127.0.0.1:4222")
    with pytest.raises(SettingsError, match=r"^BUS_KIND: nats needs .*'arenamesh-server\[nats\]'$"):
        connect(Settings.load())


def test_other_names_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("DB_URL", "postgres://user:pass@host:5432/liveops?sslmode=require")
    monkeypatch.setenv("JWT_SECRET", "s" * 32)
    monkeypatch.setenv("CLOUD", "azure")
    settings = Settings.load()
    assert (settings.environment, settings.cloud) == ("production", "azure")
    assert settings.database_url.get_secret_value().startswith("postgres://user:pass@host")
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("DATABASE_URL", "postgresql://one")
    settings = Settings.load()
    assert (settings.environment, settings.database_url.get_secret_value()) == (
        "development",
        "postgresql://one",
    )


def test_an_environment_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(monkeypatch, ENV="staging").startswith("ENV")

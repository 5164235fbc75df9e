"""Settings are read once, complain by name, and never change."""

import pytest
from pydantic import ValidationError

from services.chassis.auth import DEVELOPMENT_SECRET
from services.chassis.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
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

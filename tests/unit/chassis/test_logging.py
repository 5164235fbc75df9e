"""Logs: what is written, and what must not be."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.chassis import logging as chassis_logging
from services.chassis.auth import Role, mint
from services.chassis.idempotency import IdempotencyKey
from services.chassis.logging import REDACTED, redact


@pytest.mark.parametrize(
    "key", ["token", "jwt_secret", "password", "authorization", "Authorization", "access_token"]
)
def test_telling_names_are_blanked(key: str) -> None:
    assert redact(None, "", {key: "abc"}) == {key: REDACTED}


def test_credentials_in_an_address() -> None:
    event = redact(None, "", {"error": "cannot reach postgresql://ann:hunter2@db:5432/x"})
    assert event["error"] == f"cannot reach postgresql://{REDACTED}@db:5432/x"


def test_anything_shaped_like_a_token() -> None:
    token = mint("a-secret-for-these-tests-of-32-bytes-or-more", subject="ann", role=Role.PLAYER)
    assert token not in str(redact(None, "", {"event": f"got Bearer {token}"}))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    chassis_logging.configure("INFO", service="combat", worker="w1")
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_one_object_a_line_with_the_context(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(session_id="s1", player_id="ann"):
        structlog.get_logger().info("joined", slot=3)
    logging.getLogger("grpc").warning("from a library")
    structlog.get_logger().debug("not at this level")
    first, second = map(json.loads, lines.getvalue().splitlines())
    assert first | {"timestamp": ""} == {
        "event": "joined",
        "level": "info",
        "service": "combat",
        "worker": "w1",
        "session_id": "s1",
        "player_id": "ann",
        "slot": 3,
        "timestamp": "",
    }
    assert second["event"] == "from a library"


def test_a_traceback_is_redacted_too(lines: io.StringIO) -> None:
    error = OSError("postgresql://ann:hunter2@db/x is away")
    structlog.get_logger().error("failed", exc_info=error)
    assert "hunter2" not in lines.getvalue()
    assert "OSError" in lines.getvalue()


def test_a_command_is_logged_without_its_request(lines: io.StringIO) -> None:
    key = IdempotencyKey("Claim/ann", "k-1", b"what ann asked for")
    structlog.get_logger().error("command failed", command=repr(key))
    assert "k-1" in lines.getvalue()
    assert "asked for" not in lines.getvalue()

"""Settings, ports, logs, the data directory, events, tokens, the web server's rules."""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer

from services.chassis.auth import DEVELOPMENT_SECRET
from services.ingest import keys
from services.mesh import logs, page, report, web
from services.mesh.errors import StartError
from services.mesh.ports import FIRST, LAST, LOOPBACK, Ports, is_free
from services.mesh.report import Report
from services.mesh.settings import MeshSettings, cores, from_environment
from services.mesh.state import DataDirectory
from services.mesh.token import hmac_secret, seconds

LONG_SECRET = "x" * 32


class TestSettings:
    def test_development_needs_nothing(self) -> None:
        told = from_environment({})
        assert told["environment"] == "development"
        assert told["jwt_secret"] == DEVELOPMENT_SECRET
        assert told["database_url"] == told["redis_url"] == ""

    @pytest.mark.parametrize("secret", [None, "", "short", DEVELOPMENT_SECRET])
    def test_production_refuses_a_secret_that_others_know(self, secret: str | None) -> None:
        environment = {"ENVIRONMENT": "production"} | ({} if secret is None else {"JWT_SECRET": secret})
        with pytest.raises(StartError, match="JWT_SECRET"):
            from_environment(environment)

    def test_production_takes_a_secret_of_its_own(self) -> None:
        told = from_environment({"ENVIRONMENT": "production", "JWT_SECRET": LONG_SECRET})
        assert told["jwt_secret"] == LONG_SECRET

    def test_another_environment_is_an_error(self) -> None:
        with pytest.raises(StartError, match="staging"):
            from_environment({"ENVIRONMENT": "staging"})

    def test_cores_are_those_we_may_use(self) -> None:
        assert 1 <= cores() <= (os.cpu_count() or 1)


class TestHmacSecret:
    def test_production_has_none_that_others_know(self) -> None:
        assert hmac_secret({}, "development") == keys.DEVELOPMENT_SECRET
        for kind in ("development", "production"):
            assert hmac_secret({"HMAC_SECRET": LONG_SECRET}, kind) == LONG_SECRET
        with pytest.raises(StartError, match="HMAC_SECRET"):
            hmac_secret({}, "production")


class TestPorts:
    def test_no_port_is_given_twice(self) -> None:
        ports = Ports()
        given = [ports.free() for _ in range(50)]
        assert len(set(given)) == 50
        assert all(FIRST <= port <= LAST for port in given)

    def test_a_listening_port_is_not_free(self) -> None:
        with socket.create_server((LOOPBACK, 0)) as listener:
            assert not is_free(LOOPBACK, listener.getsockname()[1])
            assert not is_free("0.0.0.0", listener.getsockname()[1])


class TestLogs:
    def test_a_large_log_is_set_aside_while_it_is_written(self, tmp_path: Path) -> None:
        log = tmp_path / "w0.log"
        with log.open("ab", buffering=0) as writer:
            writer.write(b"a" * 2000)
            logs.set_aside(tmp_path, 1000)
            writer.write(b"after")
            assert log.read_bytes() == b"after"
            assert (tmp_path / "w0.log.1").read_bytes() == b"a" * 2000

    def test_a_small_one_stays(self, tmp_path: Path) -> None:
        (tmp_path / "w0.log").write_text("short")
        logs.set_aside(tmp_path, 1000)
        assert [path.name for path in tmp_path.iterdir()] == ["w0.log"]


class TestDataDirectory:
    def test_one_mesh_at_a_time(self, tmp_path: Path) -> None:
        first, second = DataDirectory(tmp_path), DataDirectory(tmp_path)
        first.claim()
        first.write({"pid": 42, "edge": "http://localhost:8080"})
        with pytest.raises(StartError, match=r"already running on .* \(process 42, http://localhost:8080\)"):
            second.claim()
        first.release()
        second.claim()
        second.release()

    def test_state_is_only_that_of_a_running_mesh(self, tmp_path: Path) -> None:
        directory = DataDirectory(tmp_path)
        assert directory.read() is None
        # What a killed supervisor leaves behind.
        directory.write({"pid": 42})
        assert directory.read() is None
        directory.claim()
        assert DataDirectory(tmp_path).read() == {"pid": 42}
        directory.release()
        assert directory.read() is None

    def test_a_directory_that_cannot_be_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StartError, match="cannot be used"):
            DataDirectory(tmp_path / "file" / "data").claim()


class TestReport:
    def test_a_step_is_told_and_timed(self) -> None:
        events: list[dict[str, Any]] = []
        with Report(events.append).step("Redis") as step:
            step.note = "version 6"
        assert events[0] == {"event": "begin", "step": "Redis"}
        assert events[1].pop("seconds") >= 0
        assert events[1] == {"event": "done", "step": "Redis", "note": "version 6"}

    def test_a_failed_step_is_never_done(self) -> None:
        events: list[dict[str, Any]] = []
        with pytest.raises(StartError), Report(events.append).step("Redis"):
            raise StartError("no")
        assert [event["event"] for event in events] == ["begin"]

    def test_json_is_one_object_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        Report(report.json_lines).failed(StartError("Port 8080 is taken.", "Use another."))
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line) == {
            "event": "error",
            "message": "Port 8080 is taken.",
            "hint": "Use another.",
        }

    def test_a_reader_that_left_does_not_stop_the_mesh(self) -> None:
        def gone(event: dict[str, Any]) -> None:
            raise BrokenPipeError

        Report(gone).tell("note", text="x")

    @pytest.mark.parametrize(
        ("event", "words"),
        [
            ({"event": "begin", "step": "Redis"}, ""),
            ({"event": "done", "step": "Redis", "seconds": 0.5, "note": ""}, "  Redis          0.50 s"),
            (
                {"event": "part", "part": "w0", "state": "waiting", "reason": "ended with signal SIGKILL"},
                "  w0 is waiting: ended with signal SIGKILL",
            ),
            ({"event": "error", "message": "No.", "hint": "Yes."}, "No.\nYes."),
            ({"event": "stopped", "seconds": 1.26}, "Stopped in 1.3 s."),
            (
                {"event": "skipped", "step": "page", "reason": page.NO_NODE.message},
                f"  page         not done. {page.NO_NODE.message}",
            ),
        ],
    )
    def test_events_in_words(self, event: dict[str, Any], words: str) -> None:
        assert report.sentence(event) == words


class TestToken:
    @pytest.mark.parametrize(
        ("text", "expected"), [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)]
    )
    def test_times(self, text: str, expected: int) -> None:
        assert seconds(text) == expected

    @pytest.mark.parametrize("text", ["", "0", "-5", "1w", "1.5h", "h"])
    def test_what_is_no_time(self, text: str) -> None:
        with pytest.raises(argparse.ArgumentTypeError):
            seconds(text)


class TestWeb:
    @pytest.fixture
    async def client(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
        settings = MeshSettings(
            data=tmp_path,
            workers=1,
            environment=getattr(request, "param", "development"),
            jwt_secret=LONG_SECRET,
            web=False,
        )
        async with TestClient(TestServer(web.WebServer(settings).application())) as client:
            yield client

    async def test_development_gives_tokens(self, client: Any) -> None:
        response = await client.get("/dev/token", params={"role": "player", "subject": "ada"})
        claims = jwt.decode(
            (await response.json())["token"],
            LONG_SECRET,
            algorithms=["HS256"],
            audience="arenamesh",
            issuer="arenamesh",
        )
        assert (claims["sub"], claims["role"]) == ("ada", "player")
        assert response.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("client", ["production"], indirect=True)
    async def test_production_gives_none(self, client: Any) -> None:
        assert (await client.get("/dev/token", params={"subject": "ada"})).status == 404

    @pytest.mark.parametrize(
        "query", [{"subject": ""}, {"subject": "a b"}, {"subject": "x" * 65}, {"subject": "a", "role": "god"}]
    )
    async def test_a_wrong_wish_is_explained(self, client: Any, query: dict[str, str]) -> None:
        response = await client.get("/dev/token", params=query)
        assert response.status == 400
        assert "must be" in await response.text()

    async def test_maps_are_served_as_they_are(self, client: Any) -> None:
        response = await client.get("/maps/yard.json")
        assert response.status == 200
        assert (await response.json())["map_id"] == "yard"

    @pytest.mark.parametrize(
        "path",
        ["/maps/none.json", "/maps/..%2f..%2fsettings.json", "/rulesets/", "/%2e%2e/%2e%2e/pyproject.toml"],
    )
    async def test_nothing_else_is(self, client: Any, path: str) -> None:
        assert (await client.get(path)).status == 404

    async def test_without_a_page_the_root_says_why(self, client: Any) -> None:
        assert "There is no page" in await (await client.get("/")).text()

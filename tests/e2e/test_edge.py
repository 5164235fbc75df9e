"""What the edge does for the whole mesh: tokens, three faces, errors, limits, stickiness."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
import jwt
import pytest
from arenamesh.combat.v1 import service_pb2, spectate_pb2
from yarl import URL

from tests.e2e.conftest import SERVER, Rest, bearer, grpc_web
from tests.support.mesh import SECRET, Supervisor, token

ADA = bearer("ada")
SERVICE = "/arenamesh.combat.v1.CombatService"


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "arenamesh",
        "aud": "arenamesh",
        "sub": "ada",
        "role": "player",
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(secret: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    return jwt.encode(claims(**changed), secret, algorithm=algorithm)


def unsigned() -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims(role='operator'))}."


BAD_TOKENS: dict[str, tuple[Callable[[], str], int]] = {
    "expired": (lambda: signed(exp=int(time.time()) - 60), 401),
    "without an expiry": (lambda: signed(exp=None), 401),
    "forged": (lambda: signed("another secret of thirty-two bytes and more"), 401),
    "without a signature": (unsigned, 401),
    "with another algorithm": (lambda: signed(SECRET * 2, "HS512"), 401),
    "of another issuer": (lambda: signed(iss="elsewhere"), 401),
    "for another audience": (lambda: signed(aud="elsewhere"), 403),
    "no token at all": (lambda: "nonsense", 401),
}


class TestTokens:
    @pytest.mark.parametrize("kind", BAD_TOKENS)
    async def test_a_bad_token_is_refused_over_rest(self, rest: Rest, kind: str) -> None:
        make, expected = BAD_TOKENS[kind]
        status, answer = await rest("GET", "/sessions", by={"authorization": f"Bearer {make()}"})
        assert status == expected
        assert answer["code"] == {401: 16, 403: 7}[expected]
        assert answer["message"]

    @pytest.mark.parametrize("kind", BAD_TOKENS)
    async def test_a_bad_token_is_refused_over_grpc(self, stub: Any, kind: str) -> None:
        make, expected = BAD_TOKENS[kind]
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.ListSessions(
                service_pb2.ListSessionsRequest(), metadata=(("authorization", f"Bearer {make()}"),)
            )
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        assert (
            failure.value.code() == {401: unauthenticated, 403: grpc.StatusCode.PERMISSION_DENIED}[expected]
        )

    async def test_no_token_is_refused(self, rest: Rest, stub: Any) -> None:
        status, answer = await rest("GET", "/sessions", by={})
        assert (status, answer["code"]) == (401, 16)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.ListSessions(service_pb2.ListSessionsRequest())
        assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED

    async def test_a_token_in_the_url_does_not_count(self, rest: Rest) -> None:
        status, _ = await rest("GET", f"/sessions?access_token={token('ada', 'player')}", by={})
        assert status == 401

    async def test_a_role_that_does_not_exist_is_refused(self, rest: Rest) -> None:
        status, answer = await rest("GET", "/sessions", by={"authorization": f"Bearer {signed(role='god')}"})
        assert (status, answer["code"]) == (401, 16)

    async def test_a_development_token_from_the_edge_works(
        self, mesh: Supervisor, http: aiohttp.ClientSession, rest: Rest
    ) -> None:
        async with http.get(f"{mesh.url}/dev/token", params={"role": "player", "subject": "ada"}) as response:
            given = (await response.json())["token"]
        await rest.ok("GET", "/sessions", by={"authorization": f"Bearer {given}"})


class TestGrpc:
    async def test_the_same_session_over_both_faces(self, rest: Rest, stub: Any) -> None:
        session = await rest.create(name="both")
        answer = await stub.GetSession(
            service_pb2.GetSessionRequest(session_id=session),
            metadata=(*ADA.items(), ("x-session-id", session)),
        )
        assert answer.session.name == "both"

    async def test_errors_carry_details(self, stub: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.GetSession(
                service_pb2.GetSessionRequest(session_id="nobody"),
                metadata=(*ADA.items(), ("x-session-id", "nobody")),
            )
        assert failure.value.code() == grpc.StatusCode.NOT_FOUND
        assert "grpc-status-details-bin" in dict(failure.value.trailing_metadata() or ())

    async def test_a_server_stream_runs_through(self, rest: Rest, stub: Any) -> None:
        session = await rest.create()
        await rest.ok("POST", f"/sessions/{session}/join", {"player_id": "ada"})
        stream = stub.Spectate(
            spectate_pb2.SpectateRequest(session_id=session),
            metadata=(*SERVER.items(), ("x-session-id", session)),
        )
        ticks = [(await stream.read()).frame.tick for _ in range(5)]
        assert ticks == sorted(set(ticks))
        stream.cancel()

    async def test_an_unknown_service_is_unimplemented(self, mesh: Supervisor) -> None:
        async with grpc.aio.insecure_channel(mesh.target) as channel:
            for method in ("/no.such.Service/Method", "/grpc.health.v1.Health/Check"):
                with pytest.raises(grpc.aio.AioRpcError) as failure:
                    call: Any = channel.unary_unary(method)
                    await call(b"", metadata=tuple(ADA.items()))
                assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED

    async def test_a_message_over_the_workers_limit_is_refused(self, stub: Any) -> None:
        request = service_pb2.CreateSessionRequest(request_id="x" * 200_000)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.CreateSession(request, metadata=tuple(SERVER.items()))
        assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


class TestGrpcWeb:
    async def test_a_call_as_a_browser_makes_it(
        self, mesh: Supervisor, http: aiohttp.ClientSession, rest: Rest
    ) -> None:
        session = await rest.create(name="from a browser")
        request = service_pb2.GetSessionRequest(session_id=session)
        answer, trailers = await grpc_web(
            http, f"{mesh.url}{SERVICE}/GetSession", request, x_session_id=session, **ADA
        )
        assert service_pb2.GetSessionResponse.FromString(answer).session.name == "from a browser"
        assert b"grpc-status:0\r\n" in trailers

    @pytest.mark.parametrize("path", [f"{SERVICE}/GetSession", "/api/v1/combat/sessions"])
    async def test_a_preflight_needs_no_token(
        self, mesh: Supervisor, http: aiohttp.ClientSession, path: str
    ) -> None:
        headers = {
            "origin": "http://localhost:5173",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-grpc-web,x-session-id",
        }
        async with http.options(mesh.url + path, headers=headers) as response:
            assert response.status == 200
            assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
            allowed = response.headers["access-control-allow-headers"].replace(" ", "").split(",")
        assert {"authorization", "x-session-id", "x-grpc-web", "idempotency-key"} <= set(allowed)

    async def test_answers_show_browsers_the_status(
        self, mesh: Supervisor, http: aiohttp.ClientSession
    ) -> None:
        headers = {"origin": "http://127.0.0.1:3000"} | ADA
        async with http.get(f"{mesh.url}/api/v1/combat/sessions", headers=headers) as response:
            assert response.headers["access-control-allow-origin"] == "http://127.0.0.1:3000"
            exposed = response.headers["access-control-expose-headers"]
        assert "grpc-status-details-bin" in exposed

    async def test_a_page_from_elsewhere_is_not_let_in(
        self, mesh: Supervisor, http: aiohttp.ClientSession
    ) -> None:
        headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        async with http.options(f"{mesh.url}{SERVICE}/GetSession", headers=headers) as response:
            assert "access-control-allow-origin" not in response.headers


class TestRestRules:
    async def test_the_body_cannot_name_another_session_than_the_path(self, rest: Rest) -> None:
        session, other = await rest.create(), await rest.create()
        status, answer = await rest("POST", f"/sessions/{session}/join", {"session_id": other}, by=ADA)
        assert (status, answer["code"]) == (400, 3)

    @pytest.mark.parametrize(
        ("method", "path", "expected"),
        [
            ("GET", "/nothing", 404),
            ("GET", "/sessions?colour=red", 400),
            ("PUT", "/sessions", 404),
            ("GET", "/sessions/a%2Fb", 400),
        ],
    )
    async def test_a_path_that_is_not_there(self, rest: Rest, method: str, path: str, expected: int) -> None:
        url = URL(rest.base + path, encoded=True)
        async with rest.http.request(method, url, headers=SERVER) as response:
            assert response.status == expected
            assert (await response.json())["code"] == {400: 3, 404: 5}[expected]

    async def test_broken_json_is_told(self, rest: Rest) -> None:
        async with rest.http.post(f"{rest.base}/sessions", data=b'{"session": ', headers=SERVER) as response:
            assert response.status == 400
            assert (await response.json())["code"] == 3

    @pytest.mark.parametrize("size", [200_000, 2_000_000])
    async def test_a_large_body_is_refused(self, rest: Rest, size: int) -> None:
        body = {"request_id": "x" * size, "session": {"name": "x", "type": "SESSION_TYPE_DUEL"}}
        content = io.BytesIO(json.dumps(body).encode())
        async with rest.http.post(f"{rest.base}/sessions", data=content, headers=SERVER) as response:
            # By the edge or by the worker, whichever limit is met first.
            assert response.status in (413, 429)
            assert (await response.json())["code"] == 8


class TestStickiness:
    async def test_many_sessions_live_on_all_workers_and_each_is_reached(
        self, rest: Rest, mesh: Supervisor
    ) -> None:
        sessions = [await rest.create(name=str(index)) for index in range(24)]
        for session in sessions:
            # Only the owner can seat a player and answer with the arena's state.
            await rest.ok("POST", f"/sessions/{session}/join", {}, by=ADA)
            state = await rest.ok("GET", f"/sessions/{session}/state", by=ADA)
            assert [seat["player_id"] for seat in state["seats"]] == ["ada"]


class TestAroundIt:
    @pytest.mark.parametrize("path", ["/health", "/healthz", "/ready", "/metrics"])
    async def test_the_admin_paths_need_no_token(
        self, mesh: Supervisor, http: aiohttp.ClientSession, path: str
    ) -> None:
        async with http.get(mesh.url + path) as response:
            assert response.status == 200
            text = await response.text()
        if path == "/metrics":
            assert "combat_sessions_created_total" in text

    async def test_profiling_is_not_for_everybody(
        self, mesh: Supervisor, http: aiohttp.ClientSession
    ) -> None:
        async with http.get(f"{mesh.url}/debug/profile") as response:
            assert response.status == 404

    async def test_the_page_may_load_nothing_from_elsewhere(
        self, mesh: Supervisor, http: aiohttp.ClientSession
    ) -> None:
        async with http.get(mesh.url) as response:
            assert response.status == 200
            assert response.content_type == "text/html"
            policy = response.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("name", ["yard", "foundry", "canyon"])
    async def test_the_maps_are_there(self, mesh: Supervisor, http: aiohttp.ClientSession, name: str) -> None:
        async with http.get(f"{mesh.url}/maps/{name}.json") as response:
            assert (await response.json())["map_id"] == name

    async def test_nobody_chooses_a_session_id_by_a_header(self, rest: Rest) -> None:
        created = await rest.ok(
            "POST",
            "/sessions",
            {"session": {"name": "x", "type": "SESSION_TYPE_DUEL"}},
            x_request_id="chosen",
        )
        assert created["session"]["session_id"] != "chosen"

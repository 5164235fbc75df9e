"""LiveOps as everybody reaches it: signed events over HTTP, what comes of them, leaderboards."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import re
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest
from arenamesh.client import Event, Score, connect, sign
from arenamesh.client.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from arenamesh.liveops.v1 import (
    board_pb2,
    event_pb2,
    ingest_service_pb2,
    ingest_service_pb2_grpc,
    leaderboard_service_pb2,
)
from grpc import aio

from services.ingest.keys import DEVELOPMENT_SECRET
from services.mesh import probes
from services.mesh.settings import ROOT
from tests.e2e.conftest import Rest, bearer, grpc_web, reason_of
from tests.support.mesh import Supervisor, token

OPERATOR = bearer("olga", "operator")
# As it was published, byte for byte.
EXAMPLE = """\
BODY='{"type":"progression","playerId":"p1","ts":1730560000,"payload":{"deltaXp":10}}'
SIG="sha256=$(printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$HMAC_SECRET" -binary | xxd -p -c 256)"
curl -i -X POST "http://127.0.0.1:${PORT:-8080}/events" \\
 -H "Content-Type: application/json" -H "X-Signature: $SIG" -H "Idempotency-Key: demo-1" -d "$BODY"
"""


@dataclass
class Answer:
    status: int
    headers: Any
    body: Any

    @property
    def refusal(self) -> tuple[int, str]:
        return self.status, reason_of(self.body)

    @property
    def fields(self) -> list[str]:
        """That break a rule."""
        (bad,) = [each for each in self.body["details"] if each["@type"].endswith("BadRequest")]
        return [each["field"] for each in bad["field_violations"]]


@dataclass
class Producer:
    """A studio's own system."""

    http: aiohttp.ClientSession
    base: str

    async def __call__(
        self, body: Any, *, key: str = "", path: str = "/events", headers: dict[str, str] | None = None
    ) -> Answer:
        """Posts a document, or bytes as they are, signed unless there are `headers`."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        digest = hmac.new(DEVELOPMENT_SECRET.encode(), data, hashlib.sha256).hexdigest()
        signed = {"x-signature": f"sha256={digest}"} if headers is None else headers
        named = signed | ({"idempotency-key": key} if key else {})
        # As a file: aiohttp warns of large bodies of bytes.
        async with self.http.post(self.base + path, data=io.BytesIO(data), headers=named) as response:
            return Answer(response.status, response.headers, await response.json())


@pytest.fixture
async def post(mesh: Supervisor, http: aiohttp.ClientSession) -> AsyncIterator[Producer]:
    yield Producer(http, mesh.url)


@pytest.fixture
def rest(mesh: Supervisor, http: aiohttp.ClientSession) -> Rest:
    return Rest(http, mesh.url)


def event(kind: str, player: str, **payload: Any) -> dict[str, Any]:
    """That happened now. No two are the same."""
    return {"type": kind, "playerId": player, "ts": time.time(), "payload": payload}


async def shown(rest: Rest, query: str) -> list[tuple[int, str, int]]:
    """Rank, player, score, without a token."""
    answer = await rest.ok("GET", f"/leaderboard/?{query}", by={})
    return [(int(each["rank"]), each["player_id"], int(each["score"])) for each in answer["entries"]]


async def without_end(each: Event) -> AsyncIterator[Event]:
    while True:
        yield each


class TestThePublishedExample:
    def test_it_works_unchanged_and_has_one_effect(self, mesh: Supervisor, tools: dict[str, str]) -> None:
        assert EXAMPLE in (ROOT / "README.md").read_text()
        environment = tools | {"HMAC_SECRET": DEVELOPMENT_SECRET, "PORT": str(mesh.port)}
        ids = set()
        for _ in range(2):
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", EXAMPLE],
                env=environment,
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            head, body = re.split(r"\r?\n\r?\n", ran.stdout, maxsplit=1)
            assert head.startswith("HTTP/1.1 202 Accepted")
            ids.add(json.loads(body)["event_id"])
        assert len(ids) == 1

    async def test_its_experience_comes_once(self, rest: Rest, post: Producer) -> None:
        published = b'{"type":"progression","playerId":"p1","ts":1730560000,"payload":{"deltaXp":10}}'
        assert (await post(published, key="demo-1")).status == 202
        # The same body under another key is the same event: the key is not signed.
        again = await post(published, key="another")
        assert (again.status, again.body["duplicate"]) == (202, True)
        # One behind it: when that has come, the second one of the first would have.
        assert (await post(event("progression", "p1", deltaXp=1))).status == 202

        async def arrived() -> bool:
            status, answer = await rest("GET", "/paragon/levels?characterId=p1")
            return status == 200 and int(answer["base"]["experience"]) >= 11

        async with asyncio.timeout(20):
            await probes.until(arrived)
        answer = await rest.ok("GET", "/paragon/levels?characterId=p1")
        assert answer["base"]["experience"] == "11"


class TestStatuses:
    async def test_202_and_the_first_answer_to_whoever_repeats(self, post: Producer) -> None:
        body = event("boss_kill", "rita", bossId="hydra")
        answers = await asyncio.gather(*(post(body, key="e2e repeated") for _ in range(6)))
        # 409 while the first one is on its way.
        assert {answer.status for answer in answers} <= {202, 409}
        done = [answer.body for answer in answers if answer.status == 202]
        assert len({answer["event_id"] for answer in done}) == 1
        assert [answer["duplicate"] for answer in done].count(False) == 1
        other = await post(event("boss_kill", "rita", bossId="hydra"), key="e2e repeated")
        assert other.refusal == (422, "IDEMPOTENCY_KEY_REUSED")

    async def test_400_what_cannot_be_read(self, post: Producer) -> None:
        for body in (b"{", b'{"type":"score","type":"score"}', b"\xff", b""):
            assert (await post(body)).refusal == (400, "MALFORMED_JSON"), body

    async def test_401_what_nobody_signed(self, post: Producer) -> None:
        body = event("boss_kill", "rita", bossId="hydra")
        for headers, reason in (
            ({}, "SIGNATURE_MISSING"),
            ({"x-signature": "sha256=" + "0" * 64}, "SIGNATURE_WRONG"),
            ({"x-signature": "nonsense"}, "SIGNATURE_WRONG"),
            (
                sign(DEVELOPMENT_SECRET, json.dumps(body).encode(), message_id="m", timestamp=1730560000),
                "TIMESTAMP_TOO_OLD",
            ),
        ):
            assert (await post(body, headers=headers)).refusal == (401, reason)

    async def test_413_what_is_too_large(self, post: Producer) -> None:
        assert (await post(b"x" * 70_000)).refusal == (413, "BODY_TOO_LARGE")
        # By the edge itself, which reads no further.
        assert (await post(b"x" * 1_100_000)).status == 413

    async def test_422_what_breaks_a_rule(self, post: Producer, rest: Rest) -> None:
        wrong = await post({"type": "score", "playerId": "r i t a", "ts": "soon", "payload": {}})
        assert wrong.refusal == (422, "EVENT_INVALID")
        assert {"playerId", "ts"} <= set(wrong.fields)
        unknown = await post(event("teleport", "rita"), key="e2e unknown")
        assert (unknown.refusal, unknown.fields) == ((422, "UNKNOWN_TYPE"), ["type"])
        kept = (await rest.ok("GET", "/events/rejected?pageSize=20", by=OPERATOR))["events"]
        assert {"EVENT_INVALID", "UNKNOWN_TYPE"} <= {each["reason"] for each in kept}

    async def test_429_what_is_too_much(self, post: Producer) -> None:
        flood = [event("boss_kill", "flood", bossId=f"b{number}") for number in range(300)]
        batch = await post(flood, path="/events:batch")
        assert batch.status == 202
        outcomes = [each["outcome"] for each in batch.body["results"]]
        assert set(outcomes) == {"EVENT_OUTCOME_ACCEPTED", "EVENT_OUTCOME_THROTTLED"}
        # Fifty of a player are allowed each second, so some of these come too early.
        more = [event("boss_kill", "flood", bossId=f"c{number}") for number in range(100)]
        answers = await asyncio.gather(*(post(each) for each in more))
        late = [answer for answer in answers if answer.status != 202]
        assert late
        assert {answer.refusal for answer in late} == {(429, "RATE_LIMITED")}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in late)
        assert (await post(event("boss_kill", "calm", bossId="b"))).status == 202


class TestWhatComesOfIt:
    async def test_a_score_is_on_the_board(self, post: Producer, rest: Rest) -> None:
        first = event("score", "lea", score=2**53 + 1)
        at = datetime.fromtimestamp(first["ts"], UTC)
        # By its name: the week may end under the test.
        week = f"window=weekly&period={(at - timedelta(days=at.weekday())).date()}"
        others = (event("score", player, score=score) for player, score in (("lou", 2**53 + 2), ("lea", 7)))
        for each in (first, *(other | {"ts": first["ts"]} for other in others)):
            assert (await post(each)).status == 202

        async def arrived() -> bool:
            return {"lea", "lou"} <= {player for _, player, _ in await shown(rest, week)}

        async with asyncio.timeout(20):
            await probes.until(arrived)
        top = await shown(rest, f"{week}&limit=10")
        assert top[:2] == [(1, "lou", 2**53 + 2), (2, "lea", 2**53 + 1)]

    async def test_a_type_of_ones_own(self, post: Producer, rest: Rest) -> None:
        schema = {
            "type": "object",
            "properties": {"grams": {"type": "integer", "minimum": 1}},
            "required": ["grams"],
        }
        await rest.ok("POST", "/events/types", {"name": "e2e_fish", "schema": schema}, by=OPERATOR)

        async def known() -> bool:
            return (await post(event("e2e_fish", "rita", grams=12))).status == 202

        async with asyncio.timeout(20):
            await probes.until(known)
        wrong = await post(event("e2e_fish", "rita", grams=0))
        assert (wrong.refusal, wrong.fields) == ((422, "EVENT_INVALID"), ["payload.grams"])


class TestLeaderboardRest:
    async def test_what_is_read_needs_no_token_and_what_is_written_does(self, rest: Rest) -> None:
        boards = (await rest.ok("GET", "/leaderboard/boards", by={}))["boards"]
        assert {"damage", "kills", "score", "wins"} <= {board["id"] for board in boards}
        for path in ("/leaderboard", "/leaderboard/", "/leaderboard/seasons", "/leaderboard/periods"):
            assert (await rest("GET", path, by={}))[0] == 200, path
        scores = {"scores": [{"playerId": "eve", "score": 1}]}
        assert (await rest("POST", "/leaderboard/scores", scores, by={}))[0] == 401
        status, answer = await rest("POST", "/leaderboard/scores", scores, by=bearer("eve"))
        assert (status, reason_of(answer)) == (403, "ROLE_NOT_ALLOWED")
        status, answer = await rest("GET", "/leaderboard/around/e2e.nobody", by={})
        assert (status, reason_of(answer)) == (404, "NOT_ON_BOARD")

    async def test_a_browser_reads_it(self, mesh: Supervisor, http: aiohttp.ClientSession) -> None:
        url = f"{mesh.url}/arenamesh.liveops.v1.LeaderboardService/GetLeaderboard"
        body, trailers = await grpc_web(http, url, leaderboard_service_pb2.GetLeaderboardRequest())
        answer = leaderboard_service_pb2.GetLeaderboardResponse.FromString(body)
        assert (answer.period.board, answer.period.window) == ("score", "weekly")
        assert b"grpc-status:0\r\n" in trailers


class TestClient:
    async def test_ranks_and_a_watch(self, mesh: Supervisor) -> None:
        board = f"e2e_{uuid.uuid4().hex[:8]}"
        async with (
            connect(mesh.target, token=partial(token, "olga", "operator")) as operator,
            connect(mesh.target, token=partial(token, "server-1", "game_server")) as server,
            connect(mesh.target, token=partial(token, "ada", "player")) as ada,
        ):
            made = board_pb2.Board(id=board, operator=board_pb2.OPERATOR_BEST, windows=["all_time", "daily"])
            assert (await operator.leaderboard.create_board(made)).HasField("created_at")
            assert board in {each.id for each in await ada.leaderboard.boards()}
            async with asyncio.timeout(20), aclosing(ada.leaderboard.watch(board, limit=2)) as told:
                assert not (await anext(told)).entries
                scores = [Score(board=board, player_id=f"p{n}", score=n) for n in range(1, 6)]
                outcomes = await server.leaderboard.submit(*scores)
                assert set(outcomes) == {board_pb2.SCORE_OUTCOME_COUNTED}
                entries = (await anext(told)).entries
                while len(entries) < 2 or entries[0].player_id != "p5":
                    entries = (await anext(told)).entries
            assert [entry.player_id for entry in entries] == ["p5", "p4"]
            ranked = [(entry.rank, entry.player_id) async for entry in ada.leaderboard.all(board, limit=2)]
            assert ranked == [(rank, f"p{6 - rank}") for rank in range(1, 6)]
            around = await ada.leaderboard.around("p3", board, limit=3)
            assert [entry.player_id for entry in around.entries] == ["p4", "p3", "p2"]
            friends = await ada.leaderboard.players(["p1", "p5", "nobody"], board)
            assert [(entry.player_id, entry.rank) for entry in friends] == [("p5", 1), ("p1", 5)]
            day = entries[0].achieved_at.ToDatetime().date().isoformat()
            assert (await ada.leaderboard.top(board, "daily", period=day, limit=1)).players == 5
            with pytest.raises(NotFound) as missing:
                await ada.leaderboard.around("nobody", board)
            assert missing.value.reason == "NOT_ON_BOARD"
            with pytest.raises(PermissionDenied):
                await ada.leaderboard.submit(scores[0])

    async def test_events_signed_and_by_token(self, mesh: Supervisor) -> None:
        async with connect(mesh.target, token=partial(token, "server-1", "game_server")) as server:
            signed = partial(server.ingest.post, secret=DEVELOPMENT_SECRET)
            message = uuid.uuid4().hex
            kill = event("boss_kill", "cleo", bossId="hydra")
            first, again = await signed(kill, message_id=message), await signed(kill, message_id=message)
            assert (first.event_id, first.duplicate, again.duplicate) == (again.event_id, False, True)
            with pytest.raises(FailedPrecondition) as reused:
                await signed(event("boss_kill", "cleo", bossId="other"), message_id=message)
            assert reused.value.reason == "IDEMPOTENCY_KEY_REUSED"
            results = await server.ingest.post_all([kill, {"type": "none"}], secret=DEVELOPMENT_SECRET)
            assert [each.outcome for each in results] == [
                event_pb2.EVENT_OUTCOME_ACCEPTED,
                event_pb2.EVENT_OUTCOME_REJECTED,
            ]
            typed = Event(type="boss_kill", player_id="cleo")
            typed.ts.GetCurrentTime()
            typed.payload.update({"bossId": "hydra"})
            (result,) = await server.ingest.submit(typed)
            assert result.outcome == event_pb2.EVENT_OUTCOME_ACCEPTED
            typed.key = message
            unknown = Event(type="none", player_id="cleo", ts=typed.ts)
            told = [each async for each in server.ingest.submit_each([typed, typed, unknown], at_once=2)]
            assert [each.outcome for each in told] == [
                event_pb2.EVENT_OUTCOME_ACCEPTED,
                event_pb2.EVENT_OUTCOME_DUPLICATE,
                event_pb2.EVENT_OUTCOME_REJECTED,
            ]
            assert told[2].reason == "UNKNOWN_TYPE"
            first_of_many = await anext(server.ingest.submit_each(without_end(typed)))
            assert first_of_many.outcome == event_pb2.EVENT_OUTCOME_DUPLICATE
            with pytest.raises(InvalidArgument):
                await server.ingest.submit(Event(type="none"))
        async with connect(mesh.target, token=token("cleo", "player")) as player:
            with pytest.raises(PermissionDenied):
                await player.ingest.submit(typed)

    async def test_a_stream_of_events(self, mesh: Supervisor) -> None:
        event_ = Event(type="boss_kill", player_id="cleo", key=uuid.uuid4().hex)
        event_.ts.GetCurrentTime()
        event_.payload.update({"bossId": "hydra"})
        request = ingest_service_pb2.StreamEventsRequest(events=[event_])
        async with aio.insecure_channel(mesh.target) as channel:
            stub: ingest_service_pb2_grpc.IngestServiceAsyncStub = ingest_service_pb2_grpc.IngestServiceStub(
                channel
            )
            told = await stub.StreamEvents(
                iter([request, request]),
                metadata=(("authorization", f"Bearer {token('server-1', 'game_server')}"),),
            )
        assert (told.accepted, told.duplicates, told.not_accepted) == (1, 1, 0)

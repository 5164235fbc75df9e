"""Events of the bus fill boards: each once, in whatever order, however often, at several processes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import grpc
import pytest
from arenamesh.events.v1 import combat_pb2, fairness_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import leaderboard_service_pb2
from google.protobuf.message import Message as Data
from google.protobuf.struct_pb2 import Struct

from services.chassis import clock
from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from services.chassis.errors import Overloaded, Unavailable
from services.leaderboard.boards import Boards, read
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.heard import TOPICS
from services.leaderboard.settings import LeaderboardSettings
from tests.support import servicebus, tokens
from tests.support.brokers import DURABLE, KINDS, Broker, Brokers
from tests.support.buses import make
from tests.support.leaderboard import Leaderboard, a_board, leaderboard, ranks, refused, score
from tests.support.tokens import Metadata, bearer, operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("noon")
COMBAT, LIVEOPS, PROGRESSION, GAMIFICATION, FAIRNESS = TOPICS
_numbers = count(1)
FORGETS_NOTHING = {kind.values[0] for kind in DURABLE}


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    opened = make("redis", redis_url)
    yield opened
    await opened.close()


@pytest.fixture
async def installed(database: Database) -> Database:
    """With the boards that come with the service."""
    await Boards(database, CatalogueStore()).install(read(LeaderboardSettings().data_dir))
    return database


@pytest.fixture
async def server(installed: Database, database_url: str, redis_url: str) -> AsyncIterator[Leaderboard]:
    """A running server that hears the bus."""
    base = {"database_url": database_url, "redis_url": redis_url}
    async with leaderboard(**base, bus_kind="redis", bus_backoff_s=0.01) as running:
        yield running


def said(type_: str, data: Data, subject: str = "m", at: datetime | None = None) -> Message:
    envelope = Envelope(id=f"e{next(_numbers)}", source="arenamesh/test", type=type_, subject=subject)
    envelope.time.FromDatetime(at or clock.now())
    envelope.data.Pack(data)
    return Message(envelope.id, subject, envelope.SerializeToString())


def kill(killer: str, *, match: str = "m", friendly: bool = False) -> Message:
    data = combat_pb2.CombatKill(session_id=match, killer_id=killer, victim_id="zed", friendly=friendly)
    return said("combat.kill", data, match)


def summary(player: str, damage: int) -> Message:
    data = combat_pb2.CombatPlayerSummary(player_id=player, damage_dealt_milli=damage)
    return said("combat.player_summary", data)


def ended(won: str, *lost: str) -> Message:
    results = [combat_pb2.CombatPlayerResult(player_id=won, won=True)]
    results += [combat_pb2.CombatPlayerResult(player_id=each) for each in lost]
    return said("combat.session_ended", combat_pb2.CombatSessionEnded(session_id="m", results=results))


def scored(player: str, value: int, *, board: str = "", at: datetime | None = None) -> Message:
    data = liveops_pb2.LiveopsScore(player_id=player, board=board, score=value)
    if at is not None:
        data.achieved_at.FromDatetime(at)
    return said("liveops.score", data, player)


def hidden(player: str, revision: int, *boards: str) -> Message:
    """All that it ever reached on these boards is hidden, and nothing else."""
    data = fairness_pb2.FairnessScoresChanged(player_id=player, revision=revision)
    for board in boards:
        data.hidden.add(board=board).since.FromSeconds(0)
    return said("fairness.scores_changed", data, player)


async def handled(database: Database, messages: Sequence[Message]) -> bool:
    """Each has had its effect, or is a dead letter."""
    query = "SELECT event_id FROM leaderboard.inbox UNION SELECT event_id FROM leaderboard.dead_letters"
    async with database.connection() as connection:
        rows = await connection.fetch(query)
    return {message.id for message in messages} <= {row["event_id"] for row in rows}


async def letters(database: Database) -> dict[str, str]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT event_id, error FROM leaderboard.dead_letters")
    return {row["event_id"]: row["error"] for row in rows}


async def standing(server: Leaderboard, board: str, window: str = "all_time") -> dict[str, int]:
    answer = await server.top(board=board, window=window, limit=1000)
    return {each.player_id: each.score for each in answer.entries}


async def published(bus: Bus, messages: Sequence[Message]) -> None:
    """As the relay does it: again, until the bus has them."""

    async def taken() -> bool:
        try:
            await bus.publish(COMBAT, messages)
        except (Unavailable, Overloaded):
            return False
        return True

    await eventually(taken)


class Wired(NamedTuple):
    """A kind of bus, and its server: None of one that is pretended."""

    kind: str
    url: str
    broker: Broker | None


@pytest.fixture(params=[*KINDS, "servicebus"])
def wired(request: pytest.FixtureRequest, brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> Wired:
    if request.param == "servicebus":
        servicebus.pretend(monkeypatch)
        return Wired("servicebus", "pretended", None)
    broker = brokers.of(request.param)
    return Wired(request.param, broker.url, broker)


async def test_every_event_counts_once_however_it_comes(
    installed: Database, database_url: str, redis_url: str, wired: Wired
) -> None:
    """Two processes; each event two or three times, in any order; the bus is killed in the middle, where its
    server forgets nothing by that."""
    kind, url, broker = wired
    draw = random.Random(7)
    players = [f"p{number}" for number in range(12)]
    kills, wins, damage = Counter[str](), Counter[str](), Counter[str]()
    messages: list[Message] = []
    for number in range(80):
        one, other = draw.sample(players, 2)
        kills[one] += 1
        messages.append(kill(one, match=f"m{number % 7}"))
        amount = draw.randrange(1, 90_000)
        damage[other] += amount
        messages.append(summary(other, amount))
        if number % 10 == 0:
            wins[one] += 1
            messages.append(ended(one, other))
    again = messages + draw.sample(messages, len(messages)) + messages[::-1][:60]
    draw.shuffle(again)
    async with AsyncExitStack() as stack:
        base = {"database_url": database_url, "redis_url": redis_url, "bus_kind": "redis"}
        where = {"redis_url": url} if kind == "redis" else {"bus_kind": kind, "bus_url": url}
        servers = [
            await stack.enter_async_context(leaderboard(**base | where, worker_name=f"w{number}"))
            for number in range(2)
        ]
        bus = make(kind, url)
        stack.push_async_callback(bus.close)
        for begin in range(0, len(again), 80):
            if begin == 160 and broker is not None and kind in FORGETS_NOTHING:
                await asyncio.to_thread(broker.kill)
                await asyncio.to_thread(broker.start)
            await published(bus, again[begin : begin + 80])
        await eventually(partial(handled, installed, messages), within_s=60)
        for server in servers:
            for board, expected in (("kills", kills), ("wins", wins), ("damage", damage)):
                for window in ("all_time", "daily", "weekly"):
                    assert await standing(server, board, window) == expected
        top = (await servers[0].top(board="kills", window="all_time", limit=1000)).entries
        assert {each.player_id: each.submissions for each in top} == kills
    assert not await letters(installed)


async def test_what_is_no_merit_counts_nothing(server: Leaderboard, installed: Database, bus: Bus) -> None:
    """Friends killed, matches lost, no damage; the last one says that the others were handled."""
    messages = [kill("ann", friendly=True), ended("ben", "ann"), summary("ann", 0), kill("cat")]
    await bus.publish(COMBAT, messages)
    await eventually(partial(handled, installed, [messages[1], messages[-1]]))
    assert await standing(server, "kills") == {"cat": 1}
    assert await standing(server, "wins") == {"ben": 1}
    assert await standing(server, "damage") == {}


async def test_a_score_goes_to_the_board_that_it_names(
    server: Leaderboard, installed: Database, bus: Bus
) -> None:
    await server.board("races", sort="SORT_ASCENDING")
    messages = [
        scored("ann", 7),
        scored("ann", 9),
        scored("ann", 8),
        scored("ann", 33, board="races"),
        scored("ben", 31, board="races"),
    ]
    await bus.publish(LIVEOPS, messages)
    await eventually(partial(handled, installed, messages))
    assert await standing(server, "score") == {"ann": 9}
    assert ranks((await server.top(board="races")).entries) == [(1, "ben", 31), (2, "ann", 33)]


async def test_the_time_of_a_score_decides_not_the_order_of_events(
    server: Leaderboard, installed: Database, bus: Bus
) -> None:
    await server.board("form", operator="OPERATOR_LATEST", windows=["all_time", "daily"])
    now = clock.now()
    messages = [
        scored("ann", number, board="form", at=now - timedelta(seconds=number)) for number in range(20)
    ]
    random.Random(2).shuffle(messages)
    late = scored("ann", 99, board="form", at=now - timedelta(days=40))
    await bus.publish(LIVEOPS, [*messages, late])
    await eventually(partial(handled, installed, [*messages, late]))
    (entry,) = (await server.top(board="form")).entries
    assert entry.score == 0
    assert entry.achieved_at.ToMicroseconds() == round(now.timestamp() * 1_000_000)
    assert entry.submissions == 21
    old = await server.top(board="form", window="daily", period=late_day(now))
    assert old.players == 0


def late_day(now: datetime) -> str:
    return (now - timedelta(days=40)).date().isoformat()


async def test_a_board_counts_from_when_it_is_made(
    server: Leaderboard, installed: Database, bus: Bus
) -> None:
    """Of events that no service knows, too: what a studio sends as a Struct."""
    source = {"event": "studio.lap", "player": "who", "score": "laps", "columns": ["time.ms"]}
    column = {"name": "ms", "sort": "SORT_ASCENDING"}
    request = leaderboard_service_pb2.CreateBoardRequest(
        board=a_board("laps", operator="OPERATOR_BEST", columns=[column], sources=[source])
    )
    await server.stub.CreateBoard(request, metadata=operator())
    laps = []
    for player, number, ms in [("ann", 3, 800), ("ben", 3, 700), ("cat", 4, 900)]:
        data = Struct()
        data.update({"who": player, "laps": number, "time": {"ms": ms}})
        laps.append(said("studio.lap", data))
    await bus.publish(PROGRESSION, laps)
    await eventually(partial(handled, installed, laps))
    entries = (await server.top(board="laps")).entries
    assert [(each.player_id, each.score, *each.columns) for each in entries] == [
        ("cat", 4, 900),
        ("ben", 3, 700),
        ("ann", 3, 800),
    ]


async def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nobody(
    server: Leaderboard, installed: Database, bus: Bus
) -> None:
    wrong = {
        "player_id": scored("a b", 1),
        "no board none": scored("ann", 1, board="none"),
        "columns": said("liveops.score", liveops_pb2.LiveopsScore(player_id="ann", columns=[1])),
        "a minute ahead": scored("ann", 1, at=clock.now() + timedelta(hours=1)),
        "data": said("liveops.score", combat_pb2.CombatKill(killer_id="ann")),
        "envelope": Message("broken", "ann", b"\xff\xff"),
    }
    right = scored("ann", 5)
    await bus.publish(LIVEOPS, [*wrong.values(), right])
    await eventually(partial(handled, installed, [*wrong.values(), right]))
    assert await standing(server, "score") == {"ann": 5}
    told = await letters(installed)
    assert told.keys() == {message.id for message in wrong.values()}
    for rule, message in wrong.items():
        assert rule in told[message.id]


async def test_events_and_calls_add_up(server: Leaderboard, installed: Database, bus: Bus) -> None:
    messages = [kill("ann") for _ in range(5)]
    await bus.publish(COMBAT, messages)
    await eventually(partial(handled, installed, messages))
    await server.submit(score("ann", 10, board="kills"))
    assert await standing(server, "kills") == {"ann": 15}


async def test_scores_under_suspicion_go_and_come_back(
    server: Leaderboard, installed: Database, bus: Bus
) -> None:
    """Told in disorder and twice: the last word counts, and of what is not named nothing is hidden."""

    async def tell(*messages: Message) -> None:
        await bus.publish(FAIRNESS, [*messages, *messages[::-1]])
        await eventually(partial(handled, installed, messages))

    scores = [scored("ann", 9), scored("ben", 5), kill("ann"), kill("ben")]
    await bus.publish(LIVEOPS, scores)
    await eventually(partial(handled, installed, scores))
    await tell(hidden("ann", 2, ""), hidden("ann", 1))
    assert await standing(server, "score") == {"ben": 5}
    assert await standing(server, "kills") == {"ben": 1}
    later = scored("ann", 11)
    await bus.publish(LIVEOPS, [later])
    await eventually(partial(handled, installed, [later]))
    assert await standing(server, "score") == {"ben": 5}
    await tell(hidden("ann", 3, "kills"))
    assert await standing(server, "score") == {"ann": 11, "ben": 5}
    assert await standing(server, "kills") == {"ben": 1}
    await tell(hidden("ann", 4))
    assert await standing(server, "kills") == {"ann": 1, "ben": 1}


async def test_its_owner_is_shown_a_score_under_suspicion_where_the_board_says_so(
    server: Leaderboard, installed: Database, bus: Bus
) -> None:
    """To whoever has no token, one of somebody else, of another role, or one that does not count, it is not
    there."""
    await server.board("shown", quarantined_visible_to_owner=True)
    await server.board("not_shown")
    for board in ("shown", "not_shown"):
        await server.submit(score("ann", 9, board=board), score("ben", 5, board=board))
    message = hidden("ann", 1, "")
    await bus.publish(FAIRNESS, [message])
    await eventually(partial(handled, installed, [message]))

    async def seen(board: str, metadata: Metadata = ()) -> list[list[tuple[int, str, int]]]:
        stub = server.stub
        top = await stub.GetLeaderboard(
            leaderboard_service_pb2.GetLeaderboardRequest(board=board), metadata=metadata
        )
        request = leaderboard_service_pb2.GetPlayersRequest(board=board, player_ids=["ann", "ben"])
        players = await stub.GetPlayers(request, metadata=metadata)
        watching = stub.WatchLeaderboard(
            leaderboard_service_pb2.WatchLeaderboardRequest(board=board), metadata=metadata
        )
        first = await watching.read()
        watching.cancel()
        assert isinstance(first, leaderboard_service_pb2.WatchLeaderboardResponse)
        return [ranks(entries) for entries in (top.entries, players.entries, first.entries)]

    def around(board: str, metadata: Metadata) -> Any:
        request = leaderboard_service_pb2.GetAroundPlayerRequest(board=board, player_id="ann")
        return server.stub.GetAroundPlayer(request, metadata=metadata)

    own, others = [(1, "ann", 9), (2, "ben", 5)], [(1, "ben", 5)]
    assert await seen("shown", tokens.player("ann")) == [own] * 3
    assert ranks((await around("shown", tokens.player("ann"))).entries) == own
    strangers = [
        (),
        tokens.player("ben"),
        operator("ann"),
        bearer("ann", lifetime_s=-60),
        bearer("ann", secret="x" * 32),
    ]
    for board, metadata in [("not_shown", tokens.player("ann")), *(("shown", each) for each in strangers)]:
        assert await seen(board, metadata) == [others] * 3
        await refused(around(board, metadata), grpc.StatusCode.NOT_FOUND, "NOT_ON_BOARD")

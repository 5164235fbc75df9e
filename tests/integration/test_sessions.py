"""Sessions over gRPC, against a real database: their life, lists, seats and refusals."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import asyncpg
import grpc
import pytest
from arenamesh.combat.v1 import service_pb2, session_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from services.combat.settings import CombatSettings
from tests.support import tokens
from tests.support.refusals import details, reason
from tests.support.waiting import eventually
from tests.support.worker import Worker, refused, worker

WAITING = session_pb2.SESSION_STATUS_WAITING
ACTIVE = session_pb2.SESSION_STATUS_ACTIVE
ENDED = session_pb2.SESSION_STATUS_ENDED
ABORTED = session_pb2.SESSION_STATUS_ABORTED


def update(session_id: str, *paths: str, **fields: Any) -> service_pb2.UpdateSessionRequest:
    return service_pb2.UpdateSessionRequest(
        session_id=session_id, session=session_pb2.Session(**fields), update_mask=FieldMask(paths=paths)
    )


async def end(combat: Worker, session_id: str) -> session_pb2.Session:
    request = service_pb2.EndSessionRequest(session_id=session_id)
    return (await combat.stub.EndSession(request, metadata=tokens.game_server())).session


# -- creation -----------------------------------------------------------------------------------------


async def test_created_and_read_back(combat: Worker) -> None:
    created = await combat.create(
        name="friday", type=session_pb2.SESSION_TYPE_TEAM_DEATHMATCH, map_id="yard", max_players=4
    )
    assert (created.name, created.status, created.max_players) == ("friday", WAITING, 4)
    assert created.ruleset.version >= 1
    assert created.HasField("created_at")
    assert await combat.get(created.session_id) == created


async def test_the_request_id_becomes_the_session_id(combat: Worker) -> None:
    session = await combat.create((*tokens.game_server(), ("x-request-id", "a-match_7")))
    assert session.session_id == "a-match_7"


async def test_a_request_id_that_is_no_id_is_not_used(combat: Worker) -> None:
    session = await combat.create((*tokens.game_server(), ("x-request-id", "../etc passwd")))
    assert session.session_id != "../etc passwd"
    assert len(session.session_id) == 26


async def test_the_same_id_twice(combat: Worker) -> None:
    metadata = (*tokens.game_server(), ("x-request-id", "twice"))
    await combat.create(metadata)
    assert await refused(combat.create(metadata), grpc.StatusCode.ALREADY_EXISTS) == "SESSION_EXISTS"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": ""}, "FIELD_INVALID"),
        ({"name": "x" * 256}, "FIELD_INVALID"),
        ({"type": 0}, "FIELD_INVALID"),
        ({"type": 99}, "FIELD_INVALID"),
        ({"map_id": "moon"}, "MAP_UNKNOWN"),
        ({"map_id": "../yard"}, "FIELD_INVALID"),
        ({"game_mode": "chess"}, "MODE_UNKNOWN"),
        ({"ruleset": session_pb2.RulesetRef(name="default", version=999)}, "RULESET_UNKNOWN"),
        ({"ruleset": session_pb2.RulesetRef(name="other")}, "RULESET_UNKNOWN"),
        ({"tick_rate_hz": 9}, "FIELD_INVALID"),
        ({"tick_rate_hz": 129}, "FIELD_INVALID"),
        ({"max_players": 1001}, "FIELD_INVALID"),
        ({"max_players": 2, "min_players": 3}, "FIELD_INVALID"),
    ],
    ids=str,
)
async def test_what_cannot_be_created(combat: Worker, fields: dict[str, Any], why: str) -> None:
    assert await refused(combat.create(**fields), grpc.StatusCode.INVALID_ARGUMENT) == why


async def test_a_full_worker(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, max_sessions=1) as combat:
        await combat.create()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await combat.create()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason(caught.value) == "TOO_MANY_SESSIONS"
        assert any(detail.type_url.endswith("google.rpc.RetryInfo") for detail in details(caught.value))


# -- life ---------------------------------------------------------------------------------------------


async def test_waiting_active_ended(combat: Worker) -> None:
    session = await combat.create()
    begun = await combat.begin(session.session_id)
    assert begun.status == ACTIVE
    assert begun.HasField("started_at")
    over = await end(combat, session.session_id)
    assert over.status == ENDED
    assert over.HasField("ended_at")
    assert await combat.get(session.session_id) == over


async def test_waiting_aborted(combat: Worker) -> None:
    session = await combat.create()
    assert (await end(combat, session.session_id)).status == ABORTED


async def test_active_aborted(combat: Worker) -> None:
    session = await combat.create()
    await combat.begin(session.session_id)
    request = update(session.session_id, status=ABORTED)
    answer = await combat.stub.UpdateSession(request, metadata=tokens.operator())
    assert answer.session.status == ABORTED
    assert (await combat.get(session.session_id)).status == ABORTED


async def test_begins_by_itself_with_enough_players(combat: Worker) -> None:
    session = await combat.create(min_players=2)
    await combat.join(session.session_id, "ann")
    assert (await combat.get(session.session_id)).status == WAITING
    await combat.join(session.session_id, "bob")
    begun = await combat.get(session.session_id)
    assert (begun.status, begun.player_count) == (ACTIVE, 2)


async def test_two_last_players_at_once_begin_it_once(combat: Worker) -> None:
    session = await combat.create(min_players=2, max_players=8)
    await asyncio.gather(*(combat.join(session.session_id, f"p{number}") for number in range(8)))
    begun = await combat.get(session.session_id)
    assert (begun.status, begun.player_count) == (ACTIVE, 8)


@pytest.mark.parametrize(
    ("begin", "paths", "fields", "why"),
    [
        (True, (), {"status": WAITING}, "ILLEGAL_TRANSITION"),
        (True, ("status",), {"status": ACTIVE}, "SESSION_ALREADY_ACTIVE"),
        (True, (), {"status": ENDED}, "ILLEGAL_TRANSITION"),
        (False, (), {"status": ENDED}, "ILLEGAL_TRANSITION"),
        (False, ("status",), {"status": WAITING}, "ILLEGAL_TRANSITION"),
        (True, (), {"max_players": 5}, "NOT_WAITING"),
        (True, ("min_players",), {"min_players": 0}, "NOT_WAITING"),
    ],
    ids=str,
)
async def test_refused_updates(
    combat: Worker, begin: bool, paths: tuple[str, ...], fields: dict[str, Any], why: str
) -> None:
    session = await combat.create()
    if begin:
        await combat.begin(session.session_id)
    before = await combat.get(session.session_id)
    call = combat.stub.UpdateSession(
        update(session.session_id, *paths, **fields), metadata=tokens.game_server()
    )
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == why
    assert await combat.get(session.session_id) == before


@pytest.mark.parametrize("begin", [False, True])
async def test_nothing_leaves_an_ended_session(combat: Worker, begin: bool) -> None:
    session = await combat.create()
    if begin:
        await combat.begin(session.session_id)
    await end(combat, session.session_id)
    over = grpc.StatusCode.FAILED_PRECONDITION
    key = session.session_id
    stub, server = combat.stub, tokens.game_server()
    calls: list[Awaitable[Any]] = [
        stub.EndSession(service_pb2.EndSessionRequest(session_id=key), metadata=server),
        stub.UpdateSession(update(key, status=ACTIVE), metadata=server),
        stub.UpdateSession(update(key, name="again"), metadata=server),
        stub.JoinSession(service_pb2.JoinSessionRequest(session_id=key, player_id="ann"), metadata=server),
        stub.LeaveSession(service_pb2.LeaveSessionRequest(session_id=key, player_id="ann"), metadata=server),
        stub.GetState(service_pb2.GetStateRequest(session_id=key), metadata=server),
    ]
    for call in calls:
        assert await refused(call, over) == "SESSION_OVER"


async def test_seats_can_change_while_waiting(combat: Worker) -> None:
    session = await combat.create(max_players=2)
    request = update(session.session_id, max_players=3, min_players=3, name="bigger")
    after = (await combat.stub.UpdateSession(request, metadata=tokens.game_server())).session
    assert (after.max_players, after.min_players, after.name) == (3, 3, "bigger")
    for name in ("ann", "bob", "cat"):
        await combat.join(session.session_id, name)
    assert (await combat.get(session.session_id)).status == ACTIVE


async def test_seats_cannot_change_under_somebody(combat: Worker) -> None:
    session = await combat.create(max_players=2)
    await combat.join(session.session_id, "ann")
    call = combat.stub.UpdateSession(update(session.session_id, max_players=3), metadata=tokens.game_server())
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "SEATS_TAKEN"
    assert (await combat.get(session.session_id)).max_players == 2


async def test_what_never_changes(combat: Worker) -> None:
    session = await combat.create()
    call = combat.stub.UpdateSession(
        update(session.session_id, map_id="canyon"), metadata=tokens.game_server()
    )
    assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_IMMUTABLE"


async def test_an_unknown_session(combat: Worker) -> None:
    server = tokens.game_server()
    calls: list[Awaitable[Any]] = [
        combat.stub.GetSession(service_pb2.GetSessionRequest(session_id="none"), metadata=server),
        combat.stub.EndSession(service_pb2.EndSessionRequest(session_id="none"), metadata=server),
        combat.stub.UpdateSession(update("none", name="x"), metadata=server),
        combat.stub.GetState(service_pb2.GetStateRequest(session_id="none"), metadata=server),
    ]
    for call in calls:
        assert await refused(call, grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"


async def test_an_id_that_cannot_be(combat: Worker) -> None:
    for bad in ("", "a b", "x" * 65, "a/b"):
        call = combat.stub.GetSession(
            service_pb2.GetSessionRequest(session_id=bad), metadata=tokens.game_server()
        )
        assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_INVALID"


# -- seats --------------------------------------------------------------------------------------------


async def test_join_again_is_the_same_seat(combat: Worker) -> None:
    session = await combat.create()
    assert [await combat.join(session.session_id, name) for name in ("ann", "bob", "ann")] == [0, 1, 0]
    assert (await combat.get(session.session_id)).player_count == 2


async def test_a_player_joins_as_itself(combat: Worker) -> None:
    session = await combat.create()
    request = service_pb2.JoinSessionRequest(session_id=session.session_id)
    answer = await combat.stub.JoinSession(request, metadata=tokens.player("ann"))
    assert answer.seat.player_id == "ann"
    request.player_id = "bob"
    call = combat.stub.JoinSession(request, metadata=tokens.player("ann"))
    assert await refused(call, grpc.StatusCode.PERMISSION_DENIED) == "NOT_YOURSELF"


async def test_a_game_server_must_name_somebody(combat: Worker) -> None:
    session = await combat.create()
    call = combat.stub.JoinSession(
        service_pb2.JoinSessionRequest(session_id=session.session_id), metadata=tokens.game_server()
    )
    assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_INVALID"


async def test_a_subject_that_is_no_player_id(combat: Worker) -> None:
    session = await combat.create()
    call = combat.stub.JoinSession(
        service_pb2.JoinSessionRequest(session_id=session.session_id), metadata=tokens.player("a b")
    )
    assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_INVALID"


async def test_full(combat: Worker) -> None:
    session = await combat.create(max_players=1)
    await combat.join(session.session_id, "ann")
    call = combat.join(session.session_id, "bob")
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "FULL"


async def test_team_full_and_bad_team(combat: Worker) -> None:
    session = await combat.create(type=session_pb2.SESSION_TYPE_TEAM_DEATHMATCH, max_players=4)
    for name in ("ann", "bob"):
        await combat.join(session.session_id, name, team=1)
    full = combat.join(session.session_id, "cat", team=1)
    assert await refused(full, grpc.StatusCode.FAILED_PRECONDITION) == "TEAM_FULL"
    unknown = combat.join(session.session_id, "cat", team=9)
    assert await refused(unknown, grpc.StatusCode.FAILED_PRECONDITION) == "BAD_TEAM"


async def test_leaving_frees_the_seat(combat: Worker) -> None:
    session = await combat.create(max_players=1)
    await combat.join(session.session_id, "ann")
    request = service_pb2.LeaveSessionRequest(session_id=session.session_id)
    await combat.stub.LeaveSession(request, metadata=tokens.player("ann"))
    assert await combat.join(session.session_id, "bob") == 0
    call = combat.stub.LeaveSession(request, metadata=tokens.player("ann"))
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "NOT_JOINED"


async def test_an_operator_removes_a_player(combat: Worker) -> None:
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    stream = await combat.play(session.session_id, tokens.player("ann"))
    request = service_pb2.LeaveSessionRequest(session_id=session.session_id, player_id="ann")
    await combat.stub.LeaveSession(request, metadata=tokens.operator())
    last = (await stream.rest())[-1]
    assert [notice.reason for notice in last.notices] == ["LEAVE_REASON_KICKED"]


async def test_an_empty_session_ends_itself(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, max_empty_seconds=1) as combat:
        never, left = await combat.create(), await combat.create()
        await combat.join(left.session_id, "ann")
        await combat.begin(left.session_id)
        stream = await combat.play(left.session_id, tokens.game_server())
        request = service_pb2.LeaveSessionRequest(session_id=left.session_id, player_id="ann")
        await combat.stub.LeaveSession(request, metadata=tokens.game_server())
        notices = [notice for answer in await stream.rest() for notice in answer.notices]
        assert [notice.reason for notice in notices] == ["END_REASON_EMPTY"]
        await until_over(combat, left.session_id)
        await until_over(combat, never.session_id)
        assert (await combat.get(left.session_id)).status == ENDED
        assert (await combat.get(never.session_id)).status == ABORTED


async def until_over(combat: Worker, session_id: str) -> None:
    async def is_over() -> bool:
        return (await combat.get(session_id)).status not in (WAITING, ACTIVE)

    await eventually(is_over)


# -- lists --------------------------------------------------------------------------------------------


async def listed(combat: Worker, **fields: Any) -> service_pb2.ListSessionsResponse:
    return await combat.stub.ListSessions(
        service_pb2.ListSessionsRequest(**fields), metadata=tokens.player("ann")
    )


async def test_pages_newest_first(combat: Worker) -> None:
    made = [(await combat.create(name=f"n{number}")).name for number in range(7)]
    found: list[str] = []
    token = ""
    sizes = []
    while True:
        page = await listed(combat, page_size=3, page_token=token)
        found += [session.name for session in page.sessions]
        sizes.append(len(page.sessions))
        token = page.next_page_token
        if not token:
            break
    assert found == made[::-1]
    assert sizes == [3, 3, 1]


async def test_a_last_page_that_is_full_has_no_token(combat: Worker) -> None:
    for _ in range(2):
        await combat.create()
    assert (await listed(combat, page_size=2)).next_page_token == ""


async def test_filters(combat: Worker) -> None:
    duel = await combat.create(type=session_pb2.SESSION_TYPE_DUEL)
    raid = await combat.create(type=session_pb2.SESSION_TYPE_RAID)
    await combat.begin(raid.session_id)
    await combat.join(raid.session_id, "ann")
    by_type = (await listed(combat, type=session_pb2.SESSION_TYPE_DUEL)).sessions
    assert [session.session_id for session in by_type] == [duel.session_id]
    by_status = (await listed(combat, status=ACTIVE)).sessions
    assert [(session.session_id, session.player_count) for session in by_status] == [(raid.session_id, 1)]
    both = await listed(combat, status=ACTIVE, type=session_pb2.SESSION_TYPE_DUEL)
    assert not both.sessions


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"page_size": -1}, "FIELD_INVALID"),
        ({"page_token": "nonsense"}, "PAGE_TOKEN_INVALID"),
        ({"page_token": "x" * 513}, "FIELD_INVALID"),
        ({"status": 77}, "FIELD_INVALID"),
    ],
    ids=str,
)
async def test_bad_lists(combat: Worker, fields: dict[str, Any], why: str) -> None:
    assert await refused(listed(combat, **fields), grpc.StatusCode.INVALID_ARGUMENT) == why


async def test_a_token_of_another_filter(combat: Worker) -> None:
    for _ in range(2):
        await combat.create()
    token = (await listed(combat, page_size=1)).next_page_token
    call = listed(combat, page_size=1, page_token=token, status=WAITING)
    assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "PAGE_TOKEN_INVALID"


# -- several workers ----------------------------------------------------------------------------------


async def test_a_worker_whose_row_is_gone_cannot_write(combat: Worker, database_url: str) -> None:
    session = await combat.create()
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE gameplay.combat_sessions SET owner = 'w9', epoch = epoch + 1")
    row = await connection.fetchrow("SELECT * FROM gameplay.combat_sessions")
    call = combat.begin(session.session_id)
    assert await refused(call, grpc.StatusCode.UNAVAILABLE) == "SESSION_MOVED"
    assert await connection.fetchrow("SELECT * FROM gameplay.combat_sessions") == row
    await connection.close()


async def test_player_counts_are_written(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, persist_seconds=0.02) as combat:
        session = await combat.create()
        await combat.join(session.session_id, "ann")
        connection = await asyncpg.connect(database_url)

        async def is_written() -> bool:
            return bool(await connection.fetchval("SELECT player_count FROM gameplay.combat_sessions"))

        await eventually(is_written)
        await connection.close()


def test_the_pool_of_all_workers_fits() -> None:
    pool = CombatSettings.model_fields["database_pool"].default
    assert (pool + 2) * 4 <= 50

"""Damage, actions and positions as single calls: the same arena, the same verdicts as on Play."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2, verdict_pb2

from tests.support import tokens
from tests.support.worker import Worker, refused

ACCEPTED = verdict_pb2.OUTCOME_ACCEPTED
REJECTED = verdict_pb2.OUTCOME_REJECTED


@pytest.fixture
async def match(combat: Worker) -> str:
    """An active session of ann (seat 0) and bob (seat 1)."""
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    await combat.join(session.session_id, "bob")
    await combat.begin(session.session_id)
    return session.session_id


def direct(match: str, **fields: Any) -> service_pb2.ApplyDamageRequest:
    """10 points from the game's script to bob."""
    damage = play_pb2.Damage(target=1, amount_milli=10_000, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True)
    return service_pb2.ApplyDamageRequest(session_id=match, direct=damage, **fields)


def walk(match: str, **fields: Any) -> service_pb2.UpdatePositionRequest:
    return service_pb2.UpdatePositionRequest(
        session_id=match, move=play_pb2.Move(mode=play_pb2.MOVE_MODE_WALK, x=1e6), **fields
    )


def act(match: str, **fields: Any) -> service_pb2.ExecuteActionRequest:
    return service_pb2.ExecuteActionRequest(session_id=match, action=play_pb2.Action(action=31), **fields)


async def test_direct_damage_from_a_game_server(combat: Worker, match: str) -> None:
    answer = await combat.stub.ApplyDamage(direct(match, player_id="ann"), metadata=tokens.game_server())
    assert answer.verdict.outcome == ACCEPTED
    assert [(hit.slot, hit.dealt_milli) for hit in answer.verdict.hits] == [(1, 10_000)]


async def test_direct_damage_from_a_player_is_not_trusted(combat: Worker, match: str) -> None:
    answer = await combat.stub.ApplyDamage(direct(match), metadata=tokens.player("ann"))
    assert (answer.verdict.outcome, answer.verdict.reason) == (REJECTED, verdict_pb2.REASON_NOT_TRUSTED)


async def test_a_claimed_shot_is_judged(combat: Worker, match: str) -> None:
    shot = play_pb2.Shot(weapon=0, origin_x=1e4, direction_x=1)
    request = service_pb2.ApplyDamageRequest(session_id=match, shot=shot)
    answer = await combat.stub.ApplyDamage(request, metadata=tokens.player("ann"))
    assert (answer.verdict.outcome, answer.verdict.reason) == (REJECTED, verdict_pb2.REASON_BAD_ORIGIN)


async def test_an_action_is_judged(combat: Worker, match: str) -> None:
    answer = await combat.stub.ExecuteAction(act(match), metadata=tokens.player("ann"))
    assert (answer.verdict.outcome, answer.verdict.reason) == (REJECTED, verdict_pb2.REASON_UNKNOWN_ACTION)


async def test_a_position_too_far_is_corrected_or_rejected_with_the_reason(
    combat: Worker, match: str
) -> None:
    answer = await combat.stub.UpdatePosition(walk(match), metadata=tokens.player("ann"))
    assert answer.verdict.outcome != ACCEPTED
    assert answer.verdict.reason != verdict_pb2.REASON_UNSPECIFIED


async def test_sequences_go_on_by_themselves(combat: Worker, match: str) -> None:
    found = [
        (await combat.stub.UpdatePosition(walk(match), metadata=tokens.player("ann"))).verdict.sequence
        for _ in range(3)
    ]
    assert found == [1, 2, 3]


async def test_a_repeated_sequence_has_no_second_effect(combat: Worker, match: str) -> None:
    request = direct(match, player_id="ann", sequence=7)
    first = (await combat.stub.ApplyDamage(request, metadata=tokens.game_server())).verdict
    again = (await combat.stub.ApplyDamage(request, metadata=tokens.game_server())).verdict
    assert again.repeated
    assert again.hits == first.hits
    state = await combat.stub.GetState(
        service_pb2.GetStateRequest(session_id=match), metadata=tokens.game_server()
    )
    health = {entity.slot: entity.health_milli for entity in state.snapshot.entities}
    assert health[0] == first.hits[0].health_milli + 10_000 or health[1] == first.hits[0].health_milli


async def test_the_same_verdicts_as_on_the_stream(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    await combat.stub.UpdatePosition(walk(match, sequence=4), metadata=tokens.player("ann"))
    command = play_pb2.Command(slot=0, sequence=4, move=play_pb2.Move(mode=play_pb2.MOVE_MODE_WALK))
    (verdict,) = await stream.commands(command)
    assert verdict.repeated


Call = Callable[[Worker, str, tokens.Metadata, dict[str, Any]], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "damage": lambda w, m, who, f: w.stub.ApplyDamage(direct(m, **f), metadata=who),
    "action": lambda w, m, who, f: w.stub.ExecuteAction(act(m, **f), metadata=who),
    "position": lambda w, m, who, f: w.stub.UpdatePosition(walk(m, **f), metadata=who),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_who_may_act_for_whom(combat: Worker, match: str, call: Call) -> None:
    for_another = call(combat, match, tokens.player("ann"), {"player_id": "bob"})
    assert await refused(for_another, grpc.StatusCode.PERMISSION_DENIED) == "NOT_YOURSELF"
    for_nobody = call(combat, match, tokens.game_server(), {})
    assert await refused(for_nobody, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_INVALID"
    stranger = call(combat, match, tokens.player("eve"), {})
    assert await refused(stranger, grpc.StatusCode.FAILED_PRECONDITION) == "NOT_JOINED"
    operator = call(combat, match, tokens.operator(), {"player_id": "ann"})
    assert await refused(operator, grpc.StatusCode.PERMISSION_DENIED) == "ROLE_NOT_ALLOWED"
    nowhere = call(combat, "none", tokens.player("ann"), {})
    assert await refused(nowhere, grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    "request_",
    [
        service_pb2.ApplyDamageRequest(session_id="s"),
        service_pb2.ApplyDamageRequest(session_id="s", direct=play_pb2.Damage(amount_milli=0)),
        service_pb2.ApplyDamageRequest(session_id="s", shot=play_pb2.Shot(), view_fraction=65536),
        service_pb2.ApplyDamageRequest(session_id="s", shot=play_pb2.Shot(origin_x=float("nan"))),
        service_pb2.ApplyDamageRequest(session_id="s", shot=play_pb2.Shot(direction_x=float("inf"))),
        service_pb2.ApplyDamageRequest(session_id="s", player_id="a b", shot=play_pb2.Shot()),
    ],
    ids=str,
)
async def test_field_rules(combat: Worker, request_: service_pb2.ApplyDamageRequest) -> None:
    call = combat.stub.ApplyDamage(request_, metadata=tokens.player("ann"))
    assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_INVALID"


async def test_a_request_that_cannot_be_decoded(combat: Worker) -> None:
    call: Any = combat.channel.unary_unary("/arenamesh.combat.v1.CombatService/ApplyDamage")
    broken = call(b"\xff\xff", metadata=tokens.player("ann"))
    assert await refused(broken, grpc.StatusCode.INVALID_ARGUMENT) == "MALFORMED"


# -- state --------------------------------------------------------------------------------------------


async def test_state(combat: Worker, match: str) -> None:
    request = service_pb2.GetStateRequest(session_id=match)
    state = await combat.stub.GetState(request, metadata=tokens.operator())
    assert state.session.session_id == match
    assert [(seat.slot, seat.player_id) for seat in state.seats] == [(0, "ann"), (1, "bob")]
    assert {entity.slot for entity in state.snapshot.entities} == {0, 1}
    assert state.snapshot.baseline_tick == 0
    assert len(state.state_hash) == 16
    assert int(state.state_hash, 16)


async def test_a_player_sees_its_own_surroundings(combat: Worker, match: str) -> None:
    request = service_pb2.GetStateRequest(session_id=match)
    state = await combat.stub.GetState(request, metadata=tokens.player("bob"))
    assert 1 in {entity.slot for entity in state.snapshot.entities}

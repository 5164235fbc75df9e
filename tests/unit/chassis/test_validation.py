"""The contract's field rules, as errors with paths."""

import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2, session_pb2
from arenamesh.liveops.v1 import board_pb2

from services.chassis.errors import InvalidArgument
from services.chassis.validation import MAX_TOLD, check


def test_a_good_message_passes() -> None:
    check(service_pb2.GetSessionRequest(session_id="abc"))


def test_paths_of_every_fault() -> None:
    request = play_pb2.PlayRequest(
        view_fraction=65536,
        commands=[
            play_pb2.Command(sequence=1, move=play_pb2.Move()),
            play_pb2.Command(sequence=0, move=play_pb2.Move(x=float("nan"))),
        ],
    )
    with pytest.raises(InvalidArgument) as caught:
        check(request)
    assert caught.value.reason == "FIELD_INVALID"
    assert {violation.field for violation in caught.value.violations} == {
        "view_fraction",
        "commands[1].sequence",
        "commands[1].move.x",
    }


def test_nested_and_missing() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(service_pb2.CreateSessionRequest())
    assert caught.value.violations[0].field == "session"
    with pytest.raises(InvalidArgument) as caught:
        check(service_pb2.CreateSessionRequest(session=session_pb2.Session(name="x" * 256, map_id="../etc")))
    assert [violation.field for violation in caught.value.violations] == ["session.name", "session.map_id"]


def test_what_was_left_out_is_told_so() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(board_pb2.Board(windows=["daily"]))
    assert caught.value.text == "id: must be given; operator: must be given"
    with pytest.raises(InvalidArgument) as caught:
        check(board_pb2.Board(id="No id", operator=board_pb2.OPERATOR_SUM, windows=["daily"]))
    assert caught.value.text.startswith("id: does not match regex pattern")


def test_more_than_a_status_holds() -> None:
    request = play_pb2.PlayRequest(
        view_fraction=65536, commands=[play_pb2.Command(move=play_pb2.Move(x=float("nan")))] * 40
    )
    with pytest.raises(InvalidArgument) as caught:
        check(request)
    assert len(caught.value.violations) == MAX_TOLD
    assert caught.value.violations[0].field == "view_fraction"
    assert caught.value.text.endswith("; and 61 more")

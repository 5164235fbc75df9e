"""Sessions between the contract and the domain."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from arenamesh.combat.v1 import session_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from services.chassis.errors import InvalidArgument
from services.combat.domain.session import Change, Session, SessionStatus, SessionType
from services.combat.translate import status_of, to_change, to_draft, to_message, type_of

SESSION = Session(
    session_id="s1",
    name="friday",
    type=SessionType.RAID,
    status=SessionStatus.WAITING,
    max_players=8,
    min_players=0,
    map_id="yard",
    game_mode="raid",
    ruleset_name="default",
    ruleset_version=3,
    tick_rate_hz=64,
    spectator_delay_s=0,
    created_at=datetime(2026, 11, 20, 1, 2, 3, 456789, tzinfo=UTC),
    started_at=None,
    ended_at=None,
    player_count=2,
    owner="w0",
    epoch=1,
    arena_key=7,
    ruleset_hash="",
    map_hash="",
    journal_sequence=11,
)


def test_enumerations_are_the_contracts() -> None:
    names = session_pb2.SessionType.DESCRIPTOR.values_by_name
    types = {type_of(getattr(session_pb2, name)) for name in names}
    assert types == {None, *SessionType}
    names = session_pb2.SessionStatus.DESCRIPTOR.values_by_name
    statuses = {status_of(getattr(session_pb2, name)) for name in names}
    assert statuses == {None, *SessionStatus}


def test_to_message() -> None:
    message = to_message(SESSION)
    assert message.created_at.ToDatetime(UTC) == SESSION.created_at
    assert not message.HasField("started_at")
    assert message.HasField("min_players")
    assert (type_of(message.type), status_of(message.status)) == (SESSION.type, SESSION.status)


@pytest.mark.parametrize("status", SessionStatus)
def test_every_status_has_a_message(status: SessionStatus) -> None:
    assert status_of(to_message(replace(SESSION, status=status)).status) is status


def test_absent_is_not_zero_in_a_draft() -> None:
    absent = to_draft(session_pb2.Session(name="x"))
    assert (absent.min_players, absent.spectator_delay_s) == (None, None)
    zero = to_draft(session_pb2.Session(name="x", min_players=0, spectator_delay_s=0))
    assert (zero.min_players, zero.spectator_delay_s) == (0, 0)


def change(asked: session_pb2.Session, *paths: str) -> Change:
    return to_change(asked, FieldMask(paths=paths), to_message(SESSION))


def test_a_mask_names_what_changes() -> None:
    asked = session_pb2.Session(name="new", max_players=9)
    assert change(asked, "name") == Change(name="new")
    assert change(asked, "name", "max_players") == Change(name="new", max_players=9)
    assert change(asked, "min_players") == Change(min_players=0)


def test_without_a_mask_what_differs_changes() -> None:
    whole = to_message(SESSION)
    assert change(whole) == Change()
    whole.name = "new"
    whole.spectator_delay_s = 5
    assert change(whole) == Change(name="new", spectator_delay_s=5)


@pytest.mark.parametrize("name", ["type", "map_id", "game_mode", "ruleset", "tick_rate_hz"])
def test_what_never_changes(name: str) -> None:
    other = session_pb2.Session(
        type=session_pb2.SESSION_TYPE_DUEL,
        map_id="canyon",
        game_mode="duel",
        ruleset=session_pb2.RulesetRef(name="default", version=1),
        tick_rate_hz=30,
    )
    asked = session_pb2.Session(**{name: getattr(other, name)})
    for paths in ((), (name,)):
        with pytest.raises(InvalidArgument) as caught:
            change(asked, *paths)
        assert caught.value.reason == "FIELD_IMMUTABLE"
        assert caught.value.violations[0].field == f"session.{name}"


@pytest.mark.parametrize("path", ["created_at", "player_count", "nothing", "session.name"])
def test_a_mask_of_what_there_is_not(path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        change(session_pb2.Session(name="x"), path)
    assert caught.value.violations[0].field == "update_mask"


def test_a_status_in_the_mask_must_be_given() -> None:
    with pytest.raises(InvalidArgument) as caught:
        change(session_pb2.Session(), "status")
    assert caught.value.violations[0].field == "session.status"

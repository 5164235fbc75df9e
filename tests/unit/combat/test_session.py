"""The rules of a session's life, without a server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.errors import DomainError, FailedPrecondition, InvalidArgument
from services.combat.domain import session as rules
from services.combat.domain.session import Change, Draft, Session, SessionStatus, SessionType

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
W, A, E, X = SessionStatus.WAITING, SessionStatus.ACTIVE, SessionStatus.ENDED, SessionStatus.ABORTED
MODES = ("deathmatch", "duel", "team_deathmatch", "battle_royale", "raid", "training")


class Content:
    """Two maps, and two versions of the default ruleset."""

    def has_map(self, map_id: str) -> bool:
        return map_id in {"yard", "canyon"}

    def newest_ruleset(self, name: str) -> int | None:
        return 2 if name == "default" else None

    def modes(self, name: str, version: int) -> tuple[str, ...] | None:
        return MODES if name == "default" and version in {1, 2} else None

    def map_hash(self, map_id: str) -> str:
        return f"map {map_id}"

    def ruleset_hash(self, name: str, version: int) -> str:
        return f"rules {name} {version}"


def create(**fields: object) -> Session:
    draft = Draft(**({"name": "friday", "type": SessionType.DUEL} | fields))  # type: ignore[arg-type]
    return rules.create(draft, Content(), session_id="s1", owner="w0", arena_key=7, now=NOW)


def in_status(status: SessionStatus) -> Session:
    return replace(create(), status=status)


@pytest.mark.parametrize(
    ("type_", "mode", "players", "delay"),
    [
        (SessionType.DUEL, "duel", 2, 0),
        (SessionType.TEAM_DEATHMATCH, "team_deathmatch", 16, 0),
        (SessionType.BATTLE_ROYALE, "battle_royale", 16, 0),
        (SessionType.RAID, "raid", 16, 0),
        (SessionType.TOURNAMENT, "deathmatch", 16, 30),
        (SessionType.TRAINING, "training", 16, 0),
    ],
)
def test_defaults_by_type(type_: SessionType, mode: str, players: int, delay: int) -> None:
    session = create(type=type_)
    assert session == Session(
        session_id="s1",
        name="friday",
        type=type_,
        status=W,
        max_players=players,
        min_players=1,
        map_id="yard",
        game_mode=mode,
        ruleset_name="default",
        ruleset_version=2,
        tick_rate_hz=30,
        spectator_delay_s=delay,
        created_at=NOW,
        started_at=None,
        ended_at=None,
        player_count=0,
        owner="w0",
        epoch=1,
        arena_key=7,
        ruleset_hash="rules default 2",
        map_hash="map yard",
    )


def test_every_type_has_defaults() -> None:
    assert set(rules.DEFAULTS) == set(SessionType)


def test_what_is_asked_for_is_kept() -> None:
    session = create(
        type=SessionType.TOURNAMENT,
        max_players=8,
        min_players=0,
        map_id="canyon",
        game_mode="raid",
        ruleset_name="default",
        ruleset_version=1,
        tick_rate_hz=128,
        spectator_delay_s=0,
    )
    assert (session.max_players, session.min_players, session.map_id, session.game_mode) == (
        8,
        0,
        "canyon",
        "raid",
    )
    assert (session.ruleset_version, session.tick_rate_hz, session.spectator_delay_s) == (1, 128, 0)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"name": ""}, "session.name", "FIELD_INVALID"),
        ({"name": "  "}, "session.name", "FIELD_INVALID"),
        ({"type": None}, "session.type", "FIELD_INVALID"),
        ({"map_id": "moon"}, "session.map_id", "MAP_UNKNOWN"),
        ({"game_mode": "chess"}, "session.game_mode", "MODE_UNKNOWN"),
        ({"ruleset_name": "other"}, "session.ruleset", "RULESET_UNKNOWN"),
        ({"ruleset_version": 3}, "session.ruleset", "RULESET_UNKNOWN"),
        ({"tick_rate_hz": 9}, "session.tick_rate_hz", "FIELD_INVALID"),
        ({"tick_rate_hz": 129}, "session.tick_rate_hz", "FIELD_INVALID"),
        ({"max_players": 1001}, "session.max_players", "FIELD_INVALID"),
        ({"min_players": 3}, "session.min_players", "FIELD_INVALID"),
    ],
    ids=str,
)
def test_what_cannot_be_created(fields: dict[str, object], field: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(**fields)
    assert (caught.value.violations[0].field, caught.value.reason) == (field, reason)


LEGAL = {(W, A), (W, X), (A, E), (A, X)}


@pytest.mark.parametrize("start", SessionStatus)
@pytest.mark.parametrize("to", SessionStatus)
def test_every_transition(start: SessionStatus, to: SessionStatus) -> None:
    session = in_status(start)
    if (start, to) in LEGAL:
        after = rules.transition(session, to, LATER)
        assert after.status is to
        assert after.started_at == (LATER if to is A else session.started_at)
        assert after.ended_at == (LATER if to in (E, X) else None)
        return
    with pytest.raises(FailedPrecondition) as caught:
        rules.transition(session, to, LATER)
    expected = "SESSION_OVER" if start in (E, X) else "ILLEGAL_TRANSITION"
    assert caught.value.reason == ("SESSION_ALREADY_ACTIVE" if (start, to) == (A, A) else expected)


@pytest.mark.parametrize(("start", "to"), [(W, X), (A, E)])
def test_end(start: SessionStatus, to: SessionStatus) -> None:
    assert rules.end(in_status(start), LATER).status is to


@pytest.mark.parametrize("start", [E, X])
def test_end_again(start: SessionStatus) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        rules.end(in_status(start), LATER)
    assert caught.value.reason == "SESSION_OVER"


def test_update_of_several_fields() -> None:
    change = Change(name="saturday", status=A, max_players=6, min_players=2, spectator_delay_s=10)
    after = rules.update(create(), change, LATER)
    assert (after.name, after.status, after.max_players, after.min_players, after.spectator_delay_s) == (
        "saturday",
        A,
        6,
        2,
        10,
    )


def test_an_empty_update_changes_nothing() -> None:
    assert rules.update(create(), Change(), LATER) == create()


@pytest.mark.parametrize(
    ("start", "change", "reason"),
    [
        (E, Change(name="x"), "SESSION_OVER"),
        (X, Change(), "SESSION_OVER"),
        (A, Change(max_players=4), "NOT_WAITING"),
        (A, Change(min_players=1), "NOT_WAITING"),
        (A, Change(status=W), "ILLEGAL_TRANSITION"),
        (A, Change(status=A), "SESSION_ALREADY_ACTIVE"),
        (A, Change(status=E), "ILLEGAL_TRANSITION"),
        (W, Change(status=W), "ILLEGAL_TRANSITION"),
        (W, Change(status=E), "ILLEGAL_TRANSITION"),
        (W, Change(name=" "), "FIELD_INVALID"),
        (W, Change(max_players=0), "FIELD_INVALID"),
        (W, Change(min_players=3), "FIELD_INVALID"),
    ],
    ids=str,
)
def test_what_cannot_be_updated(start: SessionStatus, change: Change, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        rules.update(in_status(start), change, LATER)
    assert caught.value.reason == reason

"""JSON as an event: what is taken, and every way in which a field can be wrong."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.ingest import schemas, shapes, strict_json, telling
from services.ingest.domain.event import (
    KNOWN_TYPES,
    BossKill,
    Custom,
    DropClaimed,
    Event,
    Json,
    Progression,
    Score,
)
from services.ingest.domain.refusals import EventRefused
from services.ingest.fields import MAX_PROBLEMS
from services.ingest.schemas import Schemas
from services.ingest.shapes import Shapes, Times, instant

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MOST = 2**63 - 1
EVENT = {"type": "progression", "playerId": "p1", "ts": 1730560000, "payload": {"deltaXp": 10}}


def registered() -> Schemas:
    known = Schemas()
    document = {
        "type": "object",
        "properties": {"depth": {"type": "integer", "minimum": 1}, "by": {"type": "string"}},
        "required": ["depth"],
        "additionalProperties": False,
    }
    known.put(schemas.compiled("cave_entered", 3, document))
    return known


SHAPES = Shapes(registered(), Times())


def event(**changes: Any) -> Event:
    """`payload=...`: a member that is absent."""
    document = {name: value for name, value in (EVENT | changes).items() if value is not ...}
    return SHAPES.event(strict_json.read(json.dumps(document).encode()), NOW)


def problems(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(EventRefused) as told:
        event(**changes)
    assert told.value.reason == "EVENT_INVALID"
    return [(violation.field, violation.description) for violation in told.value.violations]


def test_the_sources_own_example() -> None:
    at = datetime(2024, 11, 2, 15, 6, 40, tzinfo=UTC)
    assert event() == Event("progression", "p1", at, Progression(10))


@pytest.mark.parametrize(
    ("type_", "payload", "made"),
    [
        ("progression", {"experience": "10"}, Progression(10)),
        ("progression", {"deltaXp": 1e1, "characterId": "c"}, Progression(10, "c")),
        ("progression", {"deltaXp": str(MOST)}, Progression(MOST)),
        (
            "progression",
            {"deltaXp": 0, "masteryType": "raid", "masteryExperience": 5},
            Progression(0, "", "raid", 5),
        ),
        ("progression", {"masteryType": "raid", "masteryExperience": 5}, Progression(0, "", "raid", 5)),
        ("boss_kill", {"bossId": "hydra"}, BossKill("hydra")),
        ("boss_kill", {"bossId": "hydra", "bossLevel": 40, "characterId": "c"}, BossKill("hydra", 40, "c")),
        ("drop_claimed", {"itemId": "sword"}, DropClaimed("sword")),
        ("drop_claimed", {"itemId": "sword", "quantity": 3}, DropClaimed("sword", 3)),
        ("score", {"score": -MOST - 1}, Score(-MOST - 1)),
        ("score", {"score": MOST, "columns": [0, "-1"], "board": "kills"}, Score(MOST, (0, -1), "kills")),
        ("cave_entered", {"depth": 3}, Custom(3, {"depth": 3})),
    ],
)
def test_what_a_payload_says(type_: str, payload: Json, made: object) -> None:
    taken = event(type=type_, payload=payload)
    assert taken.payload == made
    assert taken == SHAPES.from_parts(type_, "p1", taken.at, payload, NOW)


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"type": ...}, "type", "is missing"),
        ({"type": None}, "type", "must be a text"),
        ({"type": "Boss"}, "type", "must match"),
        ({"type": "score\n"}, "type", "must match"),
        ({"playerId": ...}, "playerId", "is missing"),
        ({"playerId": 7}, "playerId", "must be a text"),
        ({"playerId": ""}, "playerId", "must match"),
        ({"playerId": "a b"}, "playerId", "must match"),
        ({"playerId": "x" * 65}, "playerId", "must match"),
        ({"playerId": "\u0661"}, "playerId", "must match"),
        ({"ts": ...}, "ts", "is missing"),
        ({"ts": None}, "ts", "must be seconds"),
        ({"payload": ...}, "payload", "is missing"),
        ({"payload": None}, "payload", "must be an object"),
        ({"payload": [1]}, "payload", "must be an object"),
        ({"type": "cave_entered", "payload": []}, "payload", "must be an object"),
        ({"player_id": "p1"}, "player_id", "is unknown; there are payload, playerId, ts, type"),
        ({"\ud800": 1}, "\\ud800", "is unknown"),
    ],
)
def test_one_wrong_member(changes: dict[str, Any], field: str, rule: str) -> None:
    [(found, description)] = problems(**changes)
    assert found == field
    assert description.startswith(rule)


@pytest.mark.parametrize(
    ("type_", "payload", "field", "rule"),
    [
        ("progression", {}, "deltaXp", "must be at least 1"),
        ("progression", {"deltaXp": 0}, "deltaXp", "must be at least 1"),
        ("progression", {"deltaXp": -1}, "deltaXp", "must be from 0 to 9223372036854775807"),
        ("progression", {"deltaXp": MOST + 1}, "deltaXp", "must be from 0"),
        ("progression", {"deltaXp": "1" * 20}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": 1.5}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": 1e17}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": True}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": None}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": "ten"}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": " 10"}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": "\u0661"}, "deltaXp", "must be a whole number"),
        ("progression", {"deltaXp": 1, "experience": 1}, "experience", "says the same as deltaXp"),
        ("progression", {"deltaXp": 1, "masteryType": "raid"}, "masteryExperience", "is missing"),
        ("progression", {"deltaXp": 1, "masteryExperience": 1}, "masteryType", "is missing"),
        (
            "progression",
            {"deltaXp": 1, "masteryType": "", "masteryExperience": 1},
            "masteryType",
            "must match",
        ),
        ("progression", {"deltaXp": 1, "delta": 1}, "delta", "is unknown"),
        ("boss_kill", {}, "bossId", "is missing"),
        ("boss_kill", {"bossId": "a b"}, "bossId", "must match"),
        ("boss_kill", {"bossId": "a", "bossLevel": 0}, "bossLevel", "must be from 1 to 2147483647"),
        ("boss_kill", {"bossId": "a", "bossLevel": 2**31}, "bossLevel", "must be from 1"),
        ("drop_claimed", {"itemId": "a", "quantity": 0}, "quantity", "must be from 1"),
        ("drop_claimed", {"itemId": ["a"]}, "itemId", "must be a text"),
        ("score", {}, "score", "is missing"),
        ("score", {"score": -MOST - 2}, "score", "must be from -9223372036854775808"),
        ("score", {"score": 1, "columns": 1}, "columns", "must be a list"),
        ("score", {"score": 1, "columns": [1, 2, 3]}, "columns", "must have at most 2 values"),
        ("score", {"score": 1, "columns": [1, {}]}, "columns[1]", "must be a whole number"),
        ("score", {"score": 1, "board": "A"}, "board", "must match"),
        ("cave_entered", {"depth": 0}, "depth", "0 is less than the minimum of 1"),
        ("cave_entered", {"depth": 1, "by": "\0"}, "by", "must not hold U+0000"),
    ],
)
def test_one_wrong_member_of_a_payload(type_: str, payload: Json, field: str, rule: str) -> None:
    [(found, description)] = problems(type=type_, payload=payload)
    assert found == f"payload.{field}"
    assert description.startswith(rule)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = problems(playerId="", ts="soon", payload={"deltaXp": "x", "more": 1})
    assert {field for field, _ in wrong} == {"playerId", "ts", "payload.deltaXp", "payload.more"}
    assert len(problems(**{f"x{at}": at for at in range(1000)})) == MAX_PROBLEMS
    assert len(problems(payload={f"x{at}": at for at in range(1000)})) == MAX_PROBLEMS


@pytest.mark.parametrize("document", [None, 1, "text", [EVENT], True])
def test_an_event_is_an_object(document: Json) -> None:
    with pytest.raises(EventRefused) as told:
        SHAPES.event(document, NOW)
    assert [violation.field for violation in told.value.violations] == ["event"]


def test_a_type_that_nobody_registered() -> None:
    with pytest.raises(EventRefused) as told:
        event(type="cave_left")
    assert told.value.reason == "UNKNOWN_TYPE"
    assert told.value.metadata == {"type": "cave_left"}


@pytest.mark.parametrize(
    ("ts", "at"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1730560000, datetime(2024, 11, 2, 15, 6, 40, tzinfo=UTC)),
        (1730560000.25, datetime(2024, 11, 2, 15, 6, 40, 250_000, tzinfo=UTC)),
        (1730560000123, datetime(2024, 11, 2, 15, 6, 40, 123_000, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("2024-11-02T15:06:40Z", datetime(2024, 11, 2, 15, 6, 40, tzinfo=UTC)),
        ("2024-11-02t17:06:40.5+02:00", datetime(2024, 11, 2, 15, 6, 40, 500_000, tzinfo=UTC)),
        ("2024-11-02 15:06:40.123456789-00:00", datetime(2024, 11, 2, 15, 6, 40, 123_456, tzinfo=UTC)),
    ],
)
def test_the_forms_of_a_time(ts: Json, at: datetime) -> None:
    assert instant(ts) == at


@pytest.mark.parametrize(
    "ts",
    [
        *(-1, True, None, [], {}, "", "1730560000"),
        *(float("nan"), float("inf"), 253_402_300_800_000, 10**30),
        *("2024-11-02", "2024-11-02T15:06:40", "2024-11-02T15:06:40+0200", "20241102T150640Z", "2024-W44-6"),
        *("2024-02-30T00:00:00Z", "2024-11-02T24:00:01Z", "2016-12-31T23:59:60Z", "2024-11-02T15:06:40Z\n"),
        *("0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"),
        *("2024-11-02T15:06:40+99:00", "0000-01-01T00:00:00Z"),
    ],
)
def test_no_time(ts: Json) -> None:
    assert instant(ts) is None


def test_how_far_from_now_an_event_may_be() -> None:
    times = Times(ahead=timedelta(minutes=5), behind=timedelta(days=1))
    second = timedelta(seconds=1)
    assert times.problem(NOW + timedelta(minutes=5), NOW) == ""
    assert times.problem(NOW + timedelta(minutes=5) + second, NOW) == "is more than 300 s ahead"
    assert times.problem(NOW - timedelta(days=1), NOW) == ""
    assert times.problem(NOW - timedelta(days=1) - second, NOW) == "is more than 86400 s ago"
    assert Times().problem(datetime(1970, 1, 1, tzinfo=UTC), NOW) == ""
    assert problems(ts=(NOW + timedelta(hours=1)).timestamp()) == [("ts", "is more than 300 s ahead")]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["p1", "10", MOST]),
)
MEMBERS = ["deltaXp", "experience", "masteryType", "masteryExperience", "characterId", "bossId", "bossLevel"]
MEMBERS += ["itemId", "quantity", "score", "columns", "board", "depth", "by", "other"]
PAYLOADS = st.dictionaries(
    st.sampled_from(MEMBERS),
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS),
    max_size=4,
)


@settings(max_examples=400)
@given(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from([*sorted(KNOWN_TYPES), "cave_entered"]) | SCALARS,
            "playerId": st.just("p1") | SCALARS,
            "ts": st.just(1730560000)
            | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
            | SCALARS,
            "payload": PAYLOADS | SCALARS,
        }
    )
)
def test_whatever_comes_can_be_told_or_is_refused(document: dict[str, Any]) -> None:
    try:
        taken = SHAPES.event(document, NOW)
    except EventRefused as error:
        assert error.violations
        assert all(violation.field.isprintable() for violation in error.violations)
    else:
        assert telling.tell(taken, "id").SerializeToString()


@settings(max_examples=300)
@given(st.text(alphabet='{}[]",:\\ud0018.e-+ tyepsacor', max_size=60) | st.binary(max_size=60))
def test_whatever_bytes_come(body: str | bytes) -> None:
    raw = body if isinstance(body, bytes) else body.encode()
    with pytest.raises((EventRefused, InvalidArgument)):
        SHAPES.event(strict_json.read(raw), NOW)


@settings(max_examples=200)
@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=14))])
    )
)
def test_a_time_that_was_written_is_read(at: datetime) -> None:
    try:
        utc = at.astimezone(UTC)
    except OverflowError:
        utc = None
    assert instant(at.isoformat()) == utc
    assert instant(at.isoformat().replace("+00:00", "Z")) == utc


def test_the_table_of_known_types_is_whole() -> None:
    assert shapes._KNOWN.keys() == KNOWN_TYPES

"""What metrics find in events: paths, elements, filters, every kind of value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from arenamesh.events.v1 import combat_pb2, progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.gamification.v1 import reward_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from services.chassis.errors import InvalidArgument
from services.chassis.event_fields import payload
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Aggregation, Filter, Metric, MetricSource, Operator
from services.gamification.sources import Sources, violations

AT = datetime(2026, 3, 29, 1, 30, 7, 250_000, tzinfo=UTC)
KILL = combat_pb2.CombatKill(
    killer_id="ann", victim_id="ben", assist_id="", weapon="sniper", region="head", distance_mm=45_000
)
ENDED = combat_pb2.CombatSessionEnded(
    session_type="duel",
    end_reason="time_limit",
    results=[
        combat_pb2.CombatPlayerResult(player_id="ann", place=1, won=True, kills=7),
        combat_pb2.CombatPlayerResult(player_id="ben", place=2, kills=0),
    ],
)
AWARDED = progression_pb2.ProgressionExperienceAwarded(
    character_id="c1",
    player_id="ann",
    source="combat.kill",
    base="100",
    experience="900000000000001",
    mastery=[
        progression_pb2.ProgressionMasteryGain(type="combat", experience="25"),
        progression_pb2.ProgressionMasteryGain(type="pvp", experience="5"),
    ],
)
STARTED = combat_pb2.CombatSessionStarted(session_id="s1", player_ids=["ann", "ben"], map_id="yard")


def struct(**fields: Any) -> Struct:
    return ParseDict(fields, Struct())


def envelope(type_: str, data: Message, at: datetime | None = AT) -> Envelope:
    made = Envelope(id="e1", type=type_)
    made.data.Pack(data)
    if at is not None:
        made.time.FromDatetime(at)
    return made


def where(field: str, *values: str, operator: Operator = Operator.EQ) -> Filter:
    return Filter(field, operator, values)


def read(type_: str, data: Message, aggregation: Aggregation, source: MetricSource) -> list[Any]:
    """User, value and member of what is found."""
    sources = Sources(Catalogue(metrics=[Metric("m", "", aggregation, (source,))]))
    event = envelope(type_, data)
    return [(user, each.value, each.member) for user, each in sources.read(event, payload(event))]


COUNT, SUM, MAX, DISTINCT = Aggregation.COUNT, Aggregation.SUM, Aggregation.MAX, Aggregation.DISTINCT
GT, LTE = Operator.GT, Operator.LTE
READ: dict[str, tuple[str, Message, Aggregation, MetricSource, list[Any]]] = {
    "how often": ("combat.kill", KILL, COUNT, MetricSource("combat.kill", "killer_id"), [("ann", 1, "")]),
    "nobody": ("combat.kill", KILL, COUNT, MetricSource("combat.kill", "assist_id"), []),
    "a number": (
        "combat.kill",
        KILL,
        MAX,
        MetricSource("combat.kill", "killer_id", value="distance_mm"),
        [("ann", 45_000, "")],
    ),
    "different ones": (
        "combat.kill",
        KILL,
        DISTINCT,
        MetricSource("combat.kill", "killer_id", value="weapon"),
        [("ann", 1, "sniper")],
    ),
    "each result": (
        "combat.session_ended",
        ENDED,
        COUNT,
        MetricSource("combat.session_ended", "player_id", each="results"),
        [("ann", 1, ""), ("ben", 1, "")],
    ),
    "of the element, or else of the event": (
        "combat.session_ended",
        ENDED,
        COUNT,
        MetricSource(
            "combat.session_ended",
            "player_id",
            each="results",
            filters=(where("won", "true"), where("session_type", "raid", "duel")),
        ),
        [("ann", 1, "")],
    ),
    "nothing adds nothing": (
        "combat.session_ended",
        ENDED,
        SUM,
        MetricSource("combat.session_ended", "player_id", each="results", value="kills"),
        [("ann", 7, "")],
    ),
    "and yet is the least": (
        "combat.session_ended",
        ENDED,
        Aggregation.MIN,
        MetricSource("combat.session_ended", "player_id", each="results", value="kills"),
        [("ann", 7, ""), ("ben", 0, "")],
    ),
    "decimal text": (
        "progression.experience_awarded",
        AWARDED,
        SUM,
        MetricSource("progression.experience_awarded", "player_id", value="experience"),
        [("ann", 900_000_000_000_001, "")],
    ),
    "decimal text of each element": (
        "progression.experience_awarded",
        AWARDED,
        SUM,
        MetricSource(
            "progression.experience_awarded",
            "player_id",
            each="mastery",
            value="experience",
            filters=(where("type", "pvp"), where("base", "99", operator=GT)),
        ),
        [("ann", 5, "")],
    ),
    "elements that are plain values": (
        "combat.session_started",
        STARTED,
        DISTINCT,
        MetricSource("combat.session_started", "player_ids", each="player_ids", value="map_id"),
        [("ann", 1, "yard"), ("ben", 1, "yard")],
    ),
    "an enumeration by name": (
        "studio.reward",
        reward_pb2.RewardDistribution(user_id="ann", status=reward_pb2.REWARD_STATUS_CLAIMED),
        DISTINCT,
        MetricSource(
            "studio.reward", "user_id", value="status", filters=(where("status", "REWARD_STATUS_CLAIMED"),)
        ),
        [("ann", 1, "REWARD_STATUS_CLAIMED")],
    ),
    "a path, into what is there": (
        "studio.claimed",
        reward_pb2.Transfer(grant_id="ann", amount=reward_pb2.Amount(quantity=3)),
        SUM,
        MetricSource("studio.claimed", "grant_id", value="amount.quantity"),
        [("ann", 3, "")],
    ),
    "a path, into what is not": (
        "studio.claimed",
        reward_pb2.Transfer(grant_id="ann"),
        MAX,
        MetricSource("studio.claimed", "grant_id", value="amount.quantity"),
        [],
    ),
    "a struct": (
        "studio.boss",
        struct(who={"id": "ann"}, damage=12.0, hard=True),
        SUM,
        MetricSource("studio.boss", "who.id", value="damage", filters=(where("hard", "true"),)),
        [("ann", 12, "")],
    ),
    "each of a struct": (
        "studio.boss",
        struct(players=[{"id": "ann", "hits": 3}, {"id": "ben", "hits": None}, {"hits": 4}], boss="rex"),
        SUM,
        MetricSource("studio.boss", "id", each="players", value="hits", filters=(where("boss", "rex"),)),
        [("ann", 3, "")],
    ),
    "plain values of a struct": (
        "studio.boss",
        struct(players=["ann", "ben"]),
        COUNT,
        MetricSource("studio.boss", "players", each="players"),
        [("ann", 1, ""), ("ben", 1, "")],
    ),
    "what a struct does not have": (
        "studio.boss",
        struct(id="ann"),
        COUNT,
        MetricSource("studio.boss", "id", filters=(where("boss", "rex"),)),
        [],
    ),
    "beyond a limit": (
        "combat.kill",
        KILL,
        COUNT,
        MetricSource("combat.kill", "killer_id", filters=(where("distance_mm", "45000", operator=GT),)),
        [],
    ),
    "within a limit": (
        "combat.kill",
        KILL,
        COUNT,
        MetricSource("combat.kill", "killer_id", filters=(where("distance_mm", "45000", operator=LTE),)),
        [("ann", 1, "")],
    ),
    "a number among some": (
        "combat.kill",
        KILL,
        COUNT,
        MetricSource("combat.kill", "killer_id", filters=(where("distance_mm", "1", "45000"),)),
        [("ann", 1, "")],
    ),
    "another value": (
        "combat.kill",
        KILL,
        COUNT,
        MetricSource("combat.kill", "killer_id", filters=(where("weapon", "Sniper"),)),
        [],
    ),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_found(case: str) -> None:
    type_, data, aggregation, source, expected = READ[case]
    assert read(type_, data, aggregation, source) == expected


def test_an_observation_says_when_and_out_of_what() -> None:
    gains = MetricSource("progression.experience_awarded", "player_id", each="mastery", value="experience")
    sources = Sources(Catalogue(metrics=[Metric("m", "", SUM, (gains,)), Metric("n", "", COUNT, (gains,))]))
    event = envelope("progression.experience_awarded", AWARDED)
    found = [each.observation for each in sources.read(event, payload(event))]
    assert {each.at for each in found} == {AT}
    assert {each.cause for each in found} == {"e1"}
    assert [(each.metric, each.event) for each in found] == [
        ("m", "e1"),
        ("m", "e1#2"),
        ("n", "e1"),
        ("n", "e1#2"),
    ]
    assert sources.name("progression.experience_awarded")
    assert not sources.name("combat.kill")


MALFORMED: dict[str, tuple[str, Message, MetricSource, str]] = {
    "another message": ("combat.kill", ENDED, MetricSource("combat.kill", "killer_id"), "data"),
    "a struct in its place": (
        "combat.kill",
        struct(killer_id="ann"),
        MetricSource("combat.kill", "killer_id"),
        "data",
    ),
    "no name": (
        "combat.kill",
        combat_pb2.CombatKill(killer_id="an n"),
        MetricSource("combat.kill", "killer_id"),
        "killer_id",
    ),
    "a user that is a number": (
        "studio.boss",
        struct(who=7),
        MetricSource("studio.boss", "who"),
        "who",
    ),
    "no number": ("studio.boss", struct(id="ann", n="7a"), MetricSource("studio.boss", "id", value="n"), "n"),
    "no whole number": (
        "studio.boss",
        struct(id="ann", n=1.5),
        MetricSource("studio.boss", "id", value="n"),
        "n",
    ),
    "too great a number": (
        "studio.boss",
        struct(id="ann", n="1000000000000001"),
        MetricSource("studio.boss", "id", value="n"),
        "n",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_read(case: str) -> None:
    type_, data, source, field = MALFORMED[case]
    with pytest.raises(InvalidArgument) as caught:
        read(type_, data, SUM, source)
    assert caught.value.reason == "EVENT_MALFORMED"
    assert [each.field for each in caught.value.violations] == [field]


def test_too_long_a_member_cannot_be_read() -> None:
    with pytest.raises(InvalidArgument):
        read("studio.x", struct(id="a", m="x" * 65), DISTINCT, MetricSource("studio.x", "id", value="m"))


def test_a_payload_that_nobody_knows() -> None:
    event = envelope("studio.boss", KILL)
    event.data.type_url = "type.googleapis.com/studio.v1.Boss"
    with pytest.raises(InvalidArgument, match=r"studio\.v1\.Boss"):
        payload(event)


def test_damaged_bytes() -> None:
    event = envelope("combat.kill", KILL)
    event.data.value = b"\xff\xff"
    with pytest.raises(InvalidArgument, match="CombatKill"):
        payload(event)


def test_without_a_time_nothing_counts() -> None:
    sources = Sources(
        Catalogue(metrics=[Metric("m", "", COUNT, (MetricSource("combat.kill", "killer_id"),))])
    )
    event = envelope("combat.kill", KILL, at=None)
    with pytest.raises(InvalidArgument, match="time"):
        sources.read(event, payload(event))


WRONG: dict[str, tuple[Aggregation, MetricSource, list[str]]] = {
    "nothing": (COUNT, MetricSource("combat.kill", "killer_id"), []),
    "an event that nobody knows": (SUM, MetricSource("studio.boss", "a.b", "c", "d"), []),
    "what the service tells itself": (
        COUNT,
        MetricSource("gamification.impossible_gain", "user_id"),
        ["s.event"],
    ),
    "no value": (SUM, MetricSource("studio.boss", "id"), ["s.value"]),
    "no such fields": (
        MAX,
        MetricSource("combat.kill", "killer", value="range", filters=(where("gun", "x"),)),
        ["s.user", "s.value", "s.filters[0].field"],
    ),
    "a field of what holds none": (COUNT, MetricSource("combat.kill", "killer_id.name"), ["s.user"]),
    "a user that is a number": (COUNT, MetricSource("combat.kill", "distance_mm"), ["s.user"]),
    "nothing to go through": (
        COUNT,
        MetricSource("combat.kill", "killer_id", each="killer_id"),
        ["s.each"],
    ),
    "a repeated field without each": (COUNT, MetricSource("combat.session_ended", "results"), ["s.user"]),
    "each plain value": (COUNT, MetricSource("combat.session_started", "player_ids", each="player_ids"), []),
    "true or false as a number": (
        SUM,
        MetricSource("combat.session_ended", "player_id", each="results", value="won"),
        ["s.value"],
    ),
    "filters": (
        COUNT,
        MetricSource(
            "combat.session_ended",
            "player_id",
            each="results",
            filters=(
                where("won", "yes"),
                where("won", "true", operator=GT),
                where("kills", "many"),
                where("kills", "3", operator=GT),
                where("session_type", "duel"),
                where("session_type", "duel", operator=GT),
            ),
        ),
        ["s.filters[0].values", "s.filters[1].values", "s.filters[2].values", "s.filters[5].values"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_keeps_a_source_from_being_read(case: str) -> None:
    aggregation, source, fields = WRONG[case]
    assert [each.field for each in violations(aggregation, source, "s")] == fields

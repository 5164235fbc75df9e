"""What an event from the bus says by a catalogue, before anything is done about it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from arenamesh.events.v1 import combat_pb2, progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.chassis.errors import InvalidArgument
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Aggregation, Amount, Metric, MetricSource, Reward
from services.gamification.domain.grants import grant_id
from services.gamification.heard import MASTERY_LEVEL_UP, told
from services.gamification.sources import Sources

KILLS = Metric("kills", "", Aggregation.COUNT, (MetricSource("combat.kill", "killer_id"),))
DEATHS = Metric("deaths", "", Aggregation.COUNT, (MetricSource("combat.kill", "victim_id"),))
MASTERY = Metric(
    "mastery", "", Aggregation.MAX, (MetricSource(MASTERY_LEVEL_UP, "player_id", value="to_level"),)
)
CLOAK = Reward("cloak", 1, "Cloak", (Amount("item:cloak", 1),))
KILL = combat_pb2.CombatKill(killer_id="ann", victim_id="ben")
UP = progression_pb2.ProgressionMasteryLevelUp(
    character_id="c1", player_id="ann", type="raid", to_level=2, reward_ids=["cloak", "crown", "cloak"]
)


def envelope(type_: str, data: Message, id_: str = "e1") -> Envelope:
    made = Envelope(id=id_, type=type_)
    made.time.FromDatetime(datetime(2026, 3, 29, tzinfo=UTC))
    made.data.Pack(data)
    return made


def test_everybody_of_whom_it_speaks_each_once() -> None:
    found = told(envelope("combat.kill", KILL), Sources(Catalogue(metrics=[KILLS, DEATHS])))
    assert [(each.user_id, each.observation.metric) for each in found.seen] == [
        ("ann", "kills"),
        ("ben", "deaths"),
    ]
    assert found.user_ids == ("ann", "ben")
    assert not found.unlocked


def test_what_nobody_counts_is_not_even_read() -> None:
    damaged = envelope("combat.kill", combat_pb2.CombatSessionEnded(), id_="")
    assert told(damaged, Sources(Catalogue(metrics=[MASTERY]))).user_ids == ()
    with pytest.raises(InvalidArgument):
        told(damaged, Sources(Catalogue(metrics=[KILLS])))


def test_a_mastery_level_counts_and_unlocks_what_is_defined() -> None:
    found = told(envelope(MASTERY_LEVEL_UP, UP), Sources(Catalogue(metrics=[MASTERY], rewards=[CLOAK])))
    assert [(each.user_id, each.observation.value) for each in found.seen] == [("ann", 2)]
    assert [tuple(each) for each in found.unlocked] == [("ann", "c1", "cloak")]
    assert found.unlocked[0].grant_id == grant_id("ann", "mastery", "c1", "cloak", 1)
    assert found.user_ids == ("ann",)
    assert told(envelope(MASTERY_LEVEL_UP, UP), Sources(Catalogue())).user_ids == ()


@pytest.mark.parametrize("id_", ["", "e" * 241])
def test_an_id_that_the_tables_cannot_take(id_: str) -> None:
    with pytest.raises(InvalidArgument, match="id") as caught:
        told(envelope("combat.kill", KILL, id_), Sources(Catalogue(metrics=[KILLS])))
    assert caught.value.reason == "EVENT_MALFORMED"


def test_the_same_by_the_same_definitions_and_another_by_others() -> None:
    """So that a change of definitions is seen when it matters, and only then."""
    event = envelope("combat.kill", KILL)
    before = told(event, Sources(Catalogue(1, metrics=[KILLS])))
    assert told(event, Sources(Catalogue(2, metrics=[KILLS, MASTERY]))) == before
    assert told(event, Sources(Catalogue(3, metrics=[KILLS, DEATHS]))) != before

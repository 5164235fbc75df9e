"""What others hear of an event from outside."""

from datetime import UTC, datetime

import pytest
from arenamesh.events.v1 import liveops_pb2
from google.protobuf.message import Message

from services.ingest.domain.event import BossKill, Custom, DropClaimed, Event, Payload, Progression, Score
from services.ingest.telling import SOURCE, tell

AT = datetime(2024, 11, 2, 15, 6, 40, 123_456, tzinfo=UTC)
P = liveops_pb2


def test_the_envelope() -> None:
    envelope = tell(Event("boss_kill", "p1", AT, BossKill("hydra")), "e-1", "00-trace")
    assert (envelope.id, envelope.source, envelope.type) == ("e-1", SOURCE, "liveops.boss_kill")
    assert (envelope.subject, envelope.traceparent) == ("p1", "00-trace")
    assert envelope.time.ToDatetime(UTC) == AT


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (
            Progression(2**63 - 1, "c", "raid", 5),
            P.LiveopsProgression(
                player_id="p1",
                character_id="c",
                experience=2**63 - 1,
                mastery_type="raid",
                mastery_experience=5,
            ),
        ),
        (
            BossKill("hydra", 40, "c"),
            P.LiveopsBossKill(player_id="p1", character_id="c", boss_id="hydra", boss_level=40),
        ),
        (
            DropClaimed("sword", 3, "c"),
            P.LiveopsDropClaimed(player_id="p1", character_id="c", item_id="sword", quantity=3),
        ),
        (
            Score(-(2**63), (1, 2), "kills"),
            P.LiveopsScore(
                player_id="p1",
                board="kills",
                score=-(2**63),
                columns=[1, 2],
                achieved_at={"seconds": 1730560000, "nanos": 123_456_000},
            ),
        ),
        (
            Custom(3, {"depth": 3, "by": ["a", None, {"b": 0.5}]}),
            P.LiveopsCustom(
                player_id="p1",
                type="what",
                schema_version=3,
                payload={"depth": 3, "by": ["a", None, {"b": 0.5}]},
            ),
        ),
    ],
)
def test_what_is_told(payload: Payload, data: Message) -> None:
    told = tell(Event("what", "p1", AT, payload), "e-1").data
    unpacked = type(data)()
    assert told.Unpack(unpacked)
    assert unpacked == data

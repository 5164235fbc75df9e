"""What others hear of an event from outside: an integration event, about the player."""

from arenamesh.events.v1 import liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.ingest.domain.event import BossKill, Custom, DropClaimed, Event, Progression, Score
from services.ingest.structs import packed

SOURCE = "arenamesh/ingest"
TOPIC = "game.liveops.events"


def tell(event: Event, event_id: str, traceparent: str = "") -> Envelope:
    """`event_id`: what the service called the event when it accepted it, so it is told under one id only. Its
    time is when it happened."""
    envelope = Envelope(
        id=event_id,
        source=SOURCE,
        type=f"liveops.{event.type}",
        subject=event.player_id,
        traceparent=traceparent,
    )
    envelope.time.FromDatetime(event.at)
    envelope.data.Pack(_data(event))
    return envelope


def _data(event: Event) -> Message:
    player = event.player_id
    match event.payload:
        case Progression() as progression:
            return liveops_pb2.LiveopsProgression(
                player_id=player,
                character_id=progression.character_id,
                experience=progression.experience,
                mastery_type=progression.mastery_type,
                mastery_experience=progression.mastery_experience,
            )
        case BossKill() as kill:
            return liveops_pb2.LiveopsBossKill(
                player_id=player,
                character_id=kill.character_id,
                boss_id=kill.boss_id,
                boss_level=kill.boss_level,
            )
        case DropClaimed() as drop:
            return liveops_pb2.LiveopsDropClaimed(
                player_id=player,
                character_id=drop.character_id,
                item_id=drop.item_id,
                quantity=drop.quantity,
            )
        case Score() as score:
            told = liveops_pb2.LiveopsScore(
                player_id=player, board=score.board, score=score.score, columns=score.columns
            )
            told.achieved_at.FromDatetime(event.at)
            return told
        case Custom() as custom:
            return liveops_pb2.LiveopsCustom(
                player_id=player,
                type=event.type,
                schema_version=custom.schema_version,
                payload=packed(dict(custom.payload)),
            )

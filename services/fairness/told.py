"""What others hear: integration events, made of what happened to a player."""

from datetime import datetime

from arenamesh.events.v1 import fairness_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.fairness.domain.happened import FlagChanged, ScoresChanged, StandingChanged, Told

SOURCE = "arenamesh/fairness"
TOPIC = "game.fairness.events"


def tell(told: Told, player_id: str, revision: int, at: datetime, traceparent: str = "") -> Envelope:
    """The `revision`th thing told of a player: so the id is made of both."""
    type_, data = _saying(told, player_id, revision)
    envelope = Envelope(
        id=f"fairness:{player_id}:{revision}",
        source=SOURCE,
        type=type_,
        subject=player_id,
        traceparent=traceparent,
    )
    envelope.time.FromDatetime(at)
    envelope.data.Pack(data)
    return envelope


def _saying(told: Told, player_id: str, revision: int) -> tuple[str, Message]:
    match told:
        case StandingChanged(standing):
            stands = fairness_pb2.FairnessStandingChanged(
                player_id=player_id,
                revision=revision,
                state=standing.state.name.lower(),
                reason=standing.reason,
            )
            if standing.until is not None:
                stands.until.FromDatetime(standing.until)
            return "fairness.standing_changed", stands
        case ScoresChanged(hidden):
            scores = fairness_pb2.FairnessScoresChanged(player_id=player_id, revision=revision)
            for each in hidden:
                scores.hidden.add(board=each.board).since.FromDatetime(each.since)
            return "fairness.scores_changed", scores
        case FlagChanged(flag, what, cause):
            return f"fairness.flag_{what}", fairness_pb2.FairnessFlagChanged(
                player_id=player_id,
                revision=revision,
                flag_id=flag.id,
                detector_id=flag.detector_id,
                detector_version=flag.detector_version,
                mode=flag.mode.name.lower(),
                state=flag.state.name.lower(),
                cause=cause,
            )

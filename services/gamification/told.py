"""What others hear: integration events, made of what happened to a player."""

from datetime import datetime
from typing import NamedTuple

from arenamesh.events.v1 import gamification_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.gamification.domain import events
from services.gamification.domain.definitions import Amount
from services.gamification.domain.player import Grant

SOURCE = "arenamesh/gamification"
TOPIC = "game.gamification.events"


class _Saying(NamedTuple):
    """`id`: what it is about and what happened to it, which happens to it once."""

    id: str
    type: str
    data: Message


def tell(event: events.Event, user_id: str, at: datetime, traceparent: str = "") -> list[Envelope]:
    """What one event of a player tells others.

    An id is made of the player, the definition and the cycle, or of the grant, and of what happened, so the
    same change is always told under the same id. That an achievement was begun is nobody's business.
    """
    saying = _saying(event, user_id)
    return [] if saying is None else [_envelope(saying, user_id, at, traceparent)]


def tell_created(
    achievement_id: str, version: int, title: str, *, secret: bool, at: datetime, traceparent: str = ""
) -> Envelope:
    """That there is an achievement, or another version of one."""
    created = gamification_pb2.AchievementCreated(
        achievement_id=achievement_id, version=version, title="" if secret else title
    )
    saying = _Saying(f"achievement:{achievement_id}:{version}:created", "achievement.created", created)
    return _envelope(saying, achievement_id, at, traceparent)


def _envelope(saying: _Saying, subject: str, at: datetime, traceparent: str) -> Envelope:
    envelope = Envelope(
        id=saying.id, source=SOURCE, type=saying.type, subject=subject, traceparent=traceparent
    )
    envelope.time.FromDatetime(at)
    envelope.data.Pack(saying.data)
    return envelope


def _saying(event: events.Event, user_id: str) -> _Saying | None:
    match event:
        case events.AchievementStarted():
            return None
        case events.AchievementCompleted():
            return _achievement_completed(event, user_id)
        case events.ImpossibleGain():
            return _impossible_gain(event)
        case (
            events.RewardGranted() | events.RewardClaimed() | events.RewardExpired() | events.RewardRevoked()
        ):
            return _reward(event)
        case _:
            return _quest(event, user_id)


def _achievement_completed(event: events.AchievementCompleted, user_id: str) -> _Saying:
    completed = gamification_pb2.AchievementCompleted(
        user_id=user_id,
        achievement_id=event.achievement_id,
        cycle=event.cycle,
        version=event.version,
        points=event.points,
        grant_ids=event.grant_ids,
        cause=event.cause,
    )
    completed.completed_at.FromDatetime(event.at)
    id_ = f"{user_id}:achievement:{event.achievement_id}:{event.cycle}:completed"
    return _Saying(id_, "achievement.completed", completed)


_Quest = (
    events.QuestStarted
    | events.QuestStepCompleted
    | events.QuestCompleted
    | events.QuestFailed
    | events.QuestExpired
)


def _quest(event: _Quest, user_id: str) -> _Saying:
    about = f"{user_id}:quest:{event.quest_id}:{event.cycle}"
    whose = {"user_id": user_id, "quest_id": event.quest_id}
    match event:
        case events.QuestStarted():
            started = gamification_pb2.QuestStarted(**whose, cycle=event.cycle, version=event.version)
            return _Saying(f"{about}:started", "quest.started", started)
        case events.QuestStepCompleted():
            step = gamification_pb2.QuestStepCompleted(
                **whose,
                cycle=event.cycle,
                step_id=event.step_id,
                grant_ids=event.grant_ids,
                cause=event.cause,
            )
            return _Saying(f"{about}:step:{event.step_id}:completed", "quest.step_completed", step)
        case events.QuestCompleted():
            completed = gamification_pb2.QuestCompleted(
                **whose, cycle=event.cycle, grant_ids=event.grant_ids, cause=event.cause
            )
            return _Saying(f"{about}:completed", "quest.completed", completed)
        case events.QuestFailed():
            failed = gamification_pb2.QuestEnded(**whose, cycle=event.cycle)
            return _Saying(f"{about}:failed", "quest.failed", failed)
        case events.QuestExpired():
            expired = gamification_pb2.QuestEnded(**whose, cycle=event.cycle)
            return _Saying(f"{about}:expired", "quest.expired", expired)


_Reward = events.RewardGranted | events.RewardClaimed | events.RewardExpired | events.RewardRevoked
_CHANGES: dict[type[_Reward], str] = {
    events.RewardGranted: "granted",
    events.RewardClaimed: "claimed",
    events.RewardExpired: "expired",
    events.RewardRevoked: "revoked",
}


def _reward(event: _Reward) -> _Saying:
    change, grant = _CHANGES[type(event)], event.grant
    return _Saying(f"{grant.id}:{change}", f"reward.{change}", _reward_changed(grant, event.transfer_ids))


def _reward_changed(grant: Grant, transfer_ids: tuple[str, ...]) -> gamification_pb2.RewardChanged:
    return gamification_pb2.RewardChanged(
        user_id=grant.user_id,
        grant_id=grant.id,
        reward_id=grant.reward_id,
        source=grant.source,
        source_id=grant.source_id,
        cycle=grant.cycle,
        contents=[_amount(each) for each in grant.contents],
        transfer_ids=transfer_ids,
        cause=grant.cause,
    )


def _amount(amount: Amount) -> gamification_pb2.RewardAmount:
    kind, _, name = amount.asset.partition(":")
    return gamification_pb2.RewardAmount(**{kind: name}, quantity=amount.quantity)


def _impossible_gain(event: events.ImpossibleGain) -> _Saying:
    gain = event.gain
    impossible = gamification_pb2.ImpossibleGain(
        user_id=gain.user_id,
        metric=gain.metric,
        value=gain.value,
        reached=gain.reached,
        most=gain.most,
        per_us=gain.per_us,
        action="quarantined" if event.quarantined else "refused",
        quarantine_id=gain.id if event.quarantined else "",
        cause=gain.cause,
    )
    impossible.occurred_at.FromDatetime(gain.occurred_at)
    return _Saying(f"{gain.id}:impossible", "gamification.impossible_gain", impossible)

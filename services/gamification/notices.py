"""What a player is told of what happened to them: see GameEvent in the contract."""

from collections.abc import Mapping
from typing import NamedTuple

from services.gamification.domain import events
from services.gamification.domain.definitions import Amount

_LONGEST_TITLE = 256


class Notice(NamedTuple):
    """`data`: JSON, with the names of the contract's fields. Numbers in it are below 2**53."""

    type: str
    title: str
    data: Mapping[str, object]
    cause: str


def notice(event: events.Event) -> Notice | None:
    """None: the player is not told. Of a secret achievement nothing is told before it is completed; and to
    whoever gained what is impossible, nothing is told at all."""
    match event:
        case events.AchievementStarted() | events.ImpossibleGain():
            return None
        case events.AchievementCompleted():
            return _achievement(event)
        case (
            events.RewardGranted() | events.RewardClaimed() | events.RewardExpired() | events.RewardRevoked()
        ):
            return _reward(event)
        case _:
            return _quest(event)


def _achievement(event: events.AchievementCompleted) -> Notice:
    data = {
        "achievement_id": event.achievement_id,
        "cycle": event.cycle,
        "points": event.points,
        "grant_ids": list(event.grant_ids),
    }
    title = _title("Achievement Unlocked", event.title)
    return Notice("ACHIEVEMENT_COMPLETED", title, data, event.cause)


_Quest = (
    events.QuestStarted
    | events.QuestStepCompleted
    | events.QuestCompleted
    | events.QuestFailed
    | events.QuestExpired
)


def _quest(event: _Quest) -> Notice:
    data: dict[str, object] = {"quest_id": event.quest_id, "cycle": event.cycle}
    match event:
        case events.QuestStarted():
            return Notice("QUEST_STARTED", _title("Quest Started", event.title), data, event.cause)
        case events.QuestStepCompleted():
            data |= {"step_id": event.step_id, "grant_ids": list(event.grant_ids)}
            title = _title(event.title, event.step_title)
            return Notice("QUEST_STEP_COMPLETED", title, data, event.cause)
        case events.QuestCompleted():
            data |= {"grant_ids": list(event.grant_ids)}
            return Notice("QUEST_COMPLETED", _title("Quest Completed", event.title), data, event.cause)
        case events.QuestFailed():
            return Notice("QUEST_FAILED", _title("Quest Abandoned", event.title), data, "")
        case events.QuestExpired():
            return Notice("QUEST_EXPIRED", _title("Quest Expired", event.title), data, "")


_Reward = events.RewardGranted | events.RewardClaimed | events.RewardExpired | events.RewardRevoked


def _reward(event: _Reward) -> Notice:
    grant = event.grant
    data: dict[str, object] = {
        "grant_id": grant.id,
        "reward_id": grant.reward_id,
        "source": grant.source,
        "source_id": grant.source_id,
        "cycle": grant.cycle,
        "contents": [_amount(each) for each in grant.contents],
    }
    match event:
        case events.RewardGranted():
            type_, what = "REWARD_GRANTED", "Reward"
        case events.RewardClaimed():
            type_, what = "REWARD_CLAIMED", "Reward Claimed"
            data["transfer_ids"] = list(event.transfer_ids)
        case events.RewardExpired():
            type_, what = "REWARD_EXPIRED", "Reward Expired"
        case events.RewardRevoked():
            type_, what = "REWARD_REVOKED", "Reward Revoked"
            data["reason"] = event.reason
    return Notice(type_, _title(what, grant.title or grant.reward_id), data, grant.cause)


def _amount(amount: Amount) -> dict[str, object]:
    kind, _, name = amount.asset.partition(":")
    return {kind: name, "quantity": amount.quantity}


def _title(what: str, of: str) -> str:
    return f"{what}: {of}"[:_LONGEST_TITLE] if of else what

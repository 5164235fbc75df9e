"""What there is, in the words of the contract."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from arenamesh.gamification.v1 import achievement_pb2, metric_pb2, quest_pb2, requirement_pb2, reward_pb2

from services.chassis.times import stamp
from services.gamification.access import hides
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Achievement, Amount, GainAction, Quest
from services.gamification.domain.events import Entry
from services.gamification.domain.player import (
    Draft,
    Grant,
    Player,
    Quarantined,
    QuestStatus,
    Transfer,
)
from services.gamification.domain.views import view_achievement, view_quest
from services.gamification.receipts import ReceiptClaims
from services.gamification.shelf import Shelf

_ACTIONS = {
    GainAction.REFUSE: metric_pb2.GAIN_ACTION_REFUSE,
    GainAction.QUARANTINE: metric_pb2.GAIN_ACTION_QUARANTINE,
}


def achievement(shelf: Shelf, message: achievement_pb2.Achievement) -> achievement_pb2.Achievement:
    """With its rewards in full."""
    shown = achievement_pb2.Achievement()
    shown.CopyFrom(message)
    _fill(shelf, shown.rewards)
    return shown


def quest(shelf: Shelf, message: quest_pb2.Quest, player: Player | None = None) -> quest_pb2.Quest:
    """With its rewards in full. `player`: who asks, when it is one: what does not exist for a player is not
    among the requirements either."""
    shown = quest_pb2.Quest()
    shown.CopyFrom(message)
    _fill(shelf, shown.rewards)
    for step in shown.steps:
        _fill(shelf, step.rewards)
    if player is not None:
        _hide(shown, shelf, player)
        for step in shown.steps:
            _hide(step, shelf, player)
    return shown


def _fill(shelf: Shelf, rewards: Iterable[reward_pb2.Reward]) -> None:
    for each in rewards:
        each.CopyFrom(shelf.rewards[each.id])


def _hide(
    holder: quest_pb2.Quest | quest_pb2.QuestStep | requirement_pb2.Requirement, shelf: Shelf, player: Player
) -> None:
    """Takes away requirements of what is hidden, and groups that have nothing else."""
    kept = []
    for each in holder.requirements:
        if each.type == requirement_pb2.REQUIREMENT_TYPE_ACHIEVEMENT:
            if hides(shelf.achievements.get(each.id), player):
                continue
        elif each.requirements:
            _hide(each, shelf, player)
            if not each.requirements:
                continue
        kept.append(each)
    if len(kept) < len(holder.requirements):
        copies = [requirement_pb2.Requirement.FromString(each.SerializeToString()) for each in kept]
        del holder.requirements[:]
        holder.requirements.extend(copies)


# -- progress -----------------------------------------------------------------------------------------


def achievement_progress(
    draft: Draft, catalogue: Catalogue, newest: Achievement, at: datetime
) -> achievement_pb2.AchievementProgress:
    """As it stands at that time."""
    view = view_achievement(draft, catalogue, newest, at)
    shown = achievement_pb2.AchievementProgress(
        user_id=draft.user_id,
        achievement_id=newest.id,
        progress=view.percent,
        metrics={metric: _told(value) for metric, value in view.metrics.items()},
        cycle=1,
        version=view.achievement.version,
    )
    progress = view.progress
    if progress is not None:
        shown.is_completed = progress.completed_at is not None
        if progress.completed_at is not None:
            shown.completed_at.FromDatetime(progress.completed_at)
        shown.history.extend(map(_entry, progress.history))
        shown.cycle = progress.cycle
        shown.completions = progress.completions
    return shown


def quest_progress(
    draft: Draft, catalogue: Catalogue, newest: Quest, at: datetime
) -> quest_pb2.QuestProgress:
    """As it stands at that time."""
    view = view_quest(draft, catalogue, newest, at)
    progress = view.progress
    if progress is None:
        return quest_pb2.QuestProgress(
            user_id=draft.user_id,
            quest_id=newest.id,
            status=quest_pb2.QUEST_STATUS_NOT_STARTED,
            version=newest.version,
        )
    return quest_pb2.QuestProgress(
        user_id=draft.user_id,
        quest_id=newest.id,
        status=f"QUEST_STATUS_{progress.status.name}",
        current_step=view.current_step,
        progress=view.percent,
        step_progress=view.steps,
        started_at=stamp(progress.started_at),
        completed_at=stamp(progress.ended_at) if progress.status is QuestStatus.COMPLETED else None,
        history=map(_entry, progress.history),
        expires_at=stamp(progress.expires_at),
        cycle=progress.cycle,
        version=progress.version,
        available_at=stamp(view.available_at),
    )


def _told(value: int) -> int:
    """The nearest that the contract has a number for: a sum has no end."""
    return max(-(2**63), min(value, 2**63 - 1))


def _entry(entry: Entry) -> achievement_pb2.ProgressEntry:
    return achievement_pb2.ProgressEntry(
        at=stamp(entry.at), what=entry.what, detail=entry.detail, progress=entry.progress, cause=entry.cause
    )


# -- what is owed, and paid ---------------------------------------------------------------------------


def amount(found: Amount) -> reward_pb2.Amount:
    kind, _, id_ = found.asset.partition(":")
    shown = reward_pb2.Amount(
        quantity=found.quantity, item_type=found.item_type, owned_before=found.owned_before
    )
    if kind == "item":
        shown.item = id_
    else:
        shown.currency = id_
    return shown


def grant(found: Grant) -> reward_pb2.RewardDistribution:
    return reward_pb2.RewardDistribution(
        id=found.id,
        user_id=found.user_id,
        reward_id=found.reward_id,
        source=source(found.source),
        source_id=found.source_id,
        status=f"REWARD_STATUS_{found.status.name}",
        granted_at=stamp(found.granted_at),
        claimed_at=stamp(found.claimed_at),
        expires_at=stamp(found.expires_at),
        revoked_at=stamp(found.revoked_at),
        cycle=found.cycle,
        contents=map(amount, found.contents),
        seed=found.seed.hex(),
        cause=found.cause,
        title=found.title,
    )


def source(name: str) -> str:
    return f"REWARD_SOURCE_{name.upper()}"


def source_name(value: reward_pb2.RewardSource) -> str:
    """As the domain has it."""
    return reward_pb2.RewardSource.Name(value).removeprefix("REWARD_SOURCE_").lower()


def transfer(found: Transfer) -> reward_pb2.Transfer:
    return reward_pb2.Transfer(
        id=found.id,
        kind=f"TRANSFER_KIND_{found.kind.upper()}",
        from_account=found.from_account,
        to_account=found.to_account,
        amount=amount(found.amount),
        grant_id=found.grant_id,
        at=stamp(found.at),
    )


def receipt(claims: ReceiptClaims) -> reward_pb2.ReceiptClaims:
    return reward_pb2.ReceiptClaims(
        grant_id=claims.grant_id,
        user_id=claims.user_id,
        issued_at=stamp(claims.issued_at),
        contents=map(amount, claims.contents),
        transfer_ids=claims.transfer_ids,
        source=source(claims.source),
        source_id=claims.source_id,
        cause=claims.cause,
    )


# -- gains --------------------------------------------------------------------------------------------


def gain(found: Quarantined, created_at: datetime) -> metric_pb2.QuarantinedGain:
    limit = metric_pb2.GainLimit(most=found.most, action=_ACTIONS[GainAction.QUARANTINE])
    limit.per.FromTimedelta(timedelta(microseconds=found.per_us))
    return metric_pb2.QuarantinedGain(
        id=found.id,
        user_id=found.user_id,
        metric=found.metric,
        value=found.value,
        member=found.member,
        occurred_at=stamp(found.occurred_at),
        cause=found.cause,
        limit=limit,
        reached=found.reached,
        created_at=stamp(created_at),
    )

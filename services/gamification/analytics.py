"""How definitions fare, out of the counts that every change keeps up."""

from collections.abc import Iterable, Mapping

from arenamesh.gamification.v1 import analytics_pb2, metric_service_pb2, quest_pb2

from services.chassis import clock
from services.gamification.definitions import not_found
from services.gamification.queries import Queries
from services.gamification.shelf import Shelf

Counts = Mapping[str, int]
"""By measure; see `counters.py`."""
_TOOK = "took:"
_WHOLE = 100_000


async def analytics(
    shelf: Shelf, queries: Queries, achievement_id: str, quest_id: str
) -> metric_service_pb2.GetAnalyticsResponse:
    """Of one achievement, or quest, or both; of all, rewards too, when none is named. Raises NotFound."""
    if achievement_id and achievement_id not in shelf.achievements:
        raise not_found("achievement", achievement_id)
    if quest_id and quest_id not in shelf.quests:
        raise not_found("quest", quest_id)
    everything = not achievement_id and not quest_id
    achievements: Iterable[str] = shelf.achievements if everything else filter(None, [achievement_id])
    quests: Iterable[str] = shelf.quests if everything else filter(None, [quest_id])
    subjects = None if everything else [f"achievement:{achievement_id}", f"quest:{quest_id}", "players"]
    at = clock.now()
    counts = await queries.counts(subjects)
    answer = metric_service_pb2.GetAnalyticsResponse(
        achievements=[
            _achievement(id_, shelf.achievements[id_].title, counts.get(f"achievement:{id_}", {}))
            for id_ in achievements
        ],
        quests=[_quest(shelf.quests[id_], counts.get(f"quest:{id_}", {})) for id_ in quests],
        rewards=[_reward(id_, counts.get(f"reward:{id_}", {})) for id_ in shelf.rewards if everything],
        players=counts.get("players", {}).get("count", 0),
    )
    answer.at.FromDatetime(at)
    return answer


def _achievement(id_: str, title: str, counts: Counts) -> analytics_pb2.AchievementAnalytics:
    completed, started = counts.get("completed", 0), counts.get("started", 0)
    return analytics_pb2.AchievementAnalytics(
        achievement_id=id_,
        title=title,
        started=started,
        completed=completed,
        completion_rate_milli=_rate(completed, started),
        median_seconds=_median(counts),
        average_seconds=counts.get("seconds", 0) // completed if completed else 0,
        durations=_durations(counts),
    )


def _quest(quest: quest_pb2.Quest, counts: Counts) -> analytics_pb2.QuestAnalytics:
    completed, started = counts.get("completed", 0), counts.get("started", 0)
    return analytics_pb2.QuestAnalytics(
        quest_id=quest.id,
        title=quest.title,
        started=started,
        completed=completed,
        failed=counts.get("failed", 0),
        expired=counts.get("expired", 0),
        completion_rate_milli=_rate(completed, started),
        median_seconds=_median(counts),
        average_seconds=counts.get("seconds", 0) // completed if completed else 0,
        durations=_durations(counts),
        steps=[
            analytics_pb2.StepFunnel(
                step_id=step.id,
                title=step.title,
                completed=counts.get(f"step:{step.id}", 0),
                completion_rate_milli=_rate(counts.get(f"step:{step.id}", 0), started),
            )
            for step in sorted(quest.steps, key=lambda step: step.order)
        ],
    )


def _reward(id_: str, counts: Counts) -> analytics_pb2.RewardAnalytics:
    return analytics_pb2.RewardAnalytics(
        reward_id=id_,
        granted=counts.get("granted", 0),
        claimed=counts.get("claimed", 0),
        expired=counts.get("expired", 0),
        revoked=counts.get("revoked", 0),
    )


def _rate(part: int, whole: int) -> int:
    return _WHOLE * part // whole if whole else 0


def _took(counts: Counts) -> list[tuple[int, int]]:
    """Seconds, and how many took at most so long and longer than the ones before."""
    return sorted(
        (int(measure.removeprefix(_TOOK)), count)
        for measure, count in counts.items()
        if measure.startswith(_TOOK)
    )


def _durations(counts: Counts) -> list[analytics_pb2.DurationBucket]:
    return [analytics_pb2.DurationBucket(up_to_seconds=upto, count=count) for upto, count in _took(counts)]


def _median(counts: Counts) -> int:
    """The shortest time that is an upper bound for half of them."""
    took = _took(counts)
    half, seen = sum(count for _, count in took), 0
    for up_to, count in took:
        seen += count
        if 2 * seen >= half:
            return up_to
    return 0

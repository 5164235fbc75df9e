"""What events add to the counts of how definitions fare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.gamification.counters import SHARDS, bucket, counts, shard
from services.gamification.domain import events
from services.gamification.domain.player import Grant, GrantStatus, Quarantined

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
GRANT = Grant("g", "ann", "gold", 1, "quest", "q", 1, "Gold", GrantStatus.PENDING, (), b"", "c", NOW)
GAIN = Quarantined("i", "ann", "kills", 9, "", NOW, "e", "c", 1, 1, 9)


@pytest.mark.parametrize(
    ("seconds", "longest"),
    [(-5, 60), (0, 60), (59.5, 60), (60, 60), (60.000001, 120), (120, 120), (121, 240), (86_400, 122_880)],
)
def test_a_time_is_in_the_shortest_bucket_that_holds_it(seconds: float, longest: int) -> None:
    assert bucket(timedelta(seconds=seconds)) == longest


def test_a_player_is_always_in_the_same_shard_and_all_are_used() -> None:
    shards = [shard(f"u{number}") for number in range(1000)]
    assert shards == [shard(f"u{number}") for number in range(1000)]
    assert set(shards) == set(range(SHARDS))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.AchievementStarted("a", 1, 1, "c"), {("achievement:a", "started"): 1}),
        (
            events.AchievementCompleted("a", "A", 1, 1, 5, (), NOW, timedelta(seconds=90.9), "c"),
            {
                ("achievement:a", "completed"): 1,
                ("achievement:a", "seconds"): 90,
                ("achievement:a", "took:120"): 1,
            },
        ),
        (events.QuestStarted("q", "Q", 1, 1, "c"), {("quest:q", "started"): 1}),
        (events.QuestStepCompleted("q", "Q", 1, "s", "S", (), "c"), {("quest:q", "step:s"): 1}),
        (
            events.QuestCompleted("q", "Q", 1, (), timedelta(0), "c"),
            {("quest:q", "completed"): 1, ("quest:q", "seconds"): 0, ("quest:q", "took:60"): 1},
        ),
        (events.QuestFailed("q", "Q", 1), {("quest:q", "failed"): 1}),
        (events.QuestExpired("q", "Q", 1), {("quest:q", "expired"): 1}),
        (events.RewardGranted(GRANT, ()), {("reward:gold", "granted"): 1}),
        (events.RewardClaimed(GRANT, ()), {("reward:gold", "claimed"): 1}),
        (events.RewardExpired(GRANT, ()), {("reward:gold", "expired"): 1}),
        (events.RewardRevoked(GRANT, (), "r"), {("reward:gold", "revoked"): 1}),
        (events.ImpossibleGain(GAIN, True), {}),
    ],
)
def test_each_event_counts_for_what_it_is(event: events.Event, expected: dict[tuple[str, str], int]) -> None:
    assert dict(counts(event)) == expected

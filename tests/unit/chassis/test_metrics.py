"""What the arenas count, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from services.chassis.metrics import ArenaMetrics, LoopHistogram
from tests.support.arenas import Match, at


def shown(metrics: Collector) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(metrics)
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if not x.startswith("#"))}


def test_shots_are_shown_by_how_far_back_they_looked_and_what_bounded_them() -> None:
    match = Match(spawns=[at(0), at(10)])
    match.run(2.0)
    now_tick = match.arena.tick
    for back in (0, 2, 5, 40):  # ticks of 20 ms; the last is past the limit of 250 ms
        match.run(0.2)
        now_tick = match.arena.tick
        match.judge(match.aim(0, 1), view_tick=now_tick - back)
    metrics = ArenaMetrics()
    metrics.sources.add(lambda: match.arena.counters)
    figures = shown(metrics)
    assert figures['combat_rewind_seconds_bucket{le="0.025"}'] == 1
    assert figures['combat_rewind_seconds_bucket{le="0.05"}'] == 2
    assert figures['combat_rewind_seconds_bucket{le="0.1"}'] == 3
    assert figures['combat_rewind_seconds_bucket{le="0.225"}'] == 3
    assert figures['combat_rewind_seconds_bucket{le="0.25"}'] == 4
    assert figures['combat_rewind_seconds_bucket{le="+Inf"}'] == 4
    assert figures["combat_rewind_seconds_sum"] == 0.04 + 0.1 + 0.25
    assert figures['combat_rewinds_clamped_total{bound="max_rewind"}'] == 1
    assert (
        sum(value for name, value in figures.items() if name.startswith("combat_rewinds_clamped_total")) == 1
    )


def test_damage_events_are_wounds_of_every_kind() -> None:
    match = Match()
    match.judge(match.aim(0, 1))
    match.judge(match.hurt(0, 1, 10))
    match.judge(match.hurt(0, 7, 10))  # nobody is there
    metrics = ArenaMetrics()
    metrics.sources.add(lambda: match.arena.counters)
    assert shown(metrics)["combat_damage_events_total"] == 2


def test_values_are_counted_up_to_each_bound() -> None:
    sizes = LoopHistogram("test_sizes_bytes", "Sizes.", buckets=(15, 63, 255.5))
    REGISTRY.unregister(sizes)
    for size in (0, 15, 16, 63, 64, 255.5, 1 << 40):
        sizes.observe(size)
    figures = shown(sizes)
    assert figures['test_sizes_bytes_bucket{le="15.0"}'] == 2
    assert figures['test_sizes_bytes_bucket{le="63.0"}'] == 4
    assert figures['test_sizes_bytes_bucket{le="255.5"}'] == 6
    assert figures['test_sizes_bytes_bucket{le="+Inf"}'] == figures["test_sizes_bytes_count"] == 7
    assert figures["test_sizes_bytes_sum"] == 413.5 + (1 << 40)

"""Snapshots put together, the instant that is shown, and what is between two snapshots."""

from __future__ import annotations

import math
from random import Random

import pytest
from arenamesh.client import Feed, View, World
from arenamesh.client.view import ViewClock
from arenamesh.combat.v1 import event_pb2, snapshot_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

Entity = snapshot_pb2.Entity
FIELDS = [field.name for field in Entity.DESCRIPTOR.fields if field.name != "slot"]


def snapshot(
    tick: int, *entities: snapshot_pb2.Entity, base: int = 0, removed: tuple[int, ...] = ()
) -> snapshot_pb2.Snapshot:
    return snapshot_pb2.Snapshot(tick=tick, baseline_tick=base, entities=entities, removed=removed)


def test_a_delta_changes_only_what_it_says() -> None:
    world = World()
    assert world.apply(snapshot(1, Entity(slot=0, x_mm=500, flags=1, kills=2), Entity(slot=1, x_mm=9)))
    assert world.apply(snapshot(2, Entity(slot=0, x_mm=0), base=1, removed=(1,)))
    assert list(world.players) == [0]
    player = world.players[0]
    assert (player.position[0], player.kills, player.alive) == (0.0, 2, True)


def test_a_delta_may_build_on_an_older_snapshot_than_the_newest() -> None:
    world = World()
    world.apply(snapshot(1, Entity(slot=0, x_mm=100)))
    world.apply(snapshot(2, Entity(slot=0, x_mm=200, y_mm=5), base=1))
    world.apply(snapshot(3, Entity(slot=0, x_mm=300), base=1))
    assert world.players[0].position == (0.3, 0.0, 0.0)


def test_an_unknown_baseline_asks_for_a_full_snapshot() -> None:
    world = World(history=2)
    for tick in (1, 2, 3):
        world.apply(snapshot(tick, Entity(slot=0)))
    assert not world.apply(snapshot(4, base=1))
    assert world.tick == 0


@settings(max_examples=500)
@given(st.integers(0, 2**32))
def test_deltas_rebuild_every_state(seed: int) -> None:
    """Encodes each state as a difference to any held one, the plain way, and decodes it again."""
    random = Random(seed)
    states = [
        {
            slot: {name: random.randrange(4) for name in FIELDS}
            for slot in random.sample(range(6), random.randrange(6))
        }
        for _ in range(random.randint(1, 5))
    ]
    world = World()
    for tick, state in enumerate(states, start=1):
        base = random.randrange(tick)
        known = states[base - 1] if base else {}
        changed = [
            Entity(slot=slot, **{name: n for name, n in new.items() if known.get(slot, {}).get(name) != n})
            for slot, new in state.items()
            if known.get(slot) != new
        ]
        removed = tuple(slot for slot in known if slot not in state)
        assert world.apply(snapshot(tick, *changed, base=base, removed=removed))
        shown = {
            slot: {name: getattr(player._entity, name) for name in FIELDS}
            for slot, player in world.players.items()
        }
        assert shown == state


def test_between_two_snapshots_players_move_in_a_line_and_turn_the_short_way() -> None:
    world = World()
    world.apply(snapshot(10, Entity(slot=0, x_mm=1000, yaw=65536 - 4096, flags=1)))
    world.apply(snapshot(12, Entity(slot=0, x_mm=2000, yaw=4096), base=10))
    player = world.at(View.of(11.0))[0]
    assert player.position == (1.5, 0.0, 0.0)
    assert math.cos(player.yaw) == pytest.approx(1.0), "through 0, not through half a turn"
    assert world.at(View.of(10.5))[0].position == (1.25, 0.0, 0.0)
    assert world.at(View.of(99.0))[0].position == (2.0, 0.0, 0.0), "never guessed ahead"
    assert world.at(View.of(1.0))[0].position == (1.0, 0.0, 0.0)
    assert World().at(View.of(1.0)) == {}


def test_a_respawn_is_not_a_flight() -> None:
    world = World()
    world.apply(snapshot(1, Entity(slot=0, x_mm=0, flags=1), Entity(slot=1, flags=1)))
    world.apply(snapshot(2, Entity(slot=0, x_mm=50_000), Entity(slot=1, x_mm=900, flags=0), base=1))
    seen = world.at(View.of(1.5))
    assert seen[0].position == (0.0, 0.0, 0.0), "too far to have walked"
    assert seen[1].position == (0.0, 0.0, 0.0), "died in between"
    assert seen[1].alive


def test_seats_follow_joins_and_leaves() -> None:
    world = World()
    world.reset([snapshot_pb2.Seat(slot=0, player_id="ann")])
    world.follow(event_pb2.Event(join=event_pb2.JoinEvent(slot=4, player_id="bob", team=1)))
    assert {slot: seat.player_id for slot, seat in world.seats.items()} == {0: "ann", 4: "bob"}
    world.follow(event_pb2.Event(leave=event_pb2.LeaveEvent(slot=0)))
    assert list(world.seats) == [4]


def test_the_view_is_the_interpolation_delay_behind_and_smooth() -> None:
    clock = ViewClock(interpolation_s=0.1)
    clock.reset(30)
    assert clock.view(0.0) == View(0, 0)
    jitter = (0.0, 0.004, 0.02, 0.001, 0.03, 0.0)
    shown = []
    for tick in range(30, 90):
        arrival = tick / 30 + 0.05 + jitter[tick % len(jitter)]
        clock.observe(tick, arrival)
        shown.append((arrival, clock.view(arrival).ticks))
    for arrival, ticks in shown[6:]:
        # 50 ms of way and 100 ms of delay, whatever the jitter.
        assert ticks == pytest.approx((arrival - 0.15) * 30, abs=0.01)


def test_the_view_never_runs_back_nor_ahead_of_the_newest_snapshot() -> None:
    clock = ViewClock(interpolation_s=0.05)
    clock.reset(20)
    clock.observe(100, 10.0)
    assert clock.view(10.0).ticks == pytest.approx(99.0, abs=0.01)
    assert clock.view(11.0) == View(100, 0), "the stream has stalled"
    clock.observe(101, 11.5)
    assert clock.view(11.5).ticks >= 100


async def test_a_feed_keeps_the_newest_and_counts_the_rest() -> None:
    feed: Feed[int] = Feed(3)
    feed.publish(range(5))
    assert feed.missed == 2
    assert feed.take() == [2, 3, 4]
    feed.publish([5])
    feed.close()
    assert [item async for item in feed] == [5]

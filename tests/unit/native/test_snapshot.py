"""Snapshots against their twin, differences applied to baselines, and the state hash."""

from __future__ import annotations

import dataclasses

import pytest
from arenamesh.combat.v1 import play_pb2, snapshot_pb2

from native import probe
from native.reference import snapshot as twin
from native.reference import wire
from native.reference.snapshot import Entity, Missile, Row, State
from tests.fuzz import answers
from tests.support.draw import Draw, cases, draws

SLOTS = 6


def both(rows: list[Row], ticks: int, first: int = 1) -> tuple[probe.Album, twin.Album]:
    native, plain = probe.Album(ticks, SLOTS), twin.Album(ticks)
    for tick, row in enumerate(rows, first):
        native.put(tick, row)
        plain.begin(tick).update(row)
    return native, plain


def write(
    album: probe.Album, viewer: int, baseline: int, interest_mm: int, missiles: list[Missile] | None = None
) -> snapshot_pb2.Snapshot:
    writer = probe.Writer(4096)
    assert album.write(writer, 6, viewer, baseline, interest_mm, missiles or [])
    return play_pb2.PlayResponse.FromString(writer.value()).snapshot


@cases(draws)
def test_equals_the_twin(draw: Draw) -> None:
    native, plain = both(answers.match(draw, SLOTS), ticks=draw.randint(1, 5))
    view = answers.view(draw, SLOTS)
    writer = probe.Writer(4096)
    assert native.write(writer, 6, *view)
    assert writer.value() == wire.sized_field(6, plain.write(*view))
    response = play_pb2.PlayResponse.FromString(writer.value())
    assert response.SerializeToString() == writer.value()


@cases(draws)
def test_a_difference_applied_to_its_baseline_is_the_full_snapshot(draw: Draw) -> None:
    rows = answers.match(draw, SLOTS)
    viewer, _, interest_mm, missiles = answers.view(draw, SLOTS)
    baseline = draw.randint(1, len(rows))
    before, _ = both(rows[:baseline], 8)
    album, _ = both(rows, 8)
    held = twin.apply_snapshot(None, write(before, viewer, 0, interest_mm, answers.missiles(draw, SLOTS)))
    difference = write(album, viewer, baseline, interest_mm, missiles)
    assert difference.baseline_tick == baseline
    full = twin.apply_snapshot(None, write(album, viewer, 0, interest_mm, missiles))
    assert twin.apply_snapshot(held, difference) == full
    assert full == State(
        len(rows),
        twin.seen(rows[-1], viewer, interest_mm),
        [one for one in missiles if twin.sees_missile(rows[-1], viewer, one, interest_mm)],
    )


@cases(draws)
def test_what_does_not_fit_is_taken_back(draw: Draw) -> None:
    size = draw.randint(0, 400)
    native, plain = both(answers.match(draw, SLOTS), 8)
    view = answers.view(draw, SLOTS)
    writer = probe.Writer(size)
    writer.varint(2, 1)
    head = writer.value()
    expected = head + wire.sized_field(6, plain.write(*view))
    fits = len(expected) <= size and head != b""
    assert native.write(writer, 6, *view) == fits
    assert writer.value() == (expected if fits else head)
    assert writer.full == (not fits)


def test_nothing_changed_is_nothing_sent() -> None:
    album, _ = both([{0: Entity(team=1), 3: Entity(x_mm=5)}] * 2, 4)
    assert write(album, 0, 1, 10) == snapshot_pb2.Snapshot(tick=2, baseline_tick=1)


def test_only_changed_fields_are_sent() -> None:
    album, _ = both([{0: Entity(health_milli=5, yaw=7)}, {0: Entity(health_milli=0, yaw=7)}], 4)
    expected = snapshot_pb2.Snapshot(tick=2, baseline_tick=1)
    expected.entities.add(slot=0, health_milli=0)
    assert write(album, 0, 1, 10) == expected


def test_a_whole_entity_has_every_field() -> None:
    album, _ = both([{2: Entity()}], 4)
    (entity,) = write(album, -1, 0, 0).entities
    assert all(entity.HasField(name) for name in Entity._fields)


def test_interest_is_a_sphere_and_the_own_team() -> None:
    row = {
        0: Entity(team=1),
        1: Entity(x_mm=2000, y_mm=1000, z_mm=2000),  # exactly 3 m away
        2: Entity(x_mm=2000, y_mm=1000, z_mm=2001),
        3: Entity(x_mm=2**31 - 1, team=1),
        4: Entity(x_mm=-(2**31), y_mm=-(2**31), z_mm=-(2**31), team=2),
    }
    album, _ = both([row], 4)
    assert [entity.slot for entity in write(album, 0, 0, 3000).entities] == [0, 1, 3]
    assert [entity.slot for entity in write(album, 0, 0, 2999).entities] == [0, 3]
    assert [entity.slot for entity in write(album, 4, 0, 2**63 - 1).entities] == [4]
    assert [entity.slot for entity in write(album, 5, 0, 3000).entities] == []
    assert [entity.slot for entity in write(album, SLOTS, 0, 3000).entities] == []
    assert [entity.slot for entity in write(album, -1, 0, 0).entities] == [0, 1, 2, 3, 4]


def test_who_leaves_the_area_is_removed_and_comes_back_whole() -> None:
    far, near = Entity(x_mm=9000, kills=2), Entity(x_mm=1000, kills=2)
    album, _ = both([{0: Entity(), 1: near}, {0: Entity(), 1: far}], 4)
    assert write(album, 0, 1, 3000) == snapshot_pb2.Snapshot(tick=2, baseline_tick=1, removed=[1])
    album, _ = both([{0: Entity(), 1: far}, {0: Entity(), 1: near}], 4)
    (entity,) = write(album, 0, 1, 3000).entities
    assert (entity.slot, entity.kills, entity.HasField("deaths")) == (1, 2, True)


def test_missiles_of_the_own_side_are_seen_at_any_distance() -> None:
    row = {0: Entity(team=1), 1: Entity(x_mm=10**6, team=1), 2: Entity(x_mm=10**6, team=2)}
    missiles = [Missile(i, owner, 0, 10**6, 0, 0) for i, owner in enumerate((0, 1, 2, 5, 99))]
    missiles.append(Missile(9, 2, 0, 100, 0, 0))
    album, _ = both([row], 4)
    shown = [one.projectile_id for one in write(album, 0, 0, 1000, missiles).projectiles]
    assert shown == [0, 1, 9]
    assert len(write(album, -1, 0, 0, missiles).projectiles) == 6


def test_the_ring_forgets() -> None:
    album, _ = both([{0: Entity(kills=n)} for n in range(6)], 3)
    assert [write(album, 0, tick, 1).baseline_tick for tick in range(8)] == [0, 0, 0, 0, 4, 5, 6, 0]


def test_after_a_jump_nothing_of_before_is_held() -> None:
    album, plain = both([{0: Entity()}] * 3, 4)
    for tick in (7, 8):
        album.put(tick, {0: Entity()})
        plain.begin(tick).update({0: Entity()})
    assert [write(album, 0, tick, 1).baseline_tick for tick in range(1, 9)] == [0] * 6 + [7, 8]
    album.put(8, {1: Entity()})  # the same tick again
    assert [entity.slot for entity in write(album, -1, 7, 1).entities] == [1]


def test_an_empty_album() -> None:
    assert write(probe.Album(4, 2), -1, 0, 1) == snapshot_pb2.Snapshot()
    for ticks, slots in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least one tick and one seat"):
            probe.Album(ticks, slots)


def test_a_difference_needs_its_own_baseline() -> None:
    snapshot = snapshot_pb2.Snapshot(tick=5, baseline_tick=3)
    for held in (None, State(tick=2)):
        with pytest.raises(ValueError, match="tick 5 needs the state of 3"):
            twin.apply_snapshot(held, snapshot)
    held = State(3, {1: Entity()})
    kept = dataclasses.replace(held, entities=dict(held.entities))
    twin.apply_snapshot(held, snapshot_pb2.Snapshot(tick=5, baseline_tick=3, removed=[1]))
    assert held == kept


# ---- state hash ---------------------------------------------------------------------------------------


@cases(draws)
def test_hash_equals_the_twin(draw: Draw) -> None:
    seed, data = draw.whole(0, 2**64 - 1), draw.randbytes(draw.whole(0, 64))
    assert probe.hash_bytes(seed, data) == twin.hash_bytes(seed, data)
    value = int.from_bytes(data[:8], "little")
    assert probe.hash_u64(seed, value) == twin.hash_u64(seed, value)


def test_hash_is_the_same_everywhere() -> None:
    assert [probe.hash_u64(0, value) for value in (0, 1)] == [0xE220A8397B1DCDAF, twin.hash_u64(0, 1)]
    assert probe.hash_bytes(0, b"") == probe.hash_u64(0, 0)


def test_hash_tells_apart() -> None:
    inputs = [bytes(n) for n in range(40)]
    inputs += [bytes(n) + b"\x01" + bytes(m) for n in range(20) for m in range(20)]
    assert len({probe.hash_bytes(7, data) for data in inputs}) == len(inputs)
    # One bit in, about half of the bits out.
    base = probe.hash_bytes(1, bytes(16))
    for bit in range(128):
        changed = bytearray(16)
        changed[bit // 8] ^= 1 << bit % 8
        assert 12 < (base ^ probe.hash_bytes(1, bytes(changed))).bit_count() < 52

"""Map geometry: equal to the twin without a hierarchy bit for bit, and true by independent judges."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from native.reference import world as twin
from native.world import World
from tests.support.draw import cases

from .worlds import Draw, Point, document, draws, ray_box, ray_triangle, touches

REACH = 12.0
FLOOR = {"low": [-5.0, -5.0, -1.0], "high": [5.0, 5.0, 0.0]}
BLOCK = {"low": [1.0, -1.0, 0.0], "high": [2.0, 1.0, 2.0]}
HALF = (0.4, 0.4, 0.9)
RAMP = [[1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [3.0, 0.0, 2.0]]


def world(*some: dict[str, list[float]], triangles: list[Any] | None = None) -> World:
    return World(document(list(some), triangles))


class TestTwin:
    @cases(draws)
    def test_ray(self, draw: Draw) -> None:
        some = draw.document()
        fast, slow = World(some), twin.World(some)
        for _ in range(4):
            origin, direction = draw.ray(some)
            assert fast.ray(origin, direction, REACH) == slow.ray(origin, direction, REACH)

    @cases(draws)
    def test_sweep(self, draw: Draw) -> None:
        some = draw.document()
        fast, slow = World(some), twin.World(some)
        for _ in range(2):
            half, centre, delta = draw.half(), draw.point(), draw.point()
            assert fast.sweep(half, centre, delta) == slow.sweep(half, centre, delta)

    @cases(draws)
    def test_sight_and_overlap(self, draw: Draw) -> None:
        some = draw.document()
        fast, slow = World(some), twin.World(some)
        for _ in range(2):
            a, b, half = draw.point(), draw.point(), draw.half()
            assert fast.sees(a, b) == slow.sees(a, b)
            assert fast.overlaps(half, a) == slow.overlaps(half, a)

    def test_a_deep_hierarchy(self) -> None:
        """Hundreds of solids, half of them one in another, which no split takes apart."""
        some = document(
            [
                {
                    "low": [i % 20 - 9.0, i // 20 - 9.0, 0.0],
                    "high": [i % 20 - 8.5, i // 20 - 8.5, 1.0 + i % 3],
                }
                for i in range(300)
            ]
            + [{"low": [0.0, 0.0, -1.0 - i], "high": [1.0, 1.0, 1.0 + i]} for i in range(300)]
        )
        fast, slow = World(some), twin.World(some)
        assert fast.solids == 600
        for i in range(200):
            angle = i * 0.0314159
            origin, direction = (0.25 * i % 7 - 8.0, -8.9, 0.5), (math.cos(angle), math.sin(angle), 0.0)
            assert fast.ray(origin, direction, 30.0) == slow.ray(origin, direction, 30.0)
            assert fast.sweep(HALF, origin, (9.0, 9.0, 1.0)) == slow.sweep(HALF, origin, (9.0, 9.0, 1.0))


class TestJudges:
    """A difference is forgiven only where the exact margin is below what rounding can do."""

    @cases(draws)
    def test_ray_and_box(self, draw: Draw) -> None:
        box = draw.box()
        origin, direction = draw.ray(document([box]))
        distance, margin = ray_box(box, origin, direction)
        found = world(box).ray(origin, direction, 1e6)
        if (found < 1e6) != (distance < 1e6):
            assert abs(margin) < 1e-12
        elif found < 1e6:
            assert found == pytest.approx(distance, abs=1e-12, rel=1e-12)

    @cases(draws)
    def test_ray_and_triangle(self, draw: Draw) -> None:
        corners = draw.triangle()
        origin, direction = draw.ray(document([], [corners]))
        distance, margin = ray_triangle(corners, origin, direction)
        found = world(triangles=[corners]).ray(origin, direction, 1e6)
        if (found < 1e6) != (distance < 1e6):
            assert abs(margin) < 2e-9
        elif found < 1e6 and margin > 1e-9:
            assert found == pytest.approx(distance, abs=1e-9, rel=1e-9)

    @cases(draws)
    def test_sweep(self, draw: Draw) -> None:
        """Up to the share the hull, thinned by the skin, is clear; there the full hull touches."""
        solid: Any = draw.box() if draw.random() < 0.5 else draw.triangle()
        half, centre, delta = draw.half(), draw.point(), draw.point()
        wide = tuple(max(part, 2 * twin.SKIN) for part in half)

        def meets(share: float, grown: float) -> bool:
            low = tuple(centre[k] + delta[k] * share - wide[k] - grown for k in range(3))
            high = tuple(centre[k] + delta[k] * share + wide[k] + grown for k in range(3))
            if isinstance(solid, dict):
                return all(low[k] < solid["high"][k] and high[k] > solid["low"][k] for k in range(3))
            return touches(solid, low, high)  # type: ignore[arg-type]

        place = world(solid) if isinstance(solid, dict) else world(triangles=[solid])
        share, normal = place.sweep(half, centre, delta)
        if meets(0.0, -twin.SKIN):  # deep at the start: stopped at once, or let out
            assert share in {0.0, 1.0}
            return
        for i in range(12):
            assert not meets(share * i / 12.0, -twin.SKIN - 1e-9)
        if share < 1.0:
            assert meets(share, 3e-6)
            assert math.hypot(*normal) == pytest.approx(1.0)
            assert sum(n * d for n, d in zip(normal, delta, strict=True)) < 0.0
        else:
            assert not meets(1.0, -2 * twin.SKIN)


class TestRays:
    def test_the_nearest_counts(self) -> None:
        place = world(FLOOR, BLOCK, {"low": [3.0, -1.0, 0.0], "high": [4.0, 1.0, 2.0]})
        assert place.ray((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 50.0) == 1.0
        assert place.ray((4.5, 0.0, 1.0), (-1.0, 0.0, 0.0), 50.0) == 0.5
        assert place.ray((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 0.75) == 0.75

    def test_along_a_face_and_from_a_face_outwards_nothing_is_met(self) -> None:
        place = world(BLOCK)
        assert place.ray((0.0, 1.0, 1.0), (1.0, 0.0, 0.0), 9.0) == 9.0
        assert place.ray((1.0, 0.0, 1.0), (-1.0, 0.0, 0.0), 9.0) == 9.0
        assert place.ray((1.0, 0.0, 1.0), (1.0, 0.0, 0.0), 9.0) == 0.0
        assert place.ray((0.0, 0.0, 1.0), unit_of(1.0, 0.0, 1.0), 9.0) == 9.0  # through an edge only

    def test_from_inside_a_box_nothing_is_reached(self) -> None:
        assert world(BLOCK).ray((1.5, 0.0, 1.0), (0.0, 0.0, 1.0), 9.0) == 0.0

    def test_no_ray_slips_between_two_triangles(self) -> None:
        quad = [
            [[0.0, 0.0, 1.0], [3.0, 0.0, 1.1], [3.0, 3.0, 1.3]],
            [[0.0, 0.0, 1.0], [3.0, 3.0, 1.3], [0.0, 3.0, 1.2]],
        ]
        place = world(triangles=quad)
        for i in range(1, 1000):
            at = 3.0 * i / 1000.0
            assert place.ray((at, at, 5.0), (0.0, 0.0, -1.0), 9.0) < 9.0
            assert place.ray((at, at, -5.0), (0.0, 0.0, 1.0), 9.0) < 9.0

    def test_not_a_number_meets_nothing_it_should_not_and_returns(self) -> None:
        place = world(FLOOR, BLOCK)
        with pytest.raises(ValueError, match=r"direction: nan is not a number"):
            place.ray((0.0, 0.0, 1.0), (math.nan, 0.0, 0.0), 9.0)

    def test_sight_is_mutual_and_starts_off_the_surface(self) -> None:
        place = world(FLOOR, BLOCK)
        left, right = (0.0, 0.0, 1.0), (3.0, 0.0, 1.0)
        assert not place.sees(left, right)
        assert not place.sees(right, left)
        assert place.sees((0.0, 0.0, 0.0), (0.0, 0.0, 4.0))  # off the floor
        assert place.sees(left, (1.0, 0.0, 1.0))  # a point of the wall that is looked at
        assert place.sees((0.0, 0.0, 2.5), (3.0, 0.0, 2.5))
        assert place.sees(left, left)


class TestHulls:
    def test_stops_at_the_surface(self) -> None:
        share, normal = world(FLOOR, BLOCK).sweep(HALF, (0.0, 0.0, 0.9), (1.0, 0.0, 0.0))
        assert share == pytest.approx(0.6)
        assert normal == (-1.0, 0.0, 0.0)

    @pytest.mark.parametrize("sink", [0.0, 1e-12, 5e-4, 9e-4])
    def test_slides_along_what_it_touches(self, sink: float) -> None:
        place = world(FLOOR, BLOCK)
        assert place.sweep(HALF, (0.6 + sink, 0.0, 0.9 - sink), (0.0, 3.0, 0.0)) == (1.0, (0.0, 0.0, 0.0))
        assert not place.overlaps(HALF, (0.6 + sink, 0.0, 0.9 - sink))

    def test_goes_on_over_the_seam_of_two_floors(self) -> None:
        place = world(FLOOR, {"low": [5.0, -5.0, -1.0], "high": [8.0, 5.0, 0.0]})
        assert place.sweep(HALF, (4.0, 0.0, 0.9 - 5e-4), (3.0, 0.0, 0.0))[0] == 1.0

    def test_pressed_against_a_wall_it_stays(self) -> None:
        share, normal = world(BLOCK).sweep(HALF, (0.6, 0.0, 1.0), (1.0, 0.0, 0.0))
        assert share == pytest.approx(0.0, abs=1e-9)
        assert normal == (-1.0, 0.0, 0.0)

    def test_deep_inside_only_the_way_out_is_free(self) -> None:
        place = world(BLOCK)
        assert place.overlaps(HALF, (0.7, 0.0, 1.0))
        assert place.sweep(HALF, (0.7, 0.0, 1.0), (-1.0, 0.0, 0.0)) == (1.0, (0.0, 0.0, 0.0))
        assert place.sweep(HALF, (0.7, 0.0, 1.0), (0.0, 1.0, 0.0)) == (0.0, (-1.0, 0.0, 0.0))

    def test_a_ramp_stops_by_its_slope_and_carries(self) -> None:
        place = world(triangles=[RAMP])
        share, normal = place.sweep(HALF, (0.0, 0.0, 0.9), (2.0, 0.0, 0.0))
        assert share == pytest.approx(0.3, abs=1e-3)  # the near edge of the ramp, on the ground
        down, normal = place.sweep(HALF, (1.5, 0.0, 3.0), (0.0, 0.0, -3.0))
        assert normal == pytest.approx((-math.sqrt(0.5), 0.0, math.sqrt(0.5)))
        # The hull's corner at x = 1.9 comes down on z = 0.9.
        assert 3.0 - 3.0 * down - 0.9 == pytest.approx(0.9)
        assert place.sweep(HALF, (1.5, 0.0, 3.0 - 3.0 * down), (0.5, 0.0, 0.5))[0] == 1.0

    def test_a_hull_of_no_size_does_not_fall_through_a_triangle(self) -> None:
        floor = [[-3.0, -3.0, 0.0], [3.0, -3.0, 0.0], [0.0, 3.0, 0.0]]
        share, normal = world(triangles=[floor]).sweep((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, -2.0))
        assert share == pytest.approx(0.5, abs=2e-3)
        assert normal == (0.0, 0.0, 1.0)

    def test_of_two_at_once_the_first_of_the_document_names_the_normal(self) -> None:
        wall = {"low": [-1.0, 1.0, 0.0], "high": [1.0, 2.0, 2.0]}
        for some, normal in (((BLOCK, wall), (-1.0, 0.0, 0.0)), ((wall, BLOCK), (0.0, -1.0, 0.0))):
            assert world(*some).sweep(HALF, (0.0, 0.0, 1.0), (1.0, 1.0, 0.0))[1] == normal


class TestLoading:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"bounds": None}, "bounds: low and high are needed"),
            ({"bounds": {"low": [0, 0, 0], "high": [1, 0, 1]}}, r"bounds\.low: must be below high"),
            ({"boxes": {}}, "boxes: a list is needed"),
            ({"boxes": [FLOOR, {"low": [0, 0, 0]}]}, r"boxes\[1\]: low and high are needed"),
            ({"boxes": [{"low": [0, 0], "high": [1, 1, 1]}]}, r"boxes\[0\]\.low: three numbers"),
            ({"boxes": [{"low": [0, 0, 0], "high": [1, 1, "2"]}]}, r"boxes\[0\]\.high: '2' is not a number"),
            ({"boxes": [{"low": [0, 0, 0], "high": [1, 1, math.nan]}]}, r"boxes\[0\]\.high: nan"),
            ({"boxes": [{"low": [0, 0, 0], "high": [1, 1, 1e9]}]}, r"boxes\[0\]\.high: 1000000000\.0"),
            ({"boxes": [{"low": [0, 0, 2], "high": [1, 1, 1]}]}, r"boxes\[0\]\.low: must be below high"),
            ({"triangles": [RAMP, RAMP[:2]]}, r"triangles\[1\]: three corners"),
            ({"triangles": [[RAMP[0], RAMP[0], RAMP[1]]]}, r"triangles\[0\]: a triangle of no area"),
            ({"triangles": [[RAMP[0], RAMP[1], [True, 0, 0]]]}, r"triangles\[0\]\[2\]: True"),
            ({"spawns": [{"yaw": 1.0}]}, r"spawns\[0\]: at is needed"),
            ({"spawns": [{"at": [0, 0, 0], "team": 256}]}, r"spawns\[0\]\.team: 256"),
            ({"spawns": [{"at": [0, 0, 0], "yaw": math.inf}]}, r"spawns\[0\]\.yaw: inf"),
        ],
    )
    def test_faults_are_named_with_their_path(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=f"^{message}"):
            World({**document(), **change})

    def test_what_it_knows_of_itself(self) -> None:
        place = World(
            {**document([FLOOR]), "spawns": [{"at": [1, 2, 3]}, {"at": [0, 0, 0], "yaw": 1.5, "team": 2}]}
        )
        assert place.map_id == "little"
        assert place.bounds == ((-9.0, -9.0, -9.0), (9.0, 9.0, 9.0))
        assert place.spawns == [(1.0, 2.0, 3.0, 0.0, 0), (0.0, 0.0, 0.0, 1.5, 2)]
        assert place.solids == 1

    def test_an_empty_world_stops_nothing(self) -> None:
        place = world()
        assert place.ray((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 7.0) == 7.0
        assert place.sees((0.0, 0.0, 0.0), (5.0, 0.0, 0.0))
        assert place.sweep(HALF, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0)) == (1.0, (0.0, 0.0, 0.0))
        assert not place.overlaps(HALF, (0.0, 0.0, 0.0))

    def test_the_hash_is_of_the_content_and_the_same_in_every_process(self) -> None:
        some = document([FLOOR, BLOCK], [RAMP])
        moved = document([FLOOR, {**BLOCK, "high": [2.0, 1.0, 2.5]}], [RAMP])
        assert World(some).hash() == World(some).hash() != World(moved).hash()
        code = f"from native.world import World; print(World({some!r}).hash())"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(other.stdout) == World(some).hash()


def unit_of(x: float, y: float, z: float) -> Point:
    length = math.sqrt(x * x + y * y + z * z)
    return (x / length, y / length, z / length)

"""Who a ray, a swing, a blast or a projectile reached: the Python door to the judge's queries.

A contact is (slot, region, shape, distance, share, pose), pose (x, y, z, yaw, pitch, stance, epoch) as
judged. Contacts come nearest first, one for each target, ties by the lower seat. `origin`, `centre`, `start`
in metres, `direction` a unit vector. `most` 1..16 contacts. `skip`: a seat left out (the shooter). `mask`: a
truth value a seat, False leaves it out. `on_break`: as in `native.history`. `world` None: no map.
"""

from collections.abc import Sequence

from native.history import History
from native.rig import Rig
from native.world import World

Point = tuple[float, float, float]
Pose = tuple[float, float, float, float, float, int, int]
Contact = tuple[int, int, int, float, float, Pose]

def hitscan_at(
    history: History,
    time_us: int,
    rig: Rig,
    world: World | None,
    origin: Point,
    direction: Point,
    reach: float,
    *,
    most: int = 16,
    skip: int = 0xFFFFFFFF,
    mask: Sequence[bool] | None = None,
    on_break: int = 0,
) -> tuple[list[Contact], float]:
    """Contacts along a ray, and where the map stopped it before the last of them (else `reach`)."""

def melee_at(
    history: History,
    time_us: int,
    rig: Rig,
    world: World | None,
    origin: Point,
    direction: Point,
    arc: float,
    reach: float,
    *,
    most: int = 16,
    skip: int = 0xFFFFFFFF,
    mask: Sequence[bool] | None = None,
    on_break: int = 0,
) -> list[Contact]:
    """Contacts in a cone of half angle `arc` radians, in sight of its tip."""

def blast_now(
    history: History,
    rig: Rig,
    world: World | None,
    centre: Point,
    radius: float,
    *,
    direct: int = -1,
    most: int = 16,
    mask: Sequence[bool] | None = None,
) -> list[Contact]:
    """Contacts of the newest row within `radius`; `share` is 0 at the centre and 1 at the edge. `direct`: the
    seat hit by the projectile itself."""

def sweep_now(
    history: History,
    rig: Rig,
    world: World | None,
    start: Point,
    delta: Point,
    radius: float,
    *,
    skip: int = 0xFFFFFFFF,
    mask: Sequence[bool] | None = None,
) -> tuple[int, Contact | None, float, Point]:
    """(what, contact, share of `delta` gone, normal) of a sphere moving through the newest row; what:
    0 nothing, 1 a player, 2 the map."""

def scattered(direction: Point, spread: float, draw_a: int, draw_b: int) -> Point:
    """A direction drawn evenly from the cone of half angle `spread` by two draws of 32 bits."""

def hitscan_many(history: History, rig: Rig, world: World | None, rays: bytes, reach: float) -> bytes:
    """The nearest contact of each of many rays, in one call. `rays`: records of `struct` format `=qI4x3d3d`
    (time_us, skip, origin, direction). Answers: records of `=iBB2xd` (slot or -1, region, shape, distance;
    without a contact, where the ray was stopped). Raises ValueError when `rays` is not whole records."""

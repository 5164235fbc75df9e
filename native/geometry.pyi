"""The Python door to the inline math; for tests, tools and map or ruleset checks."""

Point = tuple[float, float, float]

def sine_cosine(angle: float) -> tuple[float, float]:
    """Error under 1e-15 up to 1000 turns. Beyond 1e6 radians, or NaN: of the angle 0."""

def wrapped(angle: float) -> float:
    """The same direction within -pi..pi."""

def power_of_two(x: float) -> float:
    """2 to the x, relative error under 1e-15. Above 1023: infinity; under -1022, or NaN: 0."""

def ray(
    origin: Point,
    direction: Point,
    kind: int,
    a: Point,
    b: Point = (0.0, 0.0, 0.0),
    radius: float = 0.0,
    turn: float = 0.0,
    inflate: float = 0.0,
) -> float:
    """Distance along the unit `direction` to a shape, -1.0 for a miss, 0.0 from inside.

    kind 1: sphere `a`, `radius`; 2: capsule `a`..`b`, `radius`; 3: box of centre `a`, half extents `b`,
    turned by `turn` radians about its z axis. `inflate` adds a layer that thick. Raises ValueError for
    another kind.
    """

def nearest(
    point: Point,
    kind: int,
    a: Point,
    b: Point = (0.0, 0.0, 0.0),
    radius: float = 0.0,
    turn: float = 0.0,
) -> Point:
    """The point of the shape nearest to `point`; `point` itself when inside."""

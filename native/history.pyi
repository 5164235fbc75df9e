"""Where everybody was: a ring of poses by tick, for as many seats and ticks as it was made for.

Poses are held in single precision. Enumerations: `stance` 0 stand, 1 crouch, 2 air; `on_break` 0 the present
pose, 1 nothing, 2 the oldest pose of the new epoch.
"""

class History:
    def __init__(self, ticks: int, slots: int, tick_rate: int) -> None:
        """`ticks` is rounded up to a power of two, `slots` to a multiple of 16. Raises ValueError naming what
        is out of range (ticks 2..65536, slots 1..65536, tick_rate 1..1000), MemoryError."""
    @property
    def slots(self) -> int: ...
    @property
    def ticks(self) -> int: ...
    def begin(self, tick: int) -> None:
        """Starts the row of a tick: nobody is there yet. A tick that does not follow the newest one forgets
        all rows before; the same tick again starts its row anew."""
    def put(
        self,
        slot: int,
        x: float,
        y: float,
        z: float,
        yaw: float = 0.0,
        pitch: float = 0.0,
        stance: int = 0,
        epoch: int = 0,
        alive: bool = True,
    ) -> None:
        """The pose of a seat in the newest row: feet in metres, angles in radians. Raises ValueError for a
        slot out of range, a number that is not finite, or when no row was begun."""
    def at(self, time_us: int) -> tuple[int, int, int, float, bool]:
        """(tick, older row, newer row, fraction, found) about an instant of the session clock; `found` is
        False before the oldest row. After the newest row it is the newest row."""
    def sample(
        self, slot: int, time_us: int, on_break: int = 0
    ) -> tuple[float, float, float, float, float, int, int] | None:
        """(x, y, z, yaw, pitch, stance, epoch) of a seat at an instant; None when it cannot be hit then:
        absent, dead then or since, or across a break with `on_break` 1."""

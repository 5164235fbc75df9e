"""Is a move possible? The rules in their order: `movement.pyx`; the twin: `reference/movement.py`."""

from typing import Any, TypedDict

from native.world import World

Point = tuple[float, float, float]

class State(TypedDict):
    """Fields of `mover_t`."""

    position: Point
    velocity: Point
    yaw: float
    pitch: float
    mode: int
    stance: int
    on_ground: int
    budget_m: float
    rise_m: float
    lift_m: float
    last_us: int
    client_us: int
    discrepancy_us: int
    paying_back: int
    violation_milli: int
    violation_us: int

class Mover:
    """One player, for tests and tools."""

    def __init__(
        self, rules: dict[str, Any], world: World, position: Point, yaw: float = 0.0, now_us: int = 0
    ) -> None:
        """`rules`: keys and units of `move_rules_t`; `speed_mps` by mode, `height_m` by stance, in lower
        case. Raises ValueError naming the key."""
    def place(self, position: Point, yaw: float = 0.0, now_us: int = 0) -> None: ...
    def judge(self, move: tuple[float, float, float, float, float, int, int], now_us: int) -> tuple[int, int]:
        """`move`: x, y, z, yaw, pitch, mode, client_time_us. Returns (Outcome, Reason) of the contract."""
    def grant(self, until_us: int, speed_mps: float) -> None:
        """Allows the dash mode."""
    def slow(self, speed_q16: int) -> None:
        """Product of the effects on speed; 65536 is plain."""
    def violation(self, now_us: int) -> int:
        """The running score, 1000 a violation."""
    @property
    def take_off_mps(self) -> float:
        """sqrt(2 * gravity * jump height)."""
    def state(self) -> State: ...

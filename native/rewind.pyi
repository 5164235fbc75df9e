"""How far back a shot may look: the client says what it saw, the server bounds it."""

class Link:
    """One seat's connection, and the rules it is judged by. All times in microseconds."""

    def __init__(
        self,
        *,
        max_rewind_us: int = 250_000,
        interpolation_us: int = 100_000,
        interpolation_max_us: int = 200_000,
        extrapolation_max_us: int = 50_000,
        jitter_min_us: int = 10_000,
        jitter_max_us: int = 60_000,
        jitter_factor_q16: int = 262_144,
    ) -> None: ...
    def measure(self, now_us: int, sent_us: int) -> None:
        """A frame that arrived at `now_us` is the first to acknowledge a snapshot sent at `sent_us`."""
    @property
    def rtt_us(self) -> int:
        """Least round trip of the last one to two windows of 10 s; -1: none measured."""
    @property
    def jitter_us(self) -> int:
        """Mean difference of successive round trips."""
    def view(
        self, now_us: int, claimed_us: int, acked_us: int = -1, newest_us: int = -1, trusted: bool = False
    ) -> tuple[int, int]:
        """(view time that applies, Clamp of the contract). `acked_us`, `newest_us`: newest snapshot that the
        client acknowledged, and that was sent to it; -1: none. `trusted`: a game server's stream, bounded
        by max_rewind and the present only."""

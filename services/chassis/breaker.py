"""A circuit breaker: what does not answer is not asked again and again.

Closed, everything passes; `failures` in a row open it. Open, nothing passes for `open_s`. Then it is
half-open: one caller probes, the others are still refused; the probe's outcome closes it or opens it again.

Pure: the caller says what is a failure.
"""

from collections.abc import Callable
from enum import IntEnum

from services.chassis import clock


class State(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Refused(Exception):
    """The breaker is open. `retry_after_s`: when it may be worth asking again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"open for {retry_after_s:.3f} s more")
        self.retry_after_s = retry_after_s


class Breaker:
    """For one dependency. `changed` is told each new state."""

    def __init__(self, *, failures: int, open_s: float, changed: Callable[[State], None]) -> None:
        self._limit = failures
        self._open_s = open_s
        self._changed = changed
        self._failures = 0
        self._until_s = 0.0
        self.state = State.CLOSED

    def admit(self) -> bool:
        """Whether the caller is the probe, which must end with `succeed`, `fail` or `withdraw`.

        Raises:
            Refused: not now.
        """
        if self.state is State.CLOSED:
            return False
        left_s = self._until_s - clock.monotonic_s()
        if self.state is State.HALF_OPEN or left_s > 0:
            raise Refused(max(left_s, self._open_s / 10))
        self._become(State.HALF_OPEN)
        return True

    def succeed(self, *, probe: bool) -> None:
        """It answered. Only the probe's word closes the breaker: other answers may be from before."""
        self._failures = 0
        if probe:
            self._become(State.CLOSED)

    def fail(self, *, probe: bool) -> None:
        """It did not answer."""
        self._failures += 1
        if probe or (self.state is State.CLOSED and self._failures >= self._limit):
            self._until_s = clock.monotonic_s() + self._open_s
            self._become(State.OPEN)

    def withdraw(self) -> None:
        """The probe was given up without an outcome: the next caller probes."""
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed(state)

"""The circuit breaker, on a clock that stands still until it is moved."""

from __future__ import annotations

import pytest

from services.chassis import clock
from services.chassis.breaker import Breaker, Refused, State


class Circuit:
    """A breaker that opens for 2 s after three failures, and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.told: list[State] = []
        monkeypatch.setattr(clock, "monotonic_s", lambda: self.now_s)
        self.breaker = Breaker(failures=3, open_s=2.0, changed=self.told.append)

    def state(self) -> State:
        return self.breaker.state

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.breaker.fail(probe=self.breaker.admit())

    def succeed(self) -> None:
        self.breaker.succeed(probe=self.breaker.admit())

    def refusal_s(self) -> float:
        with pytest.raises(Refused) as caught:
            self.breaker.admit()
        return caught.value.retry_after_s


@pytest.fixture
def circuit(monkeypatch: pytest.MonkeyPatch) -> Circuit:
    return Circuit(monkeypatch)


def test_failures_in_a_row_open_it(circuit: Circuit) -> None:
    circuit.fail(2)
    circuit.succeed()
    circuit.fail(2)
    assert circuit.state() is State.CLOSED
    assert circuit.told == []
    circuit.fail(1)
    assert circuit.told == [State.OPEN]
    assert circuit.refusal_s() == 2.0
    circuit.now_s += 1.5
    assert circuit.refusal_s() == 0.5


def test_one_probe_at_a_time_and_its_success_closes(circuit: Circuit) -> None:
    circuit.fail(3)
    circuit.now_s += 2.0
    assert circuit.breaker.admit()
    assert circuit.state() is State.HALF_OPEN
    assert circuit.refusal_s() > 0
    circuit.breaker.succeed(probe=True)
    assert not circuit.breaker.admit()
    assert circuit.told == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    circuit.fail(2)
    assert circuit.state() is State.CLOSED  # counted from nothing again


def test_the_failure_of_the_probe_opens_it_again(circuit: Circuit) -> None:
    circuit.fail(3)
    circuit.now_s += 2.0
    circuit.fail(1)
    assert circuit.told == [State.OPEN, State.HALF_OPEN, State.OPEN]
    assert circuit.refusal_s() == 2.0


def test_a_probe_that_is_given_up_leaves_it_to_the_next_caller(circuit: Circuit) -> None:
    circuit.fail(3)
    circuit.now_s += 2.0
    assert circuit.breaker.admit()
    circuit.breaker.withdraw()
    assert circuit.breaker.admit()
    circuit.breaker.succeed(probe=True)
    assert circuit.state() is State.CLOSED


def test_words_from_before_neither_close_nor_reopen_it(circuit: Circuit) -> None:
    early = [circuit.breaker.admit() for _ in range(5)]
    circuit.fail(3)
    circuit.breaker.succeed(probe=early[0])
    assert circuit.state() is State.OPEN
    circuit.now_s += 2.0
    assert circuit.breaker.admit()
    circuit.breaker.fail(probe=early[1])
    circuit.breaker.succeed(probe=early[2])
    assert circuit.state() is State.HALF_OPEN
    circuit.breaker.succeed(probe=True)
    assert circuit.state() is State.CLOSED

"""Which instant a shot is judged at: the bounds one by one, what a liar gains, and the twin."""

from __future__ import annotations

import random

from native.reference import rewind as twin
from native.reference.rewind import (
    ACKED_SNAPSHOT,
    FUTURE,
    MAX_REWIND,
    MONOTONE,
    NEWEST_SNAPSHOT,
    NONE,
    ROUND_TRIP,
)
from native.rewind import Link
from tests.support.draw import Draw, cases, draws

MS = 1000
NOW = 60_000 * MS


def around(draw: Draw, now_us: int) -> int:
    return draw.whole(max(0, now_us - 400 * MS), now_us + 400 * MS)


def rules_of(draw: Draw) -> dict[str, int]:
    return {
        "max_rewind_us": draw.whole(0, 1000 * MS),
        "interpolation_us": draw.whole(0, 200 * MS),
        "interpolation_max_us": draw.whole(0, 400 * MS),
        "extrapolation_max_us": draw.whole(0, 100 * MS),
        "jitter_min_us": draw.whole(0, 50 * MS),
        "jitter_max_us": draw.whole(50 * MS, 200 * MS),
        "jitter_factor_q16": draw.whole(0, 8 * 65536),
    }


@cases(draws)
def test_equals_the_twin(draw: Draw) -> None:
    settings, now = rules_of(draw), draw.whole(0, 2**40)
    link, reference = Link(**settings), twin.Link(twin.Rules(**settings))
    for _ in range(draw.randint(1, 12)):
        now += draw.whole(0, draw.choice((100 * MS, 15_000 * MS)))
        if draw.chance(0.5):
            sent = now - draw.whole(*draw.choice(((-5, 400 * MS), (0, 60_000 * MS))))
            link.measure(now, sent)
            reference.measure(now, sent)
        else:
            newest = draw.choice((-1, around(draw, now)))
            acked = draw.choice((-1, around(draw, now)))
            claim = draw.choice((draw.whole(0, 2**40), around(draw, now)))
            trusted = draw.chance(0.5)
            assert link.view(now, claim, acked, newest, trusted) == reference.view(
                now, claim, acked, newest, trusted
            )
        assert (link.rtt_us, link.jitter_us) == (reference.rtt_us, reference.jitter_us)


def settled(rtt_us: int, until_us: int = NOW) -> Link:
    """A link that has answered every snapshot for 3 s with the same round trip."""
    link = Link()
    for at in range(until_us - 3000 * MS, until_us, 33 * MS):
        link.measure(at, at - rtt_us)
    return link


def test_an_honest_view_is_taken_as_it_is() -> None:
    link = settled(40 * MS)
    claim = NOW - 140 * MS  # 40 ms on the way, 100 ms of interpolation
    assert link.view(NOW, claim, NOW - 40 * MS, NOW - 10 * MS) == (claim, NONE)


def test_each_bound_is_reported() -> None:
    assert Link().view(NOW, NOW - 300 * MS) == (NOW - 250 * MS, MAX_REWIND)
    assert Link().view(NOW, NOW + 1) == (NOW, FUTURE)
    assert Link().view(NOW, NOW, newest_us=NOW - 80 * MS) == (NOW - 30 * MS, NEWEST_SNAPSHOT)
    assert Link().view(NOW, NOW - 240 * MS, acked_us=NOW - 20 * MS) == (NOW - 220 * MS, ACKED_SNAPSHOT)
    assert settled(40 * MS).view(NOW, NOW - 200 * MS) == (NOW - 150 * MS, ROUND_TRIP)
    assert settled(40 * MS).view(NOW, NOW - 50 * MS) == (NOW - 130 * MS, ROUND_TRIP)
    link = Link()
    assert link.view(NOW, NOW - 100 * MS) == (NOW - 100 * MS, NONE)
    assert link.view(NOW + 10 * MS, NOW - 150 * MS) == (NOW - 100 * MS, MONOTONE)


def test_a_trusted_stream_is_bounded_by_the_present_and_max_rewind_only() -> None:
    link = settled(40 * MS)
    assert link.view(NOW, NOW - 249 * MS, NOW, NOW, trusted=True) == (NOW - 249 * MS, NONE)
    assert link.view(NOW, NOW - 10 * MS, trusted=True) == (NOW - 10 * MS, NONE)
    assert link.view(NOW, NOW - 200 * MS, trusted=True) == (NOW - 200 * MS, NONE)  # several shooters
    assert link.view(NOW, NOW - 251 * MS, trusted=True) == (NOW - 250 * MS, MAX_REWIND)
    assert link.view(NOW, NOW + 1, trusted=True) == (NOW, FUTURE)


def test_no_claim_leaves_the_window() -> None:
    rng = random.Random(4)
    link, last = settled(40 * MS), -1
    for at in range(NOW, NOW + 5000 * MS, 7 * MS):
        used, _ = link.view(at, rng.randrange(0, 2 * NOW), at - 50 * MS, at - 20 * MS)
        assert max(last, at - 250 * MS) <= used <= at
        last = used


def oldest_view(link: Link, now: int) -> int:
    return link.view(now, 0, now - 240 * MS)[0]


def test_an_inflated_ping_does_not_widen_the_window() -> None:
    """A client at 40 ms starts to hold its answers back by up to 200 ms. As long as one answer in the last
    10 s was prompt it cannot shoot at anything older, but for the jitter band, which is bounded."""
    honest = oldest_view(settled(40 * MS), NOW + 9000 * MS)
    rng = random.Random(9)
    link = settled(40 * MS)
    for at in range(NOW, NOW + 9000 * MS, 33 * MS):
        link.measure(at, at - 40 * MS - rng.randrange(200 * MS))
    assert link.rtt_us == 40 * MS
    assert honest - oldest_view(link, NOW + 9000 * MS) <= 60 * MS - 10 * MS


def test_a_steadily_inflated_ping_only_moves_the_window() -> None:
    """Who delays everything for ever does see an older world; the window is no wider than before."""
    for rtt in (20 * MS, 120 * MS):
        low = settled(rtt).view(NOW, 0)[0]
        high = settled(rtt).view(NOW, NOW)[0]
        assert high - low <= 2 * 10 * MS


def test_the_least_round_trip_is_forgotten_after_two_windows() -> None:
    link = settled(40 * MS)
    for at in range(NOW, NOW + 25_000 * MS, 100 * MS):
        link.measure(at, at - 90 * MS)
    assert link.rtt_us == 90 * MS


def test_a_snapshot_from_the_future_is_not_measured() -> None:
    link = Link()
    link.measure(NOW, NOW + 1)
    assert link.rtt_us == -1

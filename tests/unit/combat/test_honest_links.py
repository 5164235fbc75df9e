"""Whoever is honest claims nothing false, however poor the link: what fairness counts on."""

from __future__ import annotations

from itertools import accumulate
from random import Random

import pytest
from arenamesh.client.view import ViewClock
from arenamesh.combat.v1 import journal_pb2, play_pb2, verdict_pb2

from native.reference.rewind import NONE, Link
from services.combat.statistics.violations import violation

RATE_HZ, SECONDS = 30, 120


@pytest.mark.parametrize(
    ("one_way_s", "jitter_s", "stall_s", "clamped"),
    [(0.02, 0.003, 0, 0.1), (0.03, 0.02, 0.4, 0.1), (0.2, 0.05, 0.5, 0.9), (0.3, 0.1, 1.0, 0.9)],
    ids=["good", "spikes", "slow", "awful"],
)
def test_no_link_makes_a_claim_false(
    one_way_s: float, jitter_s: float, stall_s: float, clamped: float
) -> None:
    draw = Random(4)
    ticks = [n / RATE_HZ for n in range(1, RATE_HZ * SECONDS)]
    frames = [1 + n / 60 for n in range(60 * (SECONDS - 2))]
    arrived = _arrivals(ticks, one_way_s, jitter_s, stall_s, draw)
    judged = _arrivals(frames, one_way_s, jitter_s, stall_s, draw)
    clock, link, seen, shots, moved = ViewClock(0.1), Link(), 0, 0, 0
    clock.reset(RATE_HZ)
    for frame_s, now_s in zip(frames, judged, strict=True):
        if seen < len(ticks) and arrived[seen] <= frame_s:
            while seen < len(ticks) and arrived[seen] <= frame_s:
                clock.observe(seen + 1, arrived[seen])
                seen += 1
            link.measure(_us(now_s), _us(ticks[seen - 1]))
        if not seen or draw.random() > 0.1:
            continue
        claimed = _us(clock.view(frame_s).ticks / RATE_HZ)
        newest = int(now_s * RATE_HZ) / RATE_HZ
        used, clamp = link.view(_us(now_s), claimed, _us(ticks[seen - 1]), _us(newest))
        shots, moved = shots + 1, moved + (clamp != NONE)
        assert violation(_shot(claimed, used, clamp)) is None, (frame_s, claimed, used, clamp)
    assert shots > 500
    assert moved > clamped * shots


def _arrivals(
    sent: list[float], one_way_s: float, jitter_s: float, stall_s: float, draw: Random
) -> list[float]:
    """In order, as a stream is: what is behind a stall comes with it."""
    late = []
    until = next_stall = 0.0
    for at in sent:
        if stall_s and at >= next_stall:
            until = at + draw.expovariate(1 / stall_s)
            next_stall = until + draw.expovariate(1 / 4)
        late.append(max(at, until) + one_way_s + draw.expovariate(1 / jitter_s))
    return list(accumulate(late, max))


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _shot(claimed: int, used: int, clamp: int) -> journal_pb2.CommandRecord:
    return journal_pb2.CommandRecord(
        command=play_pb2.Command(shot=play_pb2.Shot()),
        verdict=verdict_pb2.Verdict(
            outcome=verdict_pb2.OUTCOME_ACCEPTED, clamp=verdict_pb2.Clamp.Name(clamp)
        ),
        evidence=journal_pb2.Evidence(claimed_view_us=claimed, used_view_us=used),
    )

"""Limits and habits of a match."""

from __future__ import annotations

from dataclasses import dataclass, field

from arenamesh.client.retry import Backoff


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """The overflow policy stands with each limit."""

    snapshot_rate_hz: int = 0
    """Snapshots a second wanted; 0: one a tick."""
    interpolation_s: float = 0.1
    """How far behind the newest snapshot the player's picture is."""
    unanswered_max: int = 8192
    """Commands without a verdict; `send` waits above it."""
    feed_max: int = 4096
    """Verdicts, events, notices held for a reader; the oldest go, counted in `Feed.missed`."""
    ping_s: float = 0.5
    """How often the round trip is measured, and snapshots acknowledged when nothing else is sent."""
    silence_s: float = 3.0
    """How long nothing may arrive, not even the answer to a ping; then the stream is given up for another.
    Longer than a worker waits for its database, which it says by itself."""
    open_s: float = 5.0
    """How long a stream may take to welcome; then likewise."""
    backoff: Backoff = field(default_factory=lambda: Backoff(max_s=1.0, attempts=20))
    """Tries to come back in a row, the first at once; a stream that lived 5 seconds starts the count anew."""

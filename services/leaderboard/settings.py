"""What a leaderboard process is told, beside what every service is."""

from pathlib import Path

from pydantic import Field

from services.chassis.settings import Settings


class LeaderboardSettings(Settings):
    port: int = Field(default=8082, ge=0, le=65535)
    admin_port: int = Field(default=9082, ge=0, le=65535)

    data_dir: Path = Path(__file__).parent / "data"
    """Holds `boards/`: what `migrate` installs when it is not there yet."""

    max_message_bytes: int = Field(default=262_144, ge=1024)
    """Largest message a client may send: five hundred scores with room. Over it: RESOURCE_EXHAUSTED."""

    commit_batch: int = Field(default=256, ge=1)
    """Commands that one transaction commits together. More wait for the next one."""
    commit_waiting: int = Field(default=4096, ge=1)
    """Commands that may wait for a transaction. Over it: RESOURCE_EXHAUSTED, and nothing was done."""

    seen_days: float = Field(default=90, ge=38)
    """How long it is known which scores of SubmitScores counted, by their `event_id`: longer than a week and
    the longest grace, so that days and weeks of theirs are final. One sent again later counts again where
    it is not late."""

    redis_timeout_s: float = Field(default=1.0, gt=0)
    """How long Redis may take to answer. Over it: it counts as away, and PostgreSQL is read, which on a large
    board costs so much more that a short wait is better."""
    redis_retry_s: float = Field(default=0.5, gt=0)
    """How long Redis counts as away until it is tried again."""
    final_hours: float = Field(default=24, gt=0)
    """How long Redis keeps the order of a period that is final. After that it is read from PostgreSQL."""
    finalise_s: float = Field(default=1, gt=0)
    """How often periods whose grace is over are looked for."""

    max_watchers: int = Field(default=2000, ge=1)
    """Open WatchLeaderboard streams of this process. Over it: RESOURCE_EXHAUSTED."""
    watch_every_s: float = Field(default=0.25, gt=0)
    """The shortest time between two answers of a stream. What changes meanwhile is in the next one."""
    watch_poll_s: float = Field(default=1, gt=0)
    """How often a stream looks for changes that nobody told it of."""
    watch_write_s: float = Field(default=5, gt=0)
    """How long one answer may take to leave. Over it: the stream ends, RESOURCE_EXHAUSTED (SLOW_READER)."""

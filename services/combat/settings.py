"""What a combat worker is told, beside what every service is."""

from pathlib import Path

from pydantic import Field

from services.chassis.settings import Settings


class CombatSettings(Settings):
    data_dir: Path = Path(__file__).parent / "data"
    """Holds `maps/` and `rulesets/`."""

    max_sessions: int = Field(default=1000, ge=1)
    """Live sessions of this worker. Over it: RESOURCE_EXHAUSTED on CreateSession."""
    reconnect_seconds: float = Field(default=30, gt=0)
    """How long a seat is kept after its stream dropped. Over it: the player leaves (TIMED_OUT)."""
    max_empty_seconds: float = Field(default=120, gt=0)
    """How long a session without players lives. Over it: it ends (EMPTY)."""
    max_server_streams: int = Field(default=16, ge=1)
    """Game servers' streams of one session. Over it: RESOURCE_EXHAUSTED."""
    max_spectators: int = Field(default=200, ge=0)
    """Of one session. Over it: RESOURCE_EXHAUSTED."""

    hello_timeout_s: float = Field(default=5, gt=0)
    """How long a new Play stream may wait with its first frame. Over it: DEADLINE_EXCEEDED."""
    pending_bytes: int = Field(default=262_144, ge=1024)
    """Waiting for one reader. Over it: the stream ends, RESOURCE_EXHAUSTED, notice SLOW_READER."""
    pending_messages: int = Field(default=4096, ge=16)
    """As `pending_bytes`."""
    write_timeout_s: float = Field(default=5, gt=0)
    """How long one write to a reader may take. Over it: as `pending_bytes`."""
    close_timeout_s: float = Field(default=1, gt=0)
    """How long the last words of a stream may take to leave. Over it: only the status is sent."""

    journal_pending_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Of the journal, taken from the arenas and not yet committed. Over it: as after `commit_wait_s`."""
    journal_days: int = Field(default=30, ge=1)
    """How long a finished session's journal is kept, in whole days. Over it: its partition is dropped."""

    idempotency_hours: float = Field(default=24, gt=0)
    """How long an answer is kept for a repeated request."""
    persist_seconds: float = Field(default=1, gt=0)
    """How often changed player counts are written, and a failed write of a session's end is tried again."""

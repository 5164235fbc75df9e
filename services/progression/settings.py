"""What a progression process is told, beside what every service is."""

from pathlib import Path

from pydantic import Field

from services.chassis.settings import Settings


class ProgressionSettings(Settings):
    port: int = Field(default=8084, ge=0, le=65535)
    admin_port: int = Field(default=9084, ge=0, le=65535)

    data_dir: Path = Path(__file__).parent / "data"
    """Holds `curves/` and `definitions/`."""
    definition: str = Field(default="default-1", pattern=r"^[a-z0-9_]{1,48}-[0-9]{1,9}$")
    """Name and version of the definition that new characters begin with, and others come to by `remap`."""

    ledger_batch: int = Field(default=256, ge=1)
    """Commands that one transaction commits together. More wait for the next one."""
    ledger_waiting: int = Field(default=4096, ge=1)
    """Commands that may wait for a transaction. Over it: RESOURCE_EXHAUSTED, and nothing was done."""

    read_batch: int = Field(default=200, ge=1)
    """Characters that are read at once. More wait for the next look."""
    cache_seconds: float = Field(default=60, ge=1)
    """How long Redis keeps a character. Also the longest that a reader elsewhere can see an old state, should
    this process die, or lose its way to Redis, between a commit and telling it."""
    cache_timeout_s: float = Field(default=0.25, gt=0)
    """How long Redis may take to answer. Over it: it counts as away and PostgreSQL is read."""
    cache_retry_s: float = Field(default=0.5, gt=0)
    """How long Redis counts as away until it is tried again."""

    statistics_seconds: float = Field(default=1, ge=0)
    """How old the statistics of all characters may be."""

    max_watchers: int = Field(default=2000, ge=1)
    """Open WatchProgress streams of this process. Over it: RESOURCE_EXHAUSTED."""
    watch_poll_s: float = Field(default=1, gt=0)
    """How often a stream looks for events that nobody told it of."""
    watch_batch: int = Field(default=100, ge=1)
    """Events that a stream holds at once. More stay in the database until these have left."""
    watch_write_s: float = Field(default=5, gt=0)
    """How long one answer may take to leave. Over it: the stream ends, RESOURCE_EXHAUSTED (SLOW_READER)."""

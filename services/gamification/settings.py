"""What a gamification process is told, beside what every service is."""

from pathlib import Path

from pydantic import Field, SecretStr

from services.chassis.settings import Settings
from services.gamification import keys


class GamificationSettings(Settings):
    port: int = Field(default=8086, ge=0, le=65535)
    admin_port: int = Field(default=9086, ge=0, le=65535)

    data_dir: Path = Path(__file__).parent / "data"
    """Holds `metrics/`, `rewards/`, `achievements/` and `quests/`: what `migrate` installs when it is not
    there yet."""

    max_message_bytes: int = Field(default=262_144, ge=1024)
    """Largest message a client may send: five hundred records with room. Over it: RESOURCE_EXHAUSTED."""

    commit_batch: int = Field(default=256, ge=1)
    """Commands that one transaction commits together. More wait for the next one."""
    commit_waiting: int = Field(default=4096, ge=1)
    """Commands that may wait for a transaction. Over it: RESOURCE_EXHAUSTED, and nothing was done."""
    commit_remembered: int = Field(default=200_000, ge=0)
    """Rows of players that the committer keeps in memory, some hundred bytes each. Over it: the players that
    were used the longest ago are forgotten, and read again when they are needed."""

    quest_grace_s: float = Field(default=60, ge=0)
    """How long after its deadline a quest expires by itself: what happened before may be told later. A
    command after the deadline expires it at once."""
    sweep_s: float = Field(default=1, gt=0)
    """How often periods that are over, quests and grants past their time are looked for."""
    notification_days: float = Field(default=30, gt=0)
    """How long notifications are kept. Who resumes after older ones is told so: OUT_OF_RANGE (SEQUENCE_GONE),
    with the oldest that is kept."""

    read_batch: int = Field(default=200, ge=1)
    """Players that are read at once. More wait for the next look."""
    cache_seconds: float = Field(default=60, ge=1)
    """How long Redis keeps a player. Also the longest that a reader elsewhere can see an old state, should
    this process die, or lose its way to Redis, between a commit and telling it."""
    cache_timeout_s: float = Field(default=0.25, gt=0)
    """How long Redis may take to answer. Over it: it counts as away and PostgreSQL is read."""
    cache_retry_s: float = Field(default=0.5, gt=0)
    """How long Redis counts as away until it is tried again."""

    max_streams: int = Field(default=2000, ge=1)
    """Open Subscribe streams of this process. Over it: RESOURCE_EXHAUSTED."""
    max_streams_per_user: int = Field(default=5, ge=1)
    """Open Subscribe streams of one user in this process. Over it: RESOURCE_EXHAUSTED."""
    stream_poll_s: float = Field(default=1, gt=0)
    """How often a stream looks for notifications that nobody told it of."""
    stream_batch: int = Field(default=100, ge=1)
    """Notifications that a stream holds at once. More stay in the database until these have left."""
    stream_read_batch: int = Field(default=64, ge=1)
    """Streams for which notifications are read at once. More wait for the next look."""
    stream_write_s: float = Field(default=5, gt=0)
    """How long one answer may take to leave. Over it: the stream ends, RESOURCE_EXHAUSTED (SLOW_READER)."""

    receipt_keys: SecretStr = SecretStr("")
    """The ring of keys of receipts, as JSON (see `new-key`). Empty, in development only: one that everybody
    knows."""

    def faults(self) -> list[str]:
        return [
            *super().faults(),
            *keys.faults(self.receipt_keys.get_secret_value(), self.environment),
        ]

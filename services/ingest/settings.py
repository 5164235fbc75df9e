"""What an ingest process is told, beside what every service is."""

from datetime import timedelta

from pydantic import Field, SecretStr

from services.chassis.settings import Settings
from services.ingest import keys
from services.ingest.domain.gcra import Rate
from services.ingest.signatures import TOLERANCE


class IngestSettings(Settings):
    port: int = Field(default=8083, ge=0, le=65535)
    admin_port: int = Field(default=9083, ge=0, le=65535)

    ingest_keys: SecretStr = SecretStr("")
    """Keys of the producers, as `keys.py` says."""
    hmac_secret: SecretStr = SecretStr("")
    """The one key of the producer `default`. Neither: the development secret."""
    body_signatures: bool | None = None
    """Whether a signature of the body only (`x-signature`) is enough. None: in development only."""

    request_timeout_s: float = Field(default=2.0, gt=0)
    """Producers have other things to do than to wait. Over it: DEADLINE_EXCEEDED; what was sent may have been
    accepted, and sent again it is a duplicate."""
    database_wait_s: float = Field(default=1.0, gt=0)
    database_command_s: float = Field(default=1.5, gt=0)

    max_message_bytes: int = Field(default=1_114_112, ge=1024)
    """Largest message a client may send: a batch with room. Over it: RESOURCE_EXHAUSTED."""
    max_body_bytes: int = Field(default=65_536, ge=1024)
    """Largest body of one event. Over it: BODY_TOO_LARGE."""
    max_batch_bytes: int = Field(default=1_048_576, ge=1024)
    """Largest body of a list of events. Over it: BODY_TOO_LARGE."""
    max_behind_days: float = Field(default=0, ge=0)
    """How long ago an event may have happened. Over it: EVENT_INVALID. 0: as long as it likes; then digests
    of bodies that came with `x-signature` are kept for ever, since each could be sent again at any time."""
    max_ahead_s: float = Field(default=300, ge=0)
    """How far ahead of now an event may have happened. Over it: EVENT_INVALID."""
    max_event_types: int = Field(default=100, ge=1)
    """Types that studios may register; all of them are one answer. Over it: TOO_MANY_EVENT_TYPES."""
    types_poll_s: float = Field(default=1.0, gt=0)
    """How soon a type that was registered at another process counts at this one."""

    producer_rate: float = Field(default=5000, ge=0.001, le=1_000_000)
    """Events of a producer each second. Over it: RATE_LIMITED, with when to ask again."""
    producer_burst: int = Field(default=10_000, ge=1)
    """Events of a producer at once, after a rest."""
    player_rate: float = Field(default=50, ge=0.001, le=1_000_000)
    """Events of a player each second, of all producers together. Over it: RATE_LIMITED."""
    player_burst: int = Field(default=200, ge=1)
    """Events of a player at once, after a rest."""
    local_rates: int = Field(default=100_000, ge=1)
    """Producers and players that this process counts while Redis is away. Over it: it forgets the oldest."""
    throttle_pause_s: float = Field(default=1.0, gt=0)
    """How long a throttled player is asked to wait, at most."""
    refused_s: float = Field(default=5.0, gt=0)
    """How often others are told what was not taken of players."""
    refused_players: int = Field(default=10_000, ge=1)
    """Players of whom that is counted in between. Of more: only metrics."""
    redis_timeout_s: float = Field(default=0.25, gt=0)
    """How long Redis may take to answer. Over it: it counts as away, and each process limits by itself."""
    redis_retry_s: float = Field(default=0.5, gt=0)
    """How long Redis counts as away until it is tried again."""

    commit_batch: int = Field(default=256, ge=1, le=1000)
    """Requests that one transaction commits together. More wait for the next one. With their players and
    producers it must be within the 8,000 keys that a script of Redis can have."""
    commit_waiting: int = Field(default=4096, ge=1)
    """Requests that may wait for a transaction. Over it: RESOURCE_EXHAUSTED, and nothing was accepted."""
    commit_every_s: float = Field(default=0.004, ge=0)
    """How soon a transaction begins after one of many requests, at the earliest, unless it is full."""
    event_days: float = Field(default=90, gt=0)
    """How long accepted events are kept, as they came."""
    rejected_days: float = Field(default=30, gt=0)
    """How long events that were not taken are kept for operators."""

    @property
    def allows_body_signatures(self) -> bool:
        if self.body_signatures is None:
            return self.environment == "development"
        return self.body_signatures

    def faults(self) -> list[str]:
        found = super().faults() + keys.faults(
            self.ingest_keys.get_secret_value(), self.hmac_secret.get_secret_value(), self.environment
        )
        if self.max_message_bytes < max(self.max_body_bytes, self.max_batch_bytes) + 1024:
            found.append("MAX_MESSAGE_BYTES: must have 1024 more than MAX_BODY_BYTES and MAX_BATCH_BYTES")
        if timedelta(hours=self.idempotency_hours) < 2 * TOLERANCE:
            # One that is signed for five minutes ahead is taken for ten, and must be known that long.
            found.append("IDEMPOTENCY_HOURS: must not be shorter than ten minutes, as a signature counts")
        for name in ("producer", "player"):
            try:
                self.rate(name)
            except ValueError as error:
                found.append(f"{name.upper()}_BURST: {error}")
        return found

    def rate(self, name: str) -> Rate:
        """Of a `producer` or a `player`."""
        return Rate.per_second(getattr(self, f"{name}_rate"), getattr(self, f"{name}_burst"))

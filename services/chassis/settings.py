"""Settings come from the environment once, are checked as a whole, and never change."""

from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.auth import DEVELOPMENT_SECRET


class SettingsError(Exception):
    """Every fault of the environment, one a line."""


class Settings(BaseSettings):
    """What every service is told. A field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field(
        default="development", validation_alias=AliasChoices("environment", "env")
    )
    """`ENV` is another name of it, with `dev` and `prod`."""
    cloud: str = Field(default="", pattern=r"^[a-z0-9-]{0,32}$")
    """Where it runs, such as `azure`: in every line of the log. Nothing depends on it."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    worker_name: str = Field(default="w0", pattern=r"^[a-z0-9-]{1,32}$")
    """Name of this process's slot; stays the same over restarts."""

    host: str = "127.0.0.1"
    port: int = Field(default=50051, ge=0, le=65535)
    admin_port: int = Field(default=9085, ge=0, le=65535)

    database_url: SecretStr = Field(
        default=SecretStr("postgresql://postgres@127.0.0.1:5432/postgres"),
        validation_alias=AliasChoices("database_url", "db_url"),
    )
    """`DB_URL` is another name of it."""
    database_pool: int = Field(default=10, ge=1, le=50)
    """Connections of this process. All processes together must fit the server's `max_connections`. Over it:
    callers wait."""
    database_wait_s: float = Field(default=2.0, gt=0)
    """How long a caller waits for a connection before UNAVAILABLE."""
    database_command_s: float = Field(default=3.0, gt=0)
    """How long one statement may run before UNAVAILABLE. Below `request_timeout_s`: a call that is cancelled
    says nothing about the database, a statement that ran out of time does."""
    database_waiting: int = Field(default=200, ge=1)
    """Callers that may wait for a connection. Over it: RESOURCE_EXHAUSTED at once."""
    database_failures: int = Field(default=5, ge=1)
    """Faults of the database in a row after which it counts as away. From then on: UNAVAILABLE at once."""
    database_open_s: float = Field(default=1.0, gt=0)
    """How long it counts as away until one caller may try again; also the retry hint."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")

    bus_kind: Literal["inmem", "redis", "nats", "kafka", "rabbitmq", "servicebus", "sqs"] = "redis"
    """The bus between services. `inmem` reaches this process only."""
    bus_url: SecretStr = SecretStr("")
    """Where the bus is, as its kind writes it; `redis` uses `redis_url`."""
    bus_timeout_s: float = Field(default=3.0, gt=0, le=5)
    """How long the bus may take to answer. Over it: it counts as away, and events wait in the outbox."""
    bus_stream_length: int = Field(default=100_000, ge=100)
    """Events of one partition of a topic that the bus holds. Over it: those that every group has handled go,
    the oldest first; when none has been, publishing waits, and events stay in the outbox."""
    bus_in_flight: int = Field(default=256, ge=1)
    """Events of one subscription in memory. Over it: nothing more is fetched."""
    bus_max_attempts: int = Field(default=5, ge=1)
    """How often an event is handled before it is a dead letter. "Not now" is no attempt."""
    bus_backoff_s: float = Field(default=0.1, gt=0)
    """Pause before the second attempt; it doubles with each."""
    bus_max_backoff_s: float = Field(default=5.0, gt=0)
    """The longest of these pauses."""
    bus_lease_s: float = Field(default=3.0, ge=0.2)
    """How long a silent member of a group keeps its share. Over it: the others take it."""
    bus_close_s: float = Field(default=5.0, gt=0)
    """How long running handlers may go on at the end. Over it: cancelled, and handled again elsewhere."""

    outbox_batch: int = Field(default=500, ge=1)
    """Events that the relay sends at once. More wait for the next batch."""
    outbox_poll_s: float = Field(default=0.1, gt=0)
    """How often the relay looks."""
    outbox_backoff_s: float = Field(default=2.0, gt=0, le=5)
    """The longest pause of a relay whose bus is away or that stands by; it doubles up to it, less up
    to half at random."""
    outbox_keep_hours: float = Field(default=24.0, ge=0)
    """How long events are kept after the bus took them, for a bus that forgets and for `republish`."""
    inbox_keep_days: float = Field(default=30.0, ge=1)
    """How long it is known that an event was handled. An event sent again later has its effect again."""

    idempotency_hours: float = Field(default=24, gt=0)
    """How long an answer is kept for a repeated request."""
    purge_s: float = Field(default=60, gt=0)
    """How often what is kept for a time is looked through for what is past it."""

    jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)

    max_message_bytes: int = Field(default=65536, ge=1024)
    """Largest message a client may send. Over it: RESOURCE_EXHAUSTED."""
    max_concurrent_rpcs: int = Field(default=20000, ge=1)
    """Calls and streams open at once in this process. Over it: RESOURCE_EXHAUSTED. As many more may wait
    to be taken up. Over that: CANCELLED, by the runtime, before anything was done."""
    request_timeout_s: float = Field(default=5.0, gt=0)
    """Unary calls without a deadline, or with a longer one, get this. Over it: DEADLINE_EXCEEDED."""
    drain_s: float = Field(default=3.0, ge=0)
    """How long open calls may go on after the order to stop."""

    @field_validator("environment", mode="before")
    @classmethod
    def _in_full(cls, value: object) -> object:
        return {"dev": "development", "prod": "production"}.get(str(value), value)

    @classmethod
    def load(cls) -> Self:
        """Reads the environment.

        Raises:
            SettingsError: with every variable that is wrong, by name.
        """
        try:
            settings = cls()
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            raise SettingsError("\n".join(lines)) from None
        faults = settings.faults()
        if faults:
            raise SettingsError("\n".join(faults))
        return settings

    def faults(self) -> list[str]:
        """What no single field can say. Each line begins with the variable's name."""
        if self.inbox_keep_days * 24 < self.outbox_keep_hours:
            return ["INBOX_KEEP_DAYS: must not be shorter than OUTBOX_KEEP_HOURS"]
        if self.bus_kind not in ("inmem", "redis") and not self.bus_url.get_secret_value():
            return [f"BUS_URL: BUS_KIND={self.bus_kind} needs the address of the bus"]
        if self.environment == "development":
            return []
        secret = self.jwt_secret.get_secret_value()
        if secret == DEVELOPMENT_SECRET:
            return ["JWT_SECRET: the development secret is refused outside ENVIRONMENT=development"]
        if len(secret.encode()) < 32:
            return ["JWT_SECRET: needs at least 32 bytes outside ENVIRONMENT=development"]
        return []

"""Settings come from the environment once, are checked as a whole, and never change."""

from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.auth import DEVELOPMENT_SECRET


class SettingsError(Exception):
    """Every fault of the environment, one a line."""


class Settings(BaseSettings):
    """What every service is told. A field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    environment: Literal["development", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    worker_name: str = Field(default="w0", pattern=r"^[a-z0-9-]{1,32}$")
    """Name of this process's slot; stays the same over restarts."""

    host: str = "127.0.0.1"
    port: int = Field(default=50051, ge=0, le=65535)
    admin_port: int = Field(default=8085, ge=0, le=65535)

    database_url: SecretStr = SecretStr("postgresql://postgres@127.0.0.1:5432/postgres")
    database_pool: int = Field(default=10, ge=1, le=50)
    """Connections of this process. All workers together must stay under 50. Over it: callers wait."""
    database_wait_s: float = Field(default=2.0, gt=0)
    """How long a caller waits for a connection before UNAVAILABLE."""
    database_command_s: float = Field(default=5.0, gt=0)
    """How long one statement may run before UNAVAILABLE."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")

    jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)

    max_message_bytes: int = Field(default=65536, ge=1024)
    """Largest message a client may send. Over it: RESOURCE_EXHAUSTED."""
    max_concurrent_rpcs: int = Field(default=20000, ge=1)
    """Calls and streams open at once in this process. Over it: RESOURCE_EXHAUSTED."""
    request_timeout_s: float = Field(default=5.0, gt=0)
    """Unary calls without a deadline, or with a longer one, get this. Over it: DEADLINE_EXCEEDED."""
    drain_s: float = Field(default=3.0, ge=0)
    """How long open calls may go on after the order to stop."""

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
        if self.environment == "development":
            return []
        secret = self.jwt_secret.get_secret_value()
        if secret == DEVELOPMENT_SECRET:
            return ["JWT_SECRET: the development secret is refused outside ENVIRONMENT=development"]
        if len(secret.encode()) < 32:
            return ["JWT_SECRET: needs at least 32 bytes outside ENVIRONMENT=development"]
        return []

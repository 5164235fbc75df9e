"""What a fairness process is told, beside what every service is."""

from pathlib import Path

from pydantic import Field

from services.chassis.settings import Settings


class FairnessSettings(Settings):
    port: int = Field(default=8081, ge=0, le=65535)
    admin_port: int = Field(default=9081, ge=0, le=65535)

    data_dir: Path = Path(__file__).parent / "data"
    """Holds `detectors/`: what `migrate` installs when it is not there yet."""

    commit_batch: int = Field(default=256, ge=1)
    """Commands that one transaction commits together. More wait for the next one."""
    commit_waiting: int = Field(default=4096, ge=1)
    """Commands that may wait for a transaction. Over it: RESOURCE_EXHAUSTED, and nothing was done; events
    wait in the bus."""

    promotion_observations: int = Field(default=10_000, ge=0)
    """How many observations a detector's rule must have had before it may throttle or block. Below it:
    FAILED_PRECONDITION (SHADOW_RUN_MISSING), unless somebody says why not."""
    max_detectors: int = Field(default=60, ge=1)
    """Detectors that there may be; all of them are one answer. Over it: RESOURCE_EXHAUSTED
    (TOO_MANY_DETECTORS)."""
    dismissed_s: float = Field(default=86_400, ge=0)
    """How long after a flag was dismissed the same detector raises none of the player: what it finds until
    then is not told."""
    appeal_days: float = Field(default=180, gt=0)
    """How long after a restriction began the player may appeal. Over it: FAILED_PRECONDITION."""
    peers_s: float = Field(default=10, gt=0)
    """How often what the peers of players did is read anew: what came meanwhile counts from then on."""
    observation_days: float = Field(default=7, ge=3)
    """How long observations are kept: longer than what one finding is made of. Evidence of flags has its own,
    and is kept."""
    sweep_s: float = Field(default=1, gt=0)
    """How often restrictions whose time is over are looked for."""

"""How a player's standing decides whether events are taken."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.errors import PermissionDenied, ResourceExhausted
from services.ingest.domain.standing import GOOD, Standing, State

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)


@pytest.mark.parametrize("state", list(State))
def test_a_standing_that_is_over(state: State) -> None:
    Standing(state, "botting", NOW).check(NOW, 60)
    GOOD.check(NOW, 60)


@pytest.mark.parametrize(("until", "told"), [(None, {}), (LATER, {"until": LATER.isoformat()})])
def test_a_blocked_player(until: datetime | None, told: dict[str, str]) -> None:
    with pytest.raises(PermissionDenied) as error:
        Standing(State.BLOCKED, "botting", until).check(NOW, 60)
    assert error.value.reason == "PLAYER_BLOCKED"
    assert error.value.metadata == {"blocked_for": "botting", **told}


@pytest.mark.parametrize(("until", "pause_s"), [(None, 60), (LATER, 10), (NOW + timedelta(days=1), 60)])
def test_a_throttled_player(until: datetime | None, pause_s: float) -> None:
    with pytest.raises(ResourceExhausted) as error:
        Standing(State.THROTTLED, "flooding", until).check(NOW, 60)
    assert (error.value.reason, error.value.retry_after_s) == ("PLAYER_THROTTLED", pause_s)

"""What progress went through. Bounded: of more than MAX_ENTRIES entries the oldest go."""

from services.gamification.domain.events import Entry

MAX_ENTRIES = 50


def recorded(history: tuple[Entry, ...], *entries: Entry) -> tuple[Entry, ...]:
    """The newest last."""
    return (*history, *entries)[-MAX_ENTRIES:]

"""Why something of a match does not happen here and now; asked again, it happens here or elsewhere."""

from services.chassis.errors import Unavailable


def not_here(session_id: str, owner: str) -> Unavailable:
    return Unavailable(
        "Another worker plays this session.",
        reason="SESSION_NOT_HERE",
        metadata={"session_id": session_id, "owner": owner},
        retry_after_s=0.2,
        elsewhere=True,
    )


def moved() -> Unavailable:
    return Unavailable("The session is played elsewhere.", reason="SESSION_MOVED", retry_after_s=0.1)


def draining() -> Unavailable:
    return Unavailable("The worker is stopping.", reason="DRAINING", retry_after_s=0.1, elsewhere=True)


def journal_unavailable() -> Unavailable:
    return Unavailable("The journal does not answer.", reason="JOURNAL_UNAVAILABLE", retry_after_s=0.5)

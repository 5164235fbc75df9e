"""What comes of time alone: periods close, deadlines pass."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from services.chassis.calendar import Calendar
from services.gamification.domain.achievements import advance, pursuit
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.clauses import Compiled
from services.gamification.domain.events import QuestExpired
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import Closing, Draft, QuestProgress, QuestStatus
from services.gamification.domain.quest_steps import OnQuest, going_on, settle_waiting
from services.gamification.domain.scope import Scope
from services.gamification.domain.window import parse_window


def close(draft: Draft, catalogue: Catalogue, closing: Closing, *, now: datetime, entropy: bytes) -> bool:
    """Looks at what says something of a period that is over: as of its end. False: there is no such closing,
    or not yet."""
    closes_at = draft.closings.get(closing)
    if closes_at is None or closes_at > now or closing in draft.closed:
        return False
    _look(Occasion(draft, catalogue, _end(closing), now, _cause(closing), entropy), closing, now)
    return True


def expire(
    draft: Draft,
    catalogue: Catalogue,
    quest_id: str,
    *,
    now: datetime,
    entropy: bytes,
    grace: timedelta = timedelta(0),
) -> bool:
    """A quest whose deadline has passed, and `grace` for what is told late. First looks at periods that ended
    by the deadline, which may complete it. False: it is not in progress, or not due."""
    progress = draft.quests.get(quest_id)
    if progress is None or not is_overdue(progress, now - grace):
        return False
    subject = f"quest:{quest_id}:{progress.cycle}"
    pending = sorted(each for each in draft.closings if each.subject == subject and each not in draft.closed)
    for closing in pending:
        occasion = Occasion(draft, catalogue, _end(closing), now, _cause(closing), entropy)
        _look(occasion, closing, draft.closings[closing])
    progress = draft.quests[quest_id]
    if progress.status is QuestStatus.IN_PROGRESS:
        _expire(draft, catalogue, progress, now)
    return True


def is_overdue(progress: QuestProgress, at: datetime) -> bool:
    """Whether it is in progress, though its deadline has passed."""
    return (
        progress.status is QuestStatus.IN_PROGRESS
        and progress.expires_at is not None
        and progress.expires_at <= at
    )


def _expire(draft: Draft, catalogue: Catalogue, progress: QuestProgress, now: datetime) -> None:
    assert progress.expires_at is not None
    quest = OnQuest(Occasion(draft, catalogue, progress.expires_at, now, "deadline", b""), progress)
    quest.end(QuestStatus.EXPIRED, "expired", progress.expires_at)
    quest.save()
    draft.happened.append(QuestExpired(progress.quest_id, quest.quest.title, progress.cycle))


def _look(occasion: Occasion, closing: Closing, over_at: datetime) -> None:
    """`over_at`: the period is over for all metrics that nothing can be told of any more then."""
    draft, catalogue = occasion.draft, occasion.catalogue
    draft.closed.append(closing)

    def look(requirement: Compiled, scope: Scope, met: Mapping[int, datetime]) -> Mapping[int, datetime]:
        return requirement.close(scope, met, closing.window, closing.starts_at, over_at)

    kind, id_, _ = closing.subject.split(":")
    if kind == "achievement":
        newest = catalogue.achievement(id_)
        pursued = pursuit(occasion, newest) if newest is not None else None
        if pursued is not None and pursued.subject == closing.subject:
            scope = pursued.scope(draft, catalogue)
            newly = look(pursued.requirement, scope, pursued.progress.met)
            advance(occasion, pursued, scope, newly, closed=True)
    else:
        quest = going_on(occasion, id_, closed=True)
        if quest is not None and quest.subject == closing.subject:
            for step in quest.open_steps():
                if step.requirement.members:
                    quest.look(step, look)
            quest.settle()
    settle_waiting(occasion)


def _end(closing: Closing) -> datetime:
    """Of its period."""
    window = parse_window(closing.window)
    assert isinstance(window, Calendar), f"{closing.window} never ends"
    return window.period(closing.starts_at).end


def _cause(closing: Closing) -> str:
    return f"closing:{closing.window}:{closing.starts_at.isoformat()}"

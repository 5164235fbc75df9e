"""Achievements of a player: when they begin, which version counts, and that each cycle completes once.

One that does not repeat counts all that the player ever did. One that repeats has a scope for each cycle, and
the next begins a cooldown after the last was completed. Times are those of what happened, not of when it was
told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.chassis.errors import FailedPrecondition, NotFound
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.clauses import Compiled, compiled
from services.gamification.domain.definitions import Achievement, Completed
from services.gamification.domain.events import AchievementCompleted, AchievementStarted
from services.gamification.domain.history import recorded
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import AccumulatorKey, AchievementProgress, Draft
from services.gamification.domain.quest_steps import settle_waiting
from services.gamification.domain.scope import Scope, Touched
from services.gamification.domain.window import EPOCH


@dataclass(frozen=True, slots=True)
class Pursuit:
    """An achievement in the version that counts for a player, and how far it is. `fresh`: this version was
    not looked at yet, and the draft does not have it."""

    achievement: Achievement
    progress: AchievementProgress
    fresh: bool

    @property
    def requirement(self) -> Compiled:
        return compiled(self.achievement.requirement)

    @property
    def subject(self) -> str:
        """Of its closings."""
        return f"achievement:{self.achievement.id}:{self.progress.cycle}"

    @property
    def counts_ever(self) -> bool:
        return self.achievement.repeat is None

    def scope(self, draft: Draft, catalogue: Catalogue) -> Scope:
        """A cycle after the first counts from when it could begin, not from what happened first."""
        if self.counts_ever:
            return Scope(draft, catalogue.metrics)
        since = EPOCH if self.progress.cycle == 1 else self.progress.started_at
        return Scope(draft, catalogue.metrics, self.subject, since)


def pursuit(occasion: Occasion, newest: Achievement) -> Pursuit | None:
    """What something at this time would move. None: nothing, since it is disabled, completed for ever, or its
    next cycle begins later."""
    if not newest.enabled:
        return None
    progress = occasion.draft.achievements.get(newest.id)
    if progress is None:
        return first_cycle(newest, occasion.at)
    if progress.completed_at is not None:
        following = _next_cycle(newest, progress, progress.completed_at)
        return following if following is not None and following.progress.started_at <= occasion.at else None
    if progress.version < newest.brings_over:
        return Pursuit(newest, _brought_over(occasion, newest, progress), fresh=True)
    return Pursuit(pinned(occasion.catalogue, progress), progress, fresh=False)


def first_cycle(newest: Achievement, at: datetime) -> Pursuit:
    """Of somebody who begins."""
    return Pursuit(newest, _begun(newest, at), fresh=True)


def pinned(catalogue: Catalogue, progress: AchievementProgress) -> Achievement:
    """The version that it follows."""
    achievement = catalogue.achievement(progress.achievement_id, progress.version)
    assert achievement is not None, f"version {progress.version} of {progress.achievement_id} is gone"
    return achievement


def _next_cycle(newest: Achievement, last: AchievementProgress, completed_at: datetime) -> Pursuit | None:
    """It begins a cooldown later. None: there is none."""
    repeat = newest.repeat
    if repeat is None or 0 < repeat.max_cycles <= last.completions:
        return None
    return Pursuit(newest, _begun(newest, completed_at + repeat.cooldown, last), fresh=True)


def _begun(newest: Achievement, at: datetime, last: AchievementProgress | None = None) -> AchievementProgress:
    return AchievementProgress(
        newest.id,
        cycle=last.cycle + 1 if last else 1,
        version=newest.version,
        progress=0,
        met={},
        started_at=at,
        completed_at=None,
        completions=last.completions if last else 0,
        history=last.history if last else (),
    )


def _brought_over(
    occasion: Occasion, newest: Achievement, progress: AchievementProgress
) -> AchievementProgress:
    """What was met stays met, wherever it stands in the newest version."""
    before = compiled(pinned(occasion.catalogue, progress).requirement).clauses
    met_at = {before[number]: at for number, at in progress.met.items()}
    clauses = enumerate(compiled(newest.requirement).clauses)
    met = {number: met_at[clause] for number, clause in clauses if clause in met_at}
    return replace(progress, version=newest.version, met=met)


# -- progress -----------------------------------------------------------------------------------------


def move(occasion: Occasion, pursued: Pursuit, touched: Sequence[Touched] | None) -> None:
    """After counting. `touched` None: a checkpoint, at which everything is looked at as it stands."""
    draft, requirement = occasion.draft, pursued.requirement
    scope = pursued.scope(draft, occasion.catalogue)
    met = pursued.progress.met
    if touched is not None:
        if pursued.fresh and pursued.counts_ever:
            touched = _standing(requirement, scope, touched)
        occasion.expect(pursued.subject, requirement, scope, met, touched)
    advance(occasion, pursued, scope, requirement.look(scope, met, touched, occasion.now))


def _standing(requirement: Compiled, scope: Scope, touched: Iterable[Touched]) -> list[Touched]:
    """With what others that count the same have counted before this version was looked at."""
    standing = dict.fromkeys(touched)
    for metric, windows in requirement.windows.items():
        for window in windows:
            for starts_at in scope.draft.accumulators.starts(scope.name, metric, window.key):
                standing[Touched(metric, window, window.key, starts_at)] = None
    return list(standing)


def advance(
    occasion: Occasion,
    pursued: Pursuit,
    scope: Scope,
    newly: Mapping[int, datetime],
    *,
    closed: bool = False,
) -> None:
    """By the clauses that newly hold. `closed`: since a period ended, which is the first moment after it."""
    progress = pursued.progress
    if pursued.fresh:
        progress = _announced(occasion, pursued)
    met = {**progress.met, **newly} if newly else progress.met
    percent = pursued.requirement.progress(scope, met, occasion.now)
    if newly:
        clauses = pursued.requirement.clauses
        entries = (
            occasion.entry("requirement_met", percent, ",".join(clauses[number].metrics), at)
            for number, at in newly.items()
        )
        progress = replace(progress, met=met, history=recorded(progress.history, *entries))
    if percent == 100:
        _complete(occasion, pursued.achievement, progress)
        if not pursued.counts_ever:
            used = (at for number, at in met.items() if not (closed and number in newly))
            _carry_on(occasion, pursued, max(used, default=EPOCH))
    elif pursued.fresh or newly or percent != progress.progress:
        occasion.draft.achievements[progress.achievement_id] = replace(progress, progress=percent)


def _announced(occasion: Occasion, pursued: Pursuit) -> AchievementProgress:
    """Who is brought over to another version has begun before."""
    progress = pursued.progress
    before = occasion.draft.achievements.get(progress.achievement_id)
    if before is not None:
        _retire(occasion, before, pursued)
    if before is not None and before.cycle == progress.cycle:
        detail = f"{before.version} to {progress.version}"
        entry = occasion.entry("version_changed", progress.progress, detail)
    else:
        entry = occasion.entry("started", 0, at=progress.started_at)
        started = AchievementStarted(
            progress.achievement_id, progress.cycle, progress.version, occasion.cause
        )
        occasion.draft.happened.append(started)
    return replace(progress, history=recorded(progress.history, entry))


def _retire(occasion: Occasion, last: AchievementProgress, following: Pursuit) -> None:
    """What a cycle counted is kept until the next one begins, so that it can be seen; what only an older
    version counted, until it is followed no more."""
    pursued = Pursuit(pinned(occasion.catalogue, last), last, fresh=False)
    if not pursued.counts_ever:
        goes_on = following.subject == pursued.subject and not following.counts_ever
        scope = pursued.scope(occasion.draft, occasion.catalogue)
        occasion.retire(scope, pursued.requirement, following.requirement if goes_on else None)


def _complete(occasion: Occasion, achievement: Achievement, progress: AchievementProgress) -> None:
    """Once a cycle, since nothing pursues what is completed."""
    draft = occasion.draft
    at = max((occasion.at, *progress.met.values()))
    draft.achievements[achievement.id] = replace(
        progress,
        progress=100,
        completed_at=at,
        completions=progress.completions + 1,
        history=recorded(progress.history, occasion.entry("completed", 100, at=at)),
    )
    draft.achievement_points += achievement.points
    if progress.completions == 0:
        draft.achievements_completed += 1
    place = len(draft.happened)
    granted = occasion.pay(achievement.rewards, "achievement", achievement.id, progress.cycle)
    completed = AchievementCompleted(
        achievement.id,
        achievement.title,
        progress.cycle,
        achievement.version,
        achievement.points,
        granted,
        at,
        took=max(at, progress.started_at) - progress.started_at,
        cause=occasion.cause,
    )
    draft.happened.insert(place, completed)
    occasion.endings.append(Completed("achievement", achievement.id))


def _carry_on(occasion: Occasion, pursued: Pursuit, used: datetime) -> None:
    """Whole periods since the next cycle began were counted in this one, while nobody could know that it was
    complete, such as what happens in the morning before the day before is closed. `used`: when the last of
    what it was completed with happened, which counts only once."""
    draft, id_ = occasion.draft, pursued.achievement.id
    newest, last = occasion.catalogue.achievement(id_), draft.achievements[id_]
    assert newest is not None and last.completed_at is not None
    following = _next_cycle(newest, last, last.completed_at)
    if following is None:
        return
    scope, carried = following.scope(draft, occasion.catalogue), []
    for metric, windows in following.requirement.windows.items():
        for window in windows:
            for starts_at in list(draft.accumulators.starts(pursued.subject, metric, window.key)):
                if starts_at >= scope.since and starts_at > used:
                    counted = draft.accumulators[
                        AccumulatorKey(pursued.subject, metric, window.key, starts_at)
                    ]
                    draft.accumulators[AccumulatorKey(scope.name, metric, window.key, starts_at)] = counted
                    carried.append(Touched(metric, window, window.key, starts_at))
    if carried:
        move(occasion, following, carried)


# -- commands -----------------------------------------------------------------------------------------


def checkpoint(
    draft: Draft, catalogue: Catalogue, achievement_id: str, *, now: datetime, entropy: bytes, cause: str
) -> None:
    """Looks at everything, LT, LTE and EQ too, as it stands now. What is completed stays as it is.

    Raises NotFound (ACHIEVEMENT_NOT_FOUND), FailedPrecondition (ACHIEVEMENT_DISABLED).
    """
    newest = catalogue.achievement(achievement_id)
    about = {"achievement_id": achievement_id}
    if newest is None:
        raise NotFound(
            f"There is no achievement {achievement_id}.", reason="ACHIEVEMENT_NOT_FOUND", metadata=about
        )
    if not newest.enabled:
        raise FailedPrecondition(
            f"Achievement {achievement_id} is not enabled.", reason="ACHIEVEMENT_DISABLED", metadata=about
        )
    occasion = Occasion(draft, catalogue, now, now, cause, entropy)
    pursued = pursuit(occasion, newest)
    if pursued is not None:
        move(occasion, pursued, None)
        settle_waiting(occasion)

"""What an observation does to a player: it counts wherever something wants its metric, and what is earned by
it is earned at once."""

from datetime import datetime

from services.chassis.errors import NotFound
from services.gamification.domain.achievements import move, pursuit
from services.gamification.domain.catalogue import Catalogue, Route
from services.gamification.domain.limits import hold
from services.gamification.domain.observation import Observation, Outcome, check
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import Draft
from services.gamification.domain.quest_start import auto_start
from services.gamification.domain.quest_steps import move_quests, settle_waiting
from services.gamification.domain.scope import Scope


def observe(
    draft: Draft,
    catalogue: Catalogue,
    observation: Observation,
    now: datetime,
    entropy: bytes,
    *,
    limited: bool = True,
) -> Outcome:
    """`limited` False: gain limits do not matter, since somebody has looked at it.

    Raises NotFound (METRIC_NOT_FOUND), InvalidArgument (OCCURRED_IN_FUTURE and others of `check`).
    """
    metric = catalogue.metrics.get(observation.metric)
    if metric is None:
        raise NotFound(
            f"There is no metric {observation.metric}.",
            reason="METRIC_NOT_FOUND",
            metadata={"metric": observation.metric},
        )
    check(metric, observation, now)
    if limited and metric.limits:
        held = hold(draft, metric, observation, now)
        if held is not None:
            return held
    route = catalogue.route(metric.id)
    if route is None:
        return Outcome.UNUSED
    occasion = Occasion(draft, catalogue, observation.at, now, observation.cause, entropy)
    # What can start already counts this; what this unlocks begins with it, but only counts what follows.
    locked = auto_start(occasion, route.auto_quests)
    move_quests(occasion, route.quests, observation)
    _move_achievements(occasion, route, observation)
    settle_waiting(occasion)
    auto_start(occasion, locked)
    settle_waiting(occasion)
    if occasion.late:
        return Outcome.LATE
    return Outcome.COUNTED if occasion.counted else Outcome.UNUSED


def _move_achievements(occasion: Occasion, route: Route, observation: Observation) -> None:
    """What counts for ever is counted once for all of them."""
    metric = observation.metric
    pursued = [
        (each, windows)
        for newest in route.achievements
        if (each := pursuit(occasion, newest)) is not None
        and (windows := each.requirement.windows.get(metric)) is not None
    ]
    ever = dict(route.lifetime)
    for each, windows in pursued:
        if each.counts_ever:
            # Those that follow an older version may want other windows.
            ever.update(dict.fromkeys(windows))
    draft, catalogue = occasion.draft, occasion.catalogue
    lifetime = occasion.count(Scope(draft, catalogue.metrics), ever, observation)
    for each, windows in pursued:
        touched = lifetime
        if not each.counts_ever:
            touched = occasion.count(each.scope(draft, catalogue), windows, observation)
        if any(place.window in windows for place in touched):
            move(occasion, each, touched)

"""Gains that no honest player has: they count nowhere."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.gamification.domain.accumulator import add, value_of_all
from services.gamification.domain.definitions import Aggregation, GainAction, GainLimit, Metric
from services.gamification.domain.events import ImpossibleGain
from services.gamification.domain.observation import Observation, Outcome
from services.gamification.domain.player import Accumulator, AccumulatorKey, Draft, Quarantined
from services.gamification.domain.window import Sliding

SCOPE = "limit"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Of the time of a limit: what was gained in it, and what would be with the observation."""

    limit: GainLimit
    key: AccumulatorKey
    over_at: datetime
    gained: Accumulator | None
    reached: int


def hold(draft: Draft, metric: Metric, observation: Observation, now: datetime) -> Outcome | None:
    """REFUSED or QUARANTINED by the first limit that it breaks: the draft tells of it, and it must not be
    counted. None: it may, and has been counted for the limits."""
    pieces = list(_pieces(draft, metric, observation, now))
    for piece in pieces:
        if piece.reached > piece.limit.most:
            return _impossible(draft, piece, observation)
    for piece in pieces:
        draft.accumulators[piece.key] = add(
            piece.gained, metric.aggregation, _gain(observation), piece.over_at
        )
    return None


def _pieces(draft: Draft, metric: Metric, observation: Observation, now: datetime) -> Iterator[_Piece]:
    for limit in metric.limits:
        window = Sliding(limit.per, 1)
        start = window.part(observation.at)
        key = AccumulatorKey(SCOPE, metric.id, window.key, start)
        gained = draft.accumulators.get(key)
        # Kept for a time after the last one that was told, however long ago it happened.
        over_at = max(start + limit.per, now) + limit.per + metric.allowed_lateness
        yield _Piece(limit, key, over_at, gained, _reached(metric.aggregation, gained, observation))


def _reached(aggregation: Aggregation, gained: Accumulator | None, observation: Observation) -> int:
    """COUNT, SUM: all gains, without losses. DISTINCT: different members. Of the others, its own value."""
    match aggregation:
        case Aggregation.COUNT | Aggregation.SUM:
            return (gained.sum if gained else 0) + observation.value
        case Aggregation.DISTINCT:
            return value_of_all(aggregation, [add(gained, aggregation, observation)]) or 0
        case _:
            return observation.value


def _gain(observation: Observation) -> Observation:
    if observation.value >= 0:
        return observation
    return Observation(
        observation.metric, 0, observation.member, observation.at, observation.event, observation.cause
    )


def _impossible(draft: Draft, piece: _Piece, observation: Observation) -> Outcome:
    named = f"{draft.user_id}\n{observation.metric}\n{observation.event}"
    gain = Quarantined(
        id=f"q-{hashlib.sha256(named.encode()).hexdigest()[:32]}",
        user_id=draft.user_id,
        metric=observation.metric,
        value=observation.value,
        member=observation.member,
        occurred_at=observation.at,
        event=observation.event,
        cause=observation.cause,
        per_us=piece.limit.per // _MICROSECOND,
        most=piece.limit.most,
        reached=piece.reached,
    )
    quarantined = piece.limit.action is GainAction.QUARANTINE
    if quarantined:
        draft.quarantined.append(gain)
    draft.happened.append(ImpossibleGain(gain, quarantined))
    return Outcome.QUARANTINED if quarantined else Outcome.REFUSED

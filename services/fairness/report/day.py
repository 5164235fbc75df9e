"""What a person does on a day, as events: matches, and whatever else a game tells of its players."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.fairness.report.people import Draw, Kind, Person
from services.fairness.report.tables import DAY_US, Column, Table

MATCH_S, PAUSE_S = 300, 60
BEFORE = 40
"""Matches of the weeks before, of whoever fights today."""
BOARDS = {"arena": 900, "race": 40_000, "survival": 2_500, "towers": 150_000}
"""Boards that the game tells scores of, and a usual score."""
_LIES = np.array(["acked_snapshot", "newest_snapshot", "future", "round_trip"])
_MOVES_HZ = 20
_COUNTED_HZ = 10
_SENT = ("liveops.progression", "liveops.boss_kill", "liveops.drop_claimed", "liveops.score")
_TOLD_S = 5
"""Refusals are summed up for so long."""
_LOST_S = 3600
"""Answers are, at most."""
_SECOND_US = 1_000_000

Real = NDArray[np.floating[Any]]


def events_of(person: Person, draw: Draw) -> list[Table]:
    """All of a day, each table in the order of time."""
    tables = [*_fights(person, draw), *_plays(person, draw), *_bosses(person, draw)]
    tables += _refused(person, sum(len(each.at) for each in tables if each.event in _SENT), draw)
    if person.kind is Kind.FLOODING:
        tables += _floods(person, draw)
    if person.kind is Kind.GAIN or draw.random() < 5e-5:  # or a server that told something twice
        tables += _gains(person, draw)
    return [_sorted(table) for table in tables if len(table.at)]


def begins_us(person: Person, tables: list[Table]) -> int:
    """When a cheat begins with it today: with the day's first event of what it cheats in."""
    events = _CHEATED[person.kind] if person.kind else ()
    times = [table.at[table.at >= 0].min() for table in tables if table.event in events and table.at[-1] >= 0]
    return int(min(times, default=0))


_CHEATED = {
    Kind.AIM: ("combat.player_summary",),
    Kind.SPEED: ("combat.player_summary",),
    Kind.REWIND: ("combat.player_summary",),
    Kind.FLOODING: ("liveops.refused",),
    Kind.GAIN: ("gamification.impossible_gain",),
    Kind.BOT: ("liveops.boss_kill",),
}


# -- matches ------------------------------------------------------------------------------------------


def _fights(person: Person, draw: Draw) -> Iterator[Table]:
    if not person.fights_s:
        return
    matches = int(np.ceil(person.fights_s / MATCH_S))
    starts = _start(matches * (MATCH_S + PAUSE_S), draw) + np.arange(matches) * (MATCH_S + PAUSE_S)
    seconds = (starts[:, None] + np.arange(MATCH_S)).ravel()
    n = len(seconds)
    cheats = np.repeat(draw.random(matches) < 0.5 + 0.5 * person.strength, MATCH_S)
    cheats[:MATCH_S] = True
    shots = np.where(draw.random(n) < 0.4, 1 + draw.poisson(1.5, n), 0)
    hit, head, snap = (_chance(own, matches, draw) for own in (person.hit, person.head, person.snap))
    if person.kind is Kind.AIM:
        hit, head, snap = (
            np.where(cheats, np.maximum(own, least + more * person.strength), own)
            for own, least, more in ((hit, 0.4, 0.45), (head, 0.35, 0.6), (snap, 0.02, 0.35))
        )
    hits = draw.binomial(shots, hit)
    spikes = _spikes(matches, draw)
    clamped = np.where(spikes, 0.8, person.slow_link)
    corrected = draw.poisson(np.where(spikes, 0.6, person.stumbles_s))
    if person.kind is Kind.REWIND:
        clamped = np.where(cheats, np.maximum(clamped, 0.4 + 0.6 * person.strength), clamped)
    if person.kind is Kind.SPEED:
        hasty = cheats & (draw.random(n) < 0.1 + 0.9 * person.strength)
        once = 1 - (0.9 - 0.5 * person.strength) ** (_MOVES_HZ / _COUNTED_HZ)
        corrected += np.where(hasty, draw.binomial(_COUNTED_HZ, once, n), 0)
    clamps = draw.binomial(shots, clamped)
    lies = draw.binomial(clamps, 0.5 * person.strength if person.kind is Kind.REWIND else person.misjudged)
    told = (shots > 0) | (corrected > 0)
    at = (seconds * _SECOND_US).astype(np.int64)
    columns = {
        "shots": shots,
        "hits": hits,
        "headshots": draw.binomial(hits, head),
        "snap_hits": draw.binomial(hits, snap),
        "clamped_rewinds": clamps,
        "false_claims": lies,
        "movement_violations": corrected,
    }
    yield Table("combat.player_summary", at[told], {name: each[told] for name, each in columns.items()})
    yield Table("combat.violation", np.repeat(at, lies), {"kind": draw.choice(_LIES, lies.sum())})
    yield _results(person, starts, cheats[::MATCH_S], draw)


def _chance(own: float, matches: int, draw: Draw) -> Real:
    """Of each second: weapons and opponents differ from match to match, and from fight to fight."""
    fights = MATCH_S // 30
    noise = np.repeat(draw.normal(0, 0.25, matches), fights) + draw.normal(0, 0.4, matches * fights)
    odds = np.log(max(own, 1e-6) / (1 - own)) + np.repeat(noise, 30)
    chances: Real = 1 / (1 + np.exp(-odds))
    return chances


def _spikes(matches: int, draw: Draw) -> NDArray[np.bool_]:
    """Seconds in which the link is bad."""
    bad = np.zeros(matches * MATCH_S, np.bool_)
    for _ in range(draw.poisson(0.3 * matches)):
        begin = draw.integers(len(bad))
        bad[begin : begin + draw.integers(5, 40)] = True
    return bad


def _results(person: Person, starts: Real, cheats: NDArray[np.bool_], draw: Draw) -> Table:
    """What came of the matches, and of those before today. Who plays long gets a little better."""
    n = BEFORE + len(starts)
    usual = 300_000 * draw.lognormal(0, 0.5) * np.linspace(1, 1 + draw.exponential(0.15), n)
    damage = usual * draw.lognormal(0, 0.45, n)
    if person.kind is Kind.AIM:
        damage[BEFORE:] *= np.where(cheats, 1.5 + 2 * person.strength, 1)
    before = np.linspace(-20 * 86_400, -86_400, BEFORE)
    ends = np.concatenate([before, starts + MATCH_S])
    reasons = draw.choice(["score_limit", "time_limit", "aborted"], n, p=[0.5, 0.47, 0.03])
    return Table(
        "combat.session_ended",
        (ends * _SECOND_US).astype(np.int64),
        {"damage_dealt_milli": damage.astype(np.int64), "end_reason": reasons},
    )


# -- live operations ----------------------------------------------------------------------------------


def _plays(person: Person, draw: Draw) -> Iterator[Table]:
    """Experience, drops and scores, at the times of a person: heavy tails, and now and then much at once."""
    if not person.plays_s:
        return
    gaps = draw.lognormal(np.log(15), 1.3, int(person.plays_s / 10) + 1)
    at = _start(person.plays_s, draw) + np.cumsum(gaps)
    at = at[at < at[0] + person.plays_s]
    looted = at[draw.random(len(at)) < 0.02]
    at = np.concatenate([at, *(one + draw.uniform(0, 2, draw.integers(5, 40)) for one in looted)])
    if draw.random() < 0.01:  # sent at once when the link was there again
        at = np.concatenate([at, np.full(draw.integers(20, 120), at.max())])
    what = draw.random(len(at))
    experience, drops, scores = at[what < 0.55], at[(what >= 0.55) & (what < 0.8)], at[what >= 0.8]
    level = draw.lognormal(0, 0.7)
    gained = level * draw.lognormal(np.log(120), 1, len(experience))
    yield _table("liveops.progression", experience, experience=1 + gained.astype(np.int64))
    yield _table("liveops.drop_claimed", drops)
    boards = draw.choice(list(BOARDS), len(scores))
    usual = np.array([BOARDS[board] for board in boards]) * draw.lognormal(0, 0.5)
    reached = 1 + (usual * draw.lognormal(0, 0.5, len(scores))).astype(np.int64)
    yield _table("liveops.score", scores, board=boards, score=reached)


def _bosses(person: Person, draw: Draw) -> Iterator[Table]:
    """Of people who farm: a boss comes back after its time, and is killed some seconds later, or they look
    away. Of bots: as soon as it is there."""
    if person.kind is Kind.BOT:
        n = int(draw.uniform(3, 14) * 3600 / (every := draw.uniform(20, 300)))
        late = np.abs(draw.normal(0, 0.05 + 1.5 * (1 - person.strength), n))
        rests = np.where(draw.random(n) < 0.01, draw.uniform(10, 1800, n), 0)
        loot = np.full(n, 0.5)
    elif person.farms:
        n = int(draw.uniform(1, 5) * 3600 / (every := draw.uniform(60, 600)))
        late = draw.lognormal(np.log(draw.uniform(3, 12)), draw.uniform(0.25, 0.8), n)
        rests = np.where(draw.random(n) < 0.06, every * draw.uniform(0.3, 4, n), 0)
        loot = draw.lognormal(0.7, 0.4, n)
    else:
        return
    # It comes back so long after it was killed.
    killed = _start(n * every * 1.3, draw) + np.cumsum(every + late + rests)
    yield _table("liveops.boss_kill", killed)
    drops = np.repeat(killed + loot, draw.integers(1, 5, n))
    yield _table("liveops.drop_claimed", drops + draw.uniform(0, 0.5, len(drops)))


def _refused(person: Person, sent: int, draw: Draw) -> Iterator[Table]:
    """Answers that were lost for some time: until one arrives, what waits for it is sent again and again.
    Nobody who waits for an answer sends at once; most wait longer each time, and some as long as before.

    Args:
        sent: events of the day; nobody sends again what was not sent.
    """
    if not sent or draw.random() >= 0.03:
        return
    for _ in range(draw.integers(1, 4)):
        begin, lost_s = _start(_LOST_S, draw), min(draw.lognormal(np.log(20), 1.5), _LOST_S)
        longer = 5 + np.minimum(2 ** np.arange(_LOST_S / 5), 60)
        waits = np.full_like(longer, draw.uniform(5, 30)) if draw.random() < 0.2 else longer
        tries = np.cumsum(waits)
        told = np.unique((begin + tries[: 1 + np.searchsorted(tries, lost_s)]) // _TOLD_S + 1)
        waiting = min(1 + int(draw.lognormal(np.log(8), 1.5)), sent)
        yield _table("liveops.refused", told * _TOLD_S, duplicates=np.full(len(told), waiting))


# -- cheats -------------------------------------------------------------------------------------------


def _floods(person: Person, draw: Draw) -> Iterator[Table]:
    """Events of a script, and the same ones over again."""
    rate, begin = 12 * 15**person.strength, _start(3600, draw)
    at = begin + np.arange(int(min(rate * draw.uniform(30, 90), 4000))) / rate
    yield _table("liveops.drop_claimed", at)
    again = begin + 5 * np.arange(draw.integers(3, 60))
    yield _table("liveops.refused", again, duplicates=draw.poisson(20 * 30**person.strength, len(again)))


def _gains(person: Person, draw: Draw) -> Iterator[Table]:
    """What a limit of a metric found; and of cheats, experience and scores out of nothing."""
    at = _start(3600, draw) + np.sort(draw.uniform(0, 3600, draw.integers(1, 20)))
    yield _table("gamification.impossible_gain", at)
    if person.kind is None:
        return
    gained = np.full(len(at), int(30_000 * 1000**person.strength))
    yield _table("liveops.progression", at, experience=gained)
    boards = draw.choice(list(BOARDS), len(at))
    usual = np.array([BOARDS[board] for board in boards])
    yield _table(
        "liveops.score", at, board=boards, score=(usual * 10 * 300**person.strength).astype(np.int64)
    )


# -- columns ------------------------------------------------------------------------------------------


def _start(length_s: float, draw: Draw) -> float:
    """Somewhere in the day, so that it ends today."""
    return float(draw.uniform(0, max(86_400 - length_s, 1)))


def _table(event: str, at_s: Real, **fields: Column) -> Table:
    return Table(event, (at_s * _SECOND_US).astype(np.int64), fields)


def _sorted(table: Table) -> Table:
    """In the order of time; what would be tomorrow is left out."""
    order = np.argsort(table.at, kind="stable")
    order = order[table.at[order] < DAY_US]
    return replace(
        table, at=table.at[order], fields={name: each[order] for name, each in table.fields.items()}
    )

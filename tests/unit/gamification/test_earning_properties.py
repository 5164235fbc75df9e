"""Whatever is defined, done and told, in whatever order: what is earned is earned once, and stays."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.gamification.domain.definitions import (
    Achievement,
    Aggregation,
    AllOf,
    AnyOf,
    Completed,
    Condition,
    Metric,
    Operator,
    Quest,
    Repeat,
    Requirement,
    Step,
)
from services.gamification.domain.events import (
    AchievementCompleted,
    AchievementStarted,
    Event,
    QuestCompleted,
    QuestExpired,
    QuestFailed,
    QuestStarted,
    QuestStepCompleted,
    RewardGranted,
)
from services.gamification.domain.history import MAX_ENTRIES
from services.gamification.domain.player import AchievementProgress, Draft, QuestProgress, QuestStatus
from services.gamification.domain.views import view_achievement, view_quest
from services.gamification.domain.window import EVER
from tests.unit.gamification.earning import (
    DAY,
    HOUR,
    NOON,
    Earner,
    achievement,
    catalogue,
    minutes,
    quest,
    reach,
    step,
)
from tests.unit.gamification.quest_reference import PlainQuest, PlainStep

COUNTED = ("kills", "wins", "deaths")
ENDINGS = AchievementCompleted | QuestCompleted | QuestStepCompleted

metrics = st.sampled_from(COUNTED)
repeats = st.none() | st.builds(Repeat, st.sampled_from([minutes(0), minutes(20)]), st.integers(0, 3))
reaches = st.builds(reach, metrics, st.integers(1, 4), st.sampled_from([EVER, DAY, HOUR]))
closings = st.builds(
    Condition,
    metrics,
    st.sampled_from([Operator.LT, Operator.LTE, Operator.EQ]),
    st.integers(1, 3),
    st.just(DAY),
)
plain: st.SearchStrategy[Requirement] = st.one_of(
    reaches, closings, st.builds(AnyOf, st.tuples(reaches, reaches))
)
elsewhere: st.SearchStrategy[Requirement] = st.sampled_from(
    [Completed("achievement", "a0"), Completed("quest", "q0"), Completed("achievement", "a1")]
)


@st.composite
def achievements(draw: st.DrawFn) -> list[Achievement]:
    return [
        achievement(
            f"a{n}",
            *draw(st.lists(plain, min_size=1, max_size=3)),
            points=draw(st.integers(0, 9)),
            rewards=draw(st.sampled_from([(), ("gold",), ("gold", "xp")])),
            repeat=draw(repeats),
        )
        for n in range(3)
    ]


@st.composite
def quests(draw: st.DrawFn) -> list[Quest]:
    return [_quest(draw, n) for n in range(3)]


def _quest(draw: st.DrawFn, n: int) -> Quest:
    steps = [_step(draw, number) for number in range(draw(st.integers(1, 4)))]
    steps.append(step("must", reach("kills", 2), order=draw(st.integers(0, 2))))
    auto = any(each.requirement.members for each in steps) and draw(st.booleans())
    return quest(
        f"q{n}",
        *steps,
        requires=tuple(draw(st.lists(st.one_of(elsewhere, reaches), max_size=1))) if n else (),
        time_limit=draw(st.none() | st.sampled_from([minutes(30), timedelta(days=2)])),
        repeat=draw(repeats),
        auto_start=auto,
    )


def _step(draw: st.DrawFn, number: int) -> Step:
    return step(
        f"s{number}",
        *draw(st.lists(st.one_of(plain, elsewhere), max_size=2)),
        order=draw(st.integers(0, 2)),
        optional=draw(st.booleans()),
        rewards=draw(st.sampled_from([(), ("xp",)])),
    )


# -- anything at all ----------------------------------------------------------------------------------

Act = tuple[Any, ...]
does = st.tuples(st.just("does"), metrics, st.integers(1, 3), st.integers(0, 20))
starts = st.tuples(st.just("starts"), st.integers(0, 2))
completes = st.tuples(st.just("completes"), st.integers(0, 2), st.integers(0, 4))
rest: list[st.SearchStrategy[Act]] = [
    st.tuples(st.just("waits"), st.sampled_from([1, 7, 20, 61, 400, 1500])),
    st.tuples(st.just("abandons"), st.integers(0, 2)),
    st.tuples(st.just("checks"), st.integers(0, 2)),
    st.tuples(st.just("sweeps")),
    st.tuples(
        st.just("updates"),
        st.integers(0, 2),
        st.lists(plain, min_size=1, max_size=3),
        st.sampled_from([True, True, False]),
        st.booleans(),
    ),
]
acts = st.sampled_from([*[does] * 8, *[starts] * 2, *[completes] * 4, *rest]).flatmap(lambda kind: kind)


def act(anna: Earner, what: Act) -> None:
    """What is refused changes nothing."""
    before = (dict(anna.player.accumulators), dict(anna.player.quests), dict(anna.player.achievements))
    try:
        match what:
            case ("does", metric, value, ago):
                anna.does(metric, value, at=anna.now - minutes(ago))
            case ("waits", count):
                anna.waits(minutes(count))
            case ("starts", n):
                anna.starts(f"q{n}")
            case ("completes", n, number):
                anna.completes(f"q{n}", "must" if number == 4 else f"s{number}")
            case ("abandons", n):
                anna.abandons(f"q{n}")
            case ("checks", n):
                anna.checks(f"a{n}")
            case ("sweeps",):
                anna.closes_all()
                for n in range(3):
                    anna.expires(f"q{n}", minutes(1))
            case ("updates", n, members, enabled, brings_over):
                _update(anna, f"a{n}", members, enabled=enabled, brings_over=brings_over)
    except DomainError as refused:
        assert refused.reason
        assert before == (anna.player.accumulators, anna.player.quests, anna.player.achievements)


def _update(anna: Earner, id_: str, members: list[Requirement], *, enabled: bool, brings_over: bool) -> None:
    known, before = anna.catalogue, newest(anna, id_)
    version = before.version + 1
    after = replace(
        before,
        version=version,
        requirement=AllOf(tuple(members)),
        enabled=enabled,
        brings_over=version if brings_over else before.brings_over,
    )
    every = [known.achievement(f"a{n}", number) for n in range(3) for number in range(1, 99)]
    older = [each for each in every if each is not None]
    anna.catalogue = catalogue(*older, after, *known.newest_quests())


def newest(anna: Earner, id_: str) -> Achievement:
    found = anna.catalogue.achievement(id_)
    assert found is not None
    return found


@given(achievements(), quests(), st.lists(acts, min_size=30, max_size=80))
@settings(max_examples=120)
def test_what_is_earned_is_earned_once_and_stays(
    earned: list[Achievement], walked: list[Quest], history: list[Act]
) -> None:
    anna = Earner(catalogue(*earned, *walked))
    for what in history:
        before, had = dict(anna.player.quests), dict(anna.player.achievements)
        points, happened = anna.player.achievement_points, len(anna.happened)
        act(anna, what)
        _check_endings(before, anna.player.quests)
        _check_versions(anna, had)
        new = anna.happened[happened:]
        gained = sum(each.points for each in new if isinstance(each, AchievementCompleted))
        assert anna.player.achievement_points == points + gained
    _check_events(anna)
    _check_achievements(anna)
    _check_kept(anna)
    for each in anna.player.quests.values():
        _check_quest(anna, each)


def _check_endings(before: dict[str, QuestProgress], after: dict[str, QuestProgress]) -> None:
    for id_, was in before.items():
        now = after[id_]
        if was.status is not QuestStatus.IN_PROGRESS:
            assert now == was or now.cycle > was.cycle
        assert now.completions >= was.completions


def _check_versions(anna: Earner, before: dict[str, AchievementProgress]) -> None:
    """It stays with its version but for another cycle, or a version that brings over; and rests while it is
    not enabled."""
    for id_, now in anna.player.achievements.items():
        defined, was = newest(anna, id_), before.get(id_)
        assert defined.enabled or now == was
        if was is None or now.cycle > was.cycle:
            assert now.version == defined.version
        elif now.version != was.version:
            assert was.version < defined.brings_over
            assert now.version == defined.version


def _check_events(anna: Earner) -> None:
    """Each ending once, each grant once, told after what it is for; and nothing else is paid."""
    once = Counter(map(_name, anna.happened))
    assert set(once.values()) <= {1}
    promised: list[str] = []
    for event in anna.happened:
        if isinstance(event, ENDINGS):
            promised += event.grant_ids
        if isinstance(event, RewardGranted):
            assert event.grant.id in promised
    assert sorted(promised) == sorted(anna.grants)
    assert len(set(promised)) == len(promised)
    owed = Counter[tuple[str, str, int, str]]()
    for event in anna.happened:
        if isinstance(event, ENDINGS):
            owed.update(_owed(anna, event))
    assert sorted(owed.elements()) == anna.paid()


def _name(event: Event) -> tuple[object, ...]:
    """What there may be one of."""
    match event:
        case AchievementStarted() | AchievementCompleted():
            return type(event), event.achievement_id, event.cycle
        case QuestStepCompleted():
            return type(event), event.quest_id, event.cycle, event.step_id
        case QuestStarted() | QuestCompleted() | QuestFailed() | QuestExpired():
            return type(event), event.quest_id, event.cycle
        case RewardGranted():
            return type(event), event.grant.id
    raise AssertionError(f"{event} was not to be expected")


def _owed(anna: Earner, event: ENDINGS) -> list[tuple[str, str, int, str]]:
    if isinstance(event, AchievementCompleted):
        earned = newest(anna, event.achievement_id)
        return [("achievement", earned.id, event.cycle, each) for each in earned.rewards]
    walked = anna.catalogue.quest(event.quest_id)
    assert walked is not None
    if isinstance(event, QuestCompleted):
        return [("quest", walked.id, event.cycle, each) for each in walked.rewards]
    [done] = [each for each in walked.steps if each.id == event.step_id]
    return [("quest_step", f"{walked.id}:{done.id}", event.cycle, each) for each in done.rewards]


def _check_kept(anna: Earner) -> None:
    """What counts for ever is kept for ever; what counts for a cycle, as long as somebody looks at it."""
    player = anna.player
    scopes = {f"achievement:{each.achievement_id}:{each.cycle}" for each in player.achievements.values()}
    for each in player.quests.values():
        if each.status is QuestStatus.IN_PROGRESS:
            scopes |= {f"quest:{each.quest_id}:{each.cycle}:{order}" for order in range(3)}
    for key, kept in player.accumulators.items():
        if not key.scope and key.window == EVER.key:
            assert kept.over_at is None
        elif kept.over_at is None:
            assert key.scope in scopes


def _check_achievements(anna: Earner) -> None:
    player = anna.player
    finished = [each for each in player.achievements.values() if each.completions]
    assert player.achievements_completed == len(finished)
    assert sum(each.completions for each in finished) == len(anna.events(AchievementCompleted))
    for each in player.achievements.values():
        defined = newest(anna, each.achievement_id)
        view = view_achievement(Draft(player), anna.catalogue, defined, anna.now)
        completed = each.completed_at is not None
        assert (each.progress == 100) == (view.percent == 100) == completed
        assert each.completions == each.cycle - (not completed)
        assert (
            defined.repeat is None or not defined.repeat.max_cycles or each.cycle <= defined.repeat.max_cycles
        )
        assert defined.repeat is not None or each.cycle == 1
        assert len(each.history) <= MAX_ENTRIES
        assert all(0 <= entry.progress <= 100 for entry in each.history)


def _check_quest(anna: Earner, progress: QuestProgress) -> None:
    walked = anna.catalogue.quest(progress.quest_id)
    assert walked is not None
    steps, required = progress.steps, [each for each in walked.steps if not each.optional]
    done = {id_ for id_, each in steps.items() if each.completed_at is not None}
    completed = progress.status is QuestStatus.COMPLETED
    assert completed == all(each.id in done for each in required)
    if progress.status is QuestStatus.IN_PROGRESS:
        lowest = min(each.order for each in required if each.id not in done)
        assert set(steps) == {each.id for each in walked.steps if each.order <= lowest}
        assert progress.ended_at is None
    view = view_quest(Draft(anna.player), anna.catalogue, walked, anna.now)
    assert (view.percent == 100) == completed
    for id_, each in steps.items():
        assert (each.progress == 100) == (id_ in done)
        assert each.opened_at >= progress.started_at
        assert progress.ended_at is None or progress.ended_at >= progress.started_at
        assert each.completed_at is None or each.completed_at >= each.opened_at
        if each.completed_at is not None and progress.expires_at is not None:
            assert each.completed_at < progress.expires_at
    ends = (QuestCompleted, QuestFailed, QuestExpired)
    ended = [each.cycle for each in anna.happened if isinstance(each, ends) and each.quest_id == walked.id]
    begun = [each.cycle for each in anna.events(QuestStarted) if each.quest_id == walked.id]
    assert begun == list(range(1, progress.cycle + 1))
    assert ended == begun[: len(begun) - (progress.status is QuestStatus.IN_PROGRESS)]
    assert len(progress.history) <= MAX_ENTRIES


# -- in any order -------------------------------------------------------------------------------------


@given(
    st.lists(
        st.lists(st.one_of(reaches, st.builds(AnyOf, st.tuples(reaches, reaches))), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.tuples(metrics, st.integers(0, 3000)), max_size=25, unique=True),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_what_only_grows_is_met_in_whatever_order_it_is_told(
    requirements: list[list[Requirement]], happened: list[tuple[str, int]], random: Any
) -> None:
    """Within the lateness that its metrics allow: all is told at one time, when nothing has closed."""
    late = [Metric(each, each, Aggregation.COUNT, allowed_lateness=timedelta(days=4)) for each in COUNTED]
    earned = [achievement(f"a{n}", *members) for n, members in enumerate(requirements)]
    results = []
    for _ in range(2):
        anna = Earner(catalogue(*earned, metrics=late), now=NOON + minutes(3000))
        for metric, minute in happened:
            anna.does(metric, at=NOON + minutes(minute), event=f"{metric}:{minute}")
        met = {id_: set(each.met) for id_, each in anna.player.achievements.items()}
        over = {id_: each.progress == 100 for id_, each in anna.player.achievements.items()}
        open_ = {id_: met[id_] for id_ in met if not over[id_]}
        results.append((over, open_, anna.paid(), anna.player.achievement_points))
        random.shuffle(happened)
    assert results[0] == results[1]


# -- against a slow one -------------------------------------------------------------------------------


@dataclass
class Both:
    """The quest of the rules, and the one of the reference."""

    anna: Earner
    slow: PlainQuest

    def agree(self) -> None:
        progress = self.anna.quest("q")
        assert set(progress.steps) == set(self.slow.opened)
        done = {id_: each.completed_at for id_, each in progress.steps.items() if each.completed_at}
        assert done == self.slow.done
        assert {id_: each.opened_at for id_, each in progress.steps.items()} == {
            id_: at for id_, (at, _) in self.slow.opened.items()
        }
        assert (progress.status is QuestStatus.COMPLETED) == self.slow.completed
        for each in self.slow.steps:
            if self.slow.is_open(each) and each.metric and not self.slow.completed:
                percent = 100 * self.slow.count(each) // each.threshold
                assert progress.steps[each.id].progress == percent


plain_steps = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from(["", *COUNTED]), st.integers(1, 4)),
    min_size=1,
    max_size=6,
).filter(lambda steps: any(not optional for _, optional, _, _ in steps))


@given(
    plain_steps,
    st.none() | st.integers(20, 80),
    st.lists(st.tuples(metrics, st.integers(-5, 40), st.integers(0, 3)), max_size=40),
)
@settings(max_examples=150)
def test_a_quest_goes_as_the_slow_one_does(
    drawn: list[tuple[int, bool, str, int]], limit: int | None, told: list[tuple[str, int, int]]
) -> None:
    steps = [PlainStep(f"s{n}", *each) for n, each in enumerate(drawn)]
    steps.sort(key=lambda each: each.order)
    time_limit = minutes(limit) if limit is not None else None
    defined = [
        step(
            each.id,
            *([reach(each.metric, each.threshold)] if each.metric else []),
            order=each.order,
            optional=each.optional,
        )
        for each in steps
    ]
    anna = Earner(
        catalogue(quest("q", *defined, time_limit=time_limit), achievement("noise", reach("kills", 99)))
    )
    anna.starts("q")
    deadline: datetime | None = NOON + time_limit if time_limit else None
    both = Both(anna, PlainQuest(steps, NOON, deadline))
    both.agree()
    for metric, ago, wait in told:
        anna.waits(minutes(wait))
        at = min(anna.now, anna.now - minutes(ago))
        anna.does(metric, at=at)
        both.slow.tell(metric, at)
        both.agree()
        waiting = [each for each in steps if not each.metric and both.slow.is_open(each)]
        if waiting and not both.slow.completed and (deadline is None or anna.now < deadline):
            anna.completes("q", waiting[0].id)
            both.slow.complete(waiting[0], anna.now)
            both.agree()

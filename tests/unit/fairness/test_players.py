"""What events do to a player: observations, what detectors remember, what counts among peers."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from services.fairness.domain.detector import Detector, Mode, Outlier
from services.fairness.domain.finding import Peers, Reading
from services.fairness.domain.happened import Limits, Observation, Occasion, Opened
from services.fairness.domain.peers import bucket_of
from services.fairness.domain.player import MOST_COUNTED, Draft, Player
from tests.unit.fairness.detecting import peers_of
from tests.unit.fairness.judging import BEGIN, World, detector

OUTLIER = replace(detector("far", Mode.SHADOW), rule=Outlier(3_500, 10, 1, 7))


def test_observations_are_numbered_and_kept() -> None:
    world = World.of(detector(most=9), detector("other", most=9), detector("off", Mode.OFF))
    first = world.hear("watch", "unknown", "off", value=2)
    second = world.hear("watch", "other")
    assert first.observations == [Observation("p", 1, "e1", BEGIN, {"watch": Reading(2)})]
    assert second.observations == [
        Observation("p", 2, "e2", BEGIN, {"watch": Reading(1), "other": Reading(1)})
    ]
    assert second.records == Counter({("watch", 1, "observations"): 1, ("other", 1, "observations"): 1})
    assert (world.player.observed, world.player.version, world.player.revision) == (2, 2, 0)
    # Nothing that anybody hears.
    world.hear("unknown")
    assert (world.player.observed, world.player.version) == (2, 2)


def test_with_other_rules_a_detector_begins_anew() -> None:
    world = World.of(detector(most=2))
    world.hear(value=2)
    world.detectors["watch"] = replace(world.detectors["watch"], version=2, rule_version=2)
    world.hear(value=2)
    assert not world.flags
    world.detectors["watch"] = replace(world.detectors["watch"], version=3)
    world.hear(value=2)
    assert (world.flag.detector_version, world.flag.rule_version) == (3, 2)


def test_one_event_may_raise_several_flags() -> None:
    world = World.of(detector("a"), detector("b", Mode.FLAG), detector("c", Mode.SHADOW))
    draft = world.hear()
    opened = [each for each in draft.log if isinstance(each, Opened)]
    assert [it.flag.detector_id for it in opened] == ["a", "b", "c"]
    assert {it.number for it in opened} == {1}
    assert len({it.flag.id for it in opened}) == 3
    assert [revision for revision, _ in draft.told] == [1, 2, 3, 4]


def observe(player: Player, *values: int, day: int = 0, peers: Peers | None = None) -> Draft:
    asked: list[tuple[str, str]] = []

    def of(found: Detector, group: str) -> Peers | None:
        asked.append((found.id, group))
        return peers

    now = BEGIN + timedelta(days=day)
    draft = Draft(player, Occasion(now, "event:e", {"far": OUTLIER}, of, Limits()))
    for n, value in enumerate(values):
        draft.observe(f"e{day}-{n}", now, {"far": Reading(value, 0, "kills")})
    assert asked == [("far", "kills")] * len(values)
    return draft


def test_no_player_alone_makes_what_is_usual() -> None:
    first = observe(Player("p"), *[7] * MOST_COUNTED, 8)
    assert first.values == {("far", "1 kills", bucket_of(7)): MOST_COUNTED}
    assert first.records["far", 1, "observations"] == MOST_COUNTED + 1
    assert not observe(first.player, 9).values
    tomorrow = observe(first.player, 9, day=1)
    assert tomorrow.values == {("far", "1 kills", bucket_of(9)): 1}


def test_an_outlier_is_compared_with_its_peers() -> None:
    peers = peers_of(*range(100, 120), group="kills")
    draft = observe(Player("p"), 110, 100_000, peers=peers)
    [opened] = [each for each in draft.log if isinstance(each, Opened)]
    assert opened.finding.peers == peers
    assert opened.number == 2


def test_a_draft_leaves_the_player_as_it_was() -> None:
    world = World.of(detector())
    world.hear()
    before = world.player
    copy = replace(
        before,
        tracks=dict(before.tracks),
        counted=dict(before.counted),
        flags=dict(before.flags),
        sanctions=dict(before.sanctions),
    )
    world.later(timedelta(hours=2)).hear()
    world.act(lambda it: it.block("Rude."))
    assert before == copy
    assert world.player != before

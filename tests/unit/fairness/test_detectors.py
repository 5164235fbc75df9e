"""What a detector may be: rules that say more than a field of the contract can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from arenamesh.liveops.v1 import detector_pb2
from google.protobuf.json_format import ParseDict

from services.chassis import validation
from services.chassis.errors import InvalidArgument
from services.fairness.detectors import read
from services.fairness.domain.detector import Mode, Ratio
from services.fairness.translate_in import LONGEST, MOST, same_rule, to_detector

SUMMARY = {"event": "combat.player_summary", "player": "player_id", "value": "shots"}
HITS = SUMMARY | {"value": "hits", "of": "shots"}
RATIO = {"honest_milli": "400", "cheat_milli": "800", "threshold_milli": "9000"}
FLOOD = {"rate_milli": "1", "burst": "1", "strikes": "1", "per": "60s"}
OUTLIER = {"threshold_milli": "3500", "least_peers": "100", "least_scale": "1", "days": 7}
DRIFT = {"baseline": 20, "allowance_milli": "500", "threshold_milli": "9000", "least_scale": "1"}
REPETITION = {"intervals": 20, "tolerance": "0.1s", "share_milli": "900", "longest": "60s"}
BASE = {"id": "d", "mode": "DETECTOR_MODE_SHADOW", "budget_milli": "1000", "reason": "Too much."}
BOUND = BASE | {"signals": [SUMMARY], "bound": {"most": "9", "per": "60s"}}
AIM = BASE | {"signals": [HITS], "ratio": RATIO}
A_YEAR = f"{LONGEST.days * 86_400 + 1}s"


def detector(fields: dict[str, Any]) -> detector_pb2.Detector:
    found = ParseDict(fields, detector_pb2.Detector())
    validation.check(found)
    return found


def signal(base: dict[str, Any], /, **fields: Any) -> dict[str, Any]:
    return base | {"signals": [base["signals"][0] | fields]}


def rule(kind: str, rule_fields: dict[str, Any], /, **fields: Any) -> dict[str, Any]:
    return BASE | {"signals": [HITS if kind == "ratio" else SUMMARY], kind: rule_fields | fields}


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a ratio of nothing": ("signals[0].of", signal(AIM, of="")),
    "a bound of something": ("signals[0].of", signal(BOUND, of="shots")),
    "peers of a ratio": ("signals[0].peers", signal(AIM, peers=["session_id"])),
    "a player that is not there": ("signals[0].player", signal(BOUND, player="user")),
    "a player that is a number": ("signals[0].player", signal(BOUND, player="shots")),
    "a value that is not there": ("signals[0].value", signal(BOUND, value="misses")),
    "trials that are not there": ("signals[0].of", signal(AIM, of="misses")),
    "elements that are not there": ("signals[0].each", signal(BOUND, each="results")),
    "peers that are not there": (
        "signals[0].peers[1]",
        signal(rule("outlier", OUTLIER), peers=["session_id", "mode"]),
    ),
    "a filter of what is not there": (
        "signals[0].filters[0].field",
        signal(BOUND, filters=[{"field": "mode", "values": ["duel"]}]),
    ),
    "a filter with NUL": (
        "signals[0].filters[0].values",
        signal(BOUND, filters=[{"field": "session_id", "values": ["\0"]}]),
    ),
    "a signal twice": ("signals[1]", BOUND | {"signals": [SUMMARY, SUMMARY]}),
    "no worse than honest": ("ratio.cheat_milli", rule("ratio", RATIO, cheat_milli="400")),
    "more than anybody counts": ("bound.most", rule("bound", {"per": "1s"}, most=str(MOST + 1))),
    "a threshold beyond": ("drift.threshold_milli", rule("drift", DRIFT, threshold_milli=str(MOST + 1))),
    "a budget beyond": ("budget_milli", BOUND | {"budget_milli": str(MOST + 1)}),
    "within no time": ("bound.per", rule("bound", {"most": "1"}, per="0s")),
    "within less than no time": ("flood.per", rule("flood", FLOOD, per="-1s")),
    "within more than a year": ("flood.per", rule("flood", FLOOD, per=A_YEAR)),
    "no tolerance": ("repetition.tolerance", rule("repetition", REPETITION, tolerance="0s")),
    "no break": ("repetition.longest", rule("repetition", REPETITION, longest=A_YEAR)),
    "all is alike": ("repetition.tolerance", rule("repetition", REPETITION, tolerance="60s")),
    "held for no time": ("hold", BOUND | {"hold": "0s"}),
    "held for more than a year": ("hold", BOUND | {"hold": A_YEAR}),
    "boards of which nothing is hidden": ("boards", BOUND | {"boards": ["kills"]}),
    "a title that no row holds": ("title", BOUND | {"title": "a\0b"}),
    "a reason that no row holds": ("reason", BOUND | {"reason": "a\0b"}),
}
RIGHT = [
    BOUND,
    AIM,
    rule("flood", FLOOD),
    rule("drift", DRIFT),
    rule("repetition", REPETITION),
    signal(rule("outlier", OUTLIER), peers=["session_id"]),
    signal(BOUND, event="studio.lap", player="who", value="ms"),
    BOUND | {"hold": f"{LONGEST.days * 86_400}s", "quarantine": True, "boards": ["kills"]},
]


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    path, fields = WRONG[case]
    with pytest.raises(InvalidArgument) as caught:
        to_detector(detector(fields), 1)
    assert [each.field for each in caught.value.violations] == [f"detector.{path}"]


def test_every_kind_of_rule_can_be_right() -> None:
    for fields in RIGHT:
        assert to_detector(detector(fields), 1).id == "d"


def test_it_is_what_it_says() -> None:
    found = to_detector(detector(AIM | {"version": "7"}), 5)
    assert (found.version, found.rule_version, found.mode) == (7, 5, Mode.SHADOW)
    assert found.rule == Ratio(400, 800, 9000)
    assert found.hold is None


def test_what_is_remembered_is_of_signals_and_rule_alone() -> None:
    aim = detector(AIM)
    assert same_rule(aim, detector(AIM | {"mode": "DETECTOR_MODE_BLOCK", "hold": "9s", "title": "Aim"}))
    assert not same_rule(aim, detector(rule("ratio", RATIO, threshold_milli="9001")))
    assert not same_rule(aim, detector(signal(AIM, value="headshots")))
    assert not same_rule(aim, detector(BOUND))


def test_a_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "detectors"
    folder.mkdir()
    (folder / "aim.json").write_text('{"id": "aim", "mode": "DETECTOR_MODE_SHADOW"}')
    with pytest.raises(ValueError, match=r"aim\.json: .*budget_milli"):
        read(tmp_path)

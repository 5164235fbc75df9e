"""What detectors find in events: paths, elements, filters, groups of peers, every kind of rule, and what
cannot be read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from arenamesh.events.v1 import combat_pb2, gamification_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from services.chassis.errors import InvalidArgument
from services.chassis.event_fields import payload
from services.fairness.domain.detector import (
    Bound,
    Catalogue,
    Detector,
    Drift,
    Filter,
    Flood,
    Mode,
    Outlier,
    Ratio,
    Repetition,
    Rule,
    Signal,
)
from services.fairness.domain.finding import Reading
from services.fairness.signals import Signals
from services.fairness.translate_in import MOST

SECOND = timedelta(seconds=1)
BOUND = Bound(100, SECOND)
FLOOD = Flood(1000, 1, 1, SECOND)
RATIO = Ratio(400, 800, 5000)
OUTLIER = Outlier(3500, 10, 1, 7)
DRIFT = Drift(8, 500, 5000, 1)
REPETITION = Repetition(8, SECOND, 900, 2 * SECOND)
SUMMARY = combat_pb2.CombatPlayerSummary(player_id="ann", shots=40, hits=30, moved_mm=900)
ENDED = combat_pb2.CombatSessionEnded(
    session_type="duel",
    results=[
        combat_pb2.CombatPlayerResult(player_id="ann", won=True, kills=7, deaths=2),
        combat_pb2.CombatPlayerResult(player_id="ben", deaths=7),
        combat_pb2.CombatPlayerResult(player_id="", kills=9),
    ],
)
EACH: dict[str, Any] = {"event": "combat.session_ended", "player": "player_id", "each": "results"}
PLAYED: dict[str, Any] = {"event": "combat.player_summary", "player": "player_id"}


def struct(**fields: Any) -> Struct:
    return ParseDict(fields, Struct())


def detector(rule: Rule, *signals: Signal, id_: str = "d", mode: Mode = Mode.SHADOW) -> Detector:
    return Detector(id_, 1, 1, mode, signals, rule, False, (), None, "because")


def found(type_: str, data: Message, *detectors: Detector) -> dict[str, dict[str, Reading]]:
    envelope = Envelope(id="e1", type=type_)
    envelope.data.Pack(data)
    signals = Signals(Catalogue(1, {each.id: each for each in detectors}))
    read = signals.read(envelope, payload(envelope)) if signals.name(type_) else {}
    return {player: dict(readings) for player, readings in read.items()}


def of_ann(rule: Rule, type_: str, data: Message, *signals: Signal) -> Reading | None:
    return found(type_, data, detector(rule, *signals)).get("ann", {}).get("d")


SHOTS = Signal(**PLAYED, value="hits", of="shots")
READ: dict[str, tuple[Rule, str, Message, tuple[Signal, ...], Reading | None]] = {
    "how often": (FLOOD, "combat.player_summary", SUMMARY, (Signal(**PLAYED),), Reading(1)),
    "a number": (BOUND, "combat.player_summary", SUMMARY, (Signal(**PLAYED, value="hits"),), Reading(30)),
    "a ratio": (RATIO, "combat.player_summary", SUMMARY, (SHOTS,), Reading(30, 40)),
    "no trials": (
        RATIO,
        "combat.player_summary",
        combat_pb2.CombatPlayerSummary(player_id="ann"),
        (SHOTS,),
        None,
    ),
    "more hits than shots": (
        RATIO,
        "combat.player_summary",
        combat_pb2.CombatPlayerSummary(player_id="ann", shots=2, hits=9),
        (SHOTS,),
        Reading(2, 2),
    ),
    "nothing to add up": (
        BOUND,
        "combat.player_summary",
        SUMMARY,
        (Signal(**PLAYED, value="headshots"),),
        None,
    ),
    "nothing, which is less than usual": (
        DRIFT,
        "combat.player_summary",
        SUMMARY,
        (Signal(**PLAYED, value="headshots"),),
        Reading(0),
    ),
    "an element": (BOUND, "combat.session_ended", ENDED, (Signal(**EACH, value="kills"),), Reading(7)),
    "two signals add up": (
        BOUND,
        "combat.session_ended",
        ENDED,
        (Signal(**EACH, value="kills"), Signal(**EACH, value="deaths")),
        Reading(9),
    ),
    "the one that is farther up": (
        OUTLIER,
        "combat.session_ended",
        ENDED,
        (Signal(**EACH, value="deaths"), Signal(**EACH, value="kills", peers=("session_type",))),
        Reading(7, 0, '["duel"]'),
    ),
    "it happened": (
        REPETITION,
        "combat.session_ended",
        ENDED,
        (Signal(**EACH), Signal(**EACH, value="won")),
        Reading(1),
    ),
    "a filter": (
        FLOOD,
        "combat.session_ended",
        ENDED,
        (Signal(**EACH, filters=(Filter("won", frozenset({"false"})),)),),
        None,
    ),
    "peers of nothing": (
        OUTLIER,
        "studio.lap",
        struct(who="ann", ms=10),
        (Signal("studio.lap", "who", value="ms", peers=("track", "ms")),),
        Reading(10, 0, '["","10"]'),
    ),
    "more than anybody counts": (
        BOUND,
        "studio.lap",
        struct(who="ann", ms="9" * 30),
        (Signal("studio.lap", "who", value="ms"),),
        Reading(MOST),
    ),
    "less than nothing": (
        BOUND,
        "liveops.score",
        liveops_pb2.LiveopsScore(player_id="ann", score=-5),
        (Signal("liveops.score", "player_id", value="score"),),
        None,
    ),
    "an impossible gain": (
        BOUND,
        "gamification.impossible_gain",
        gamification_pb2.ImpossibleGain(user_id="ann", value=10**15, reached=3),
        (Signal("gamification.impossible_gain", "user_id"),),
        Reading(1),
    ),
    "what ingest refused": (
        BOUND,
        "liveops.refused",
        liveops_pb2.LiveopsRefused(player_id="ann", duplicates=12),
        (Signal("liveops.refused", "player_id", value="duplicates"),),
        Reading(12),
    ),
    "another event": (BOUND, "combat.kill", combat_pb2.CombatKill(killer_id="ann"), (SHOTS,), None),
}


@pytest.mark.parametrize("case", READ)
def test_it_reads(case: str) -> None:
    rule, type_, data, signals, reading = READ[case]
    assert of_ann(rule, type_, data, *signals) == reading


def test_one_event_says_something_of_many_players_to_many_detectors() -> None:
    kills = detector(BOUND, Signal(**EACH, value="kills"), id_="kills")
    deaths = detector(DRIFT, Signal(**EACH, value="deaths"), id_="deaths")
    assert found("combat.session_ended", ENDED, kills, deaths) == {
        "ann": {"kills": Reading(7), "deaths": Reading(2)},
        "ben": {"deaths": Reading(7)},
    }


def test_what_is_off_hears_nothing() -> None:
    off = detector(FLOOD, Signal(**PLAYED), mode=Mode.OFF)
    assert not Signals(Catalogue(1, {"d": off})).name("combat.player_summary")


def test_no_two_groups_are_written_alike() -> None:
    lap = Signal("studio.lap", "who", value="ms", peers=("a", "b"))
    groups = {
        reading.group
        for a, b in [('x","y', ""), ("x", "y"), ("x,y", ""), ("", "x,y")]
        if (reading := of_ann(OUTLIER, "studio.lap", struct(who="ann", ms=1, a=a, b=b), lap))
    }
    assert len(groups) == 4


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("who", {"who": "a b", "ms": 1}),
        ("who", {"who": 7, "ms": 1}),
        ("ms", {"who": "ann", "ms": "fast"}),
        ("ms", {"who": "ann", "ms": 1.5}),
        ("track", {"who": "ann", "ms": 1, "track": "x" * 510}),
    ],
)
def test_what_cannot_be_read_names_its_field(field: str, fields: dict[str, Any]) -> None:
    lap = Signal("studio.lap", "who", value="ms", peers=("track",))
    with pytest.raises(InvalidArgument) as caught:
        of_ann(OUTLIER, "studio.lap", struct(**fields), lap)
    assert caught.value.reason == "EVENT_MALFORMED"
    assert caught.value.violations[0].field == field

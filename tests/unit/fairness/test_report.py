"""The simulated population and what is said of it: its events are read as real ones are, detectors find what
was planted and keep to their budgets, and the figures are right."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from arenamesh.events.v1 import combat_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.event_fields import EVENTS
from services.fairness import main
from services.fairness.domain.detector import Bound, Catalogue, Mode
from services.fairness.domain.finding import Reading
from services.fairness.report.day import events_of
from services.fairness.report.figures import MEANT_FOR, expected_precision, figures, found
from services.fairness.report.people import Kind, people
from services.fairness.report.tables import Stream, Table, stream
from services.fairness.report.watch import Watched, watch
from services.fairness.signals import Signals
from tests.unit.fairness.test_ready_detectors import READY

PLAYER = {"gamification.impossible_gain": "user_id"}


@pytest.fixture(scope="module")
def day() -> Watched:
    """Three hundred players, of whom twelve cheat in each way."""
    return watch(READY.values(), people(300, seed=7, cheats_milli=40))


def test_most_cheats_are_found_whatever_they_do(day: Watched) -> None:
    assert {each.kind: each.planted for each in found(READY.values(), day)} == dict.fromkeys(
        (kind.value for kind in Kind), 12
    )
    for each in found(READY.values(), day):
        assert each.found >= 9, each
        # Machines that are as regular as people are only watched.
        assert each.followed >= (0 if each.kind == Kind.BOT.value else 7), each


def test_honest_players_are_flagged_no_more_often_than_is_allowed(day: Watched) -> None:
    for row in figures(READY.values(), day, 0.01):
        assert row.within_budget, row
        if READY[row.detector].mode > Mode.SHADOW:
            assert row.false == 0, row


def test_every_flag_is_found_again_from_its_evidence(day: Watched) -> None:
    rows = figures(READY.values(), day, 0.01)
    assert all(row.replayed == row.flags for row in rows)
    assert sum(row.flags for row in rows) > 80


def test_every_detector_is_for_some_kind_of_cheat() -> None:
    assert MEANT_FOR.keys() == READY.keys()
    assert set().union(*MEANT_FOR.values()) == set(Kind)


def test_simulated_events_say_what_real_ones_say() -> None:
    """Of one cheat of each kind and some honest players, every event of the day as a message."""
    signals = Signals(Catalogue(1, READY))
    told = set()
    for person, draw in people(26, seed=7, cheats_milli=40):
        tables = events_of(person, draw)
        told |= {table.event for table in tables}
        heard: defaultdict[str, list[tuple[int, Reading]]] = defaultdict(list)
        for table in tables:
            for row in range(0, len(table.at), 1 + len(table.at) // 200):  # some of long ones
                readings = signals.read(Envelope(type=table.event), _message(table, row, person.id))
                for id_, reading in readings.get(person.id, {}).items():
                    heard[id_].append((int(table.at[row]), reading))
        some = [_some(table) for table in tables]
        for id_, detector in READY.items():
            expected = sorted(heard[id_], key=lambda each: each[0])
            assert _inputs(stream(detector, some)) == expected, id_
    assert told == {signal.event for detector in READY.values() for signal in detector.signals}


def _some(table: Table) -> Table:
    step = 1 + len(table.at) // 200
    return Table(table.event, table.at[::step], {name: each[::step] for name, each in table.fields.items()})


def _message(table: Table, row: int, player: str) -> Any:
    fields: Mapping[str, Any] = {name: column[row].item() for name, column in table.fields.items()}
    if table.event == "combat.session_ended":
        ended = combat_pb2.CombatSessionEnded(end_reason=fields["end_reason"])
        ended.results.add(player_id=player, damage_dealt_milli=fields["damage_dealt_milli"])
        return ended
    return EVENTS[table.event](**{PLAYER.get(table.event, "player_id"): player}, **fields)


def _inputs(heard: Stream) -> list[tuple[int, Reading]]:
    groups = [""] * len(heard.at) if heard.groups is None else heard.groups.tolist()
    columns = zip(heard.at.tolist(), heard.value.tolist(), heard.of.tolist(), groups, strict=True)
    return [(at, Reading(value, of, group)) for at, value, of, group in columns]


def test_people_are_the_same_whoever_else_is_there() -> None:
    one, other = (
        [events_of(person, draw) for person, draw in people(n, seed=3, cheats_milli=0)] for n in (3, 5)
    )
    assert len(one) == 3
    for tables, same in zip(one, other[:3], strict=True):
        assert [(table.event, table.at.tolist()) for table in tables] == [
            (table.event, table.at.tolist()) for table in same
        ]


# -- figures ------------------------------------------------------------------------------------------


def test_a_good_test_is_worth_little_when_few_are_guilty() -> None:
    """Nine flags of ten are false with 93 % found, 7 % falsely, and one of a hundred guilty."""
    assert expected_precision(0.93, 0.07, 0.01) == pytest.approx(0.118, abs=5e-4)
    assert expected_precision(0.93, 0.07, 0.5) == pytest.approx(0.93)
    assert expected_precision(0, 0, 0.01) is None


def test_no_false_flag_on_one_day_is_no_promise(day: Watched) -> None:
    rows = {row.detector: row for row in figures(READY.values(), day, 0.01)}
    row = rows["speed"]
    assert (row.planted, row.false, row.precision) == (12, 0, 1.0)
    assert row.recall is not None
    others = 300 - 12
    assert row.expected_precision == expected_precision(row.recall, 3 / others, 0.01)


def test_what_is_found_of_others_is_false() -> None:
    """A detector of speed that flags everybody who stumbles."""
    strict = replace(READY["speed"], rule=Bound(0, timedelta(hours=1)))
    seen = watch([strict], people(60, seed=7, cheats_milli=50))
    (row,) = figures([strict], seen, 0.01)
    assert row.true == row.planted == 3
    assert row.false > 10
    assert not row.within_budget
    assert row.precision == row.true / (row.true + row.false)
    assert row.expected_precision == expected_precision(1.0, row.false / 57, 0.01)


# -- the command --------------------------------------------------------------------------------------


def test_the_command_tells_people_and_programs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    few = ["report", "--players", "20", "--seed", "5", "--cheats", "50"]
    assert main.main(few) == 0
    text, progress = capsys.readouterr()
    assert "A simulated day of 14 honest players and 6 cheats." in text
    assert "20 players in" in progress
    assert main.main([*few, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["detector"] for row in told["detectors"]] == sorted(READY)
    for row in told["detectors"]:
        assert f"{row['detector']} " in text
        assert row["flags"] == row["true"] + row["false"] == row["replayed"]

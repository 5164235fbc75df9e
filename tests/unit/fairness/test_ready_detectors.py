"""The detectors that come with the service: every file can be installed, fair bots are not flagged, and those
that cheat are."""

from __future__ import annotations

from collections import defaultdict

import pytest
from arenamesh.bots.cheat import Cheat

from services.chassis.event_fields import occurred_at, payload
from services.combat.statistics.events import Story
from services.fairness.detectors import read
from services.fairness.domain.detector import Catalogue, Detector, Flood, Mode, Ratio, Repetition
from services.fairness.domain.evidence import replay
from services.fairness.domain.finding import Input
from services.fairness.domain.summary import summary
from services.fairness.settings import FairnessSettings
from services.fairness.signals import Signals
from services.fairness.translate_in import to_detector
from tests.support.court import Court
from tests.support.journals import session_row
from tests.unit.fairness.detecting import Watched

READY = {
    message.id: to_detector(message, 1) for message in read(FairnessSettings.model_fields["data_dir"].default)
}


def test_there_is_one_for_everything_that_is_watched() -> None:
    assert len(READY) == 15
    assert {type(detector.rule) for detector in READY.values()} >= {Ratio, Flood, Repetition}
    acting = {id_ for id_, detector in READY.items() if detector.mode > Mode.FLAG}
    assert acting == {"flooding"}  # nothing else acts before a person has looked
    assert READY["flooding"].hold is not None  # and it ends by itself


@pytest.mark.parametrize("detector", READY.values(), ids=READY)
def test_what_is_told_to_players_is_a_sentence(detector: Detector) -> None:
    assert detector.reason[0].isupper()
    assert detector.reason.endswith(".")
    assert detector.title
    assert detector.budget_milli <= 1_000


def test_bots_that_play_fairly_are_not_flagged_and_those_that_cheat_are() -> None:
    court = Court("yard", bots=8, seed=20, cheats=(Cheat.AIM, Cheat.SPEED))
    court.run(45)
    story = Story(session_row("match", game_mode="deathmatch"), court.rules)
    story.feed(court.arena.take_journal())
    signals = Signals(Catalogue(1, READY))
    watched: dict[tuple[str, str], Watched] = {}
    heard: defaultdict[str, int] = defaultdict(int)
    for told in story.take_events():
        for player, readings in signals.read(told.envelope, payload(told.envelope)).items():
            for id_, reading in readings.items():
                heard[id_] += 1
                player_watched = watched.setdefault((player, id_), Watched(READY[id_]))
                player_watched.hear(Input(told.envelope.id, occurred_at(told.envelope), reading))
    assert min(heard["aim_headshots"], heard["aim_hits"], heard["aim_snaps"], heard["rewind_abuse"]) > 100
    flagged = {key: found.found for key, found in watched.items() if found.found}
    assert flagged.keys() == {("bot-0", "aim_headshots"), ("bot-1", "speed")}
    for found in (each for evidence in flagged.values() for each in evidence):
        assert replay(found).same
        assert "headshots" in summary(found) or "movement violations" in summary(found)

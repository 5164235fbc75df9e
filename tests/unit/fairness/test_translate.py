"""What is kept in the contract's words means the same when it is read again."""

from __future__ import annotations

import pytest
from arenamesh.liveops.v1 import detector_pb2, flag_pb2
from hypothesis import assume, settings
from hypothesis import given as hypothesis_given

from services.fairness import translate_out
from services.fairness.detectors import plain, read
from services.fairness.domain.detector import Outlier, Repetition, Rule
from services.fairness.domain.evidence import digest, replay
from services.fairness.settings import FairnessSettings
from services.fairness.translate_evidence import encode, of_message
from services.fairness.translate_in import to_detector
from tests.unit.fairness.detecting import HISTORIES, RULES, Watched, detector, inputs_of, peers_of

READY = {each.id: each for each in read(FairnessSettings().data_dir)}
PEERS = peers_of(*range(1, 13), 1_000, group='["kills"]')


def test_there_is_something_to_check() -> None:
    assert len(READY) >= 8


@pytest.mark.parametrize("id_", READY)
def test_a_detector_is_what_was_given(id_: str) -> None:
    given = detector_pb2.Detector()
    given.CopyFrom(READY[id_])
    given.version = 7
    for signal in given.signals:
        for each in signal.filters:
            each.values.sort()
    found = to_detector(given, 5)
    assert translate_out.detector(found) == given
    assert plain(given) == plain(translate_out.detector(found))


@settings(max_examples=80)
@hypothesis_given(RULES, HISTORIES)
def test_evidence_that_was_kept_is_found_again(rule: Rule, history: list[tuple[int, int, int]]) -> None:
    assume(not isinstance(rule, Repetition) or rule.tolerance)
    watched = Watched(detector(rule))
    for each in inputs_of(history):
        watched.hear(each, PEERS if isinstance(rule, Outlier) else None)
    for found in watched.found:
        message = flag_pb2.Evidence.FromString(encode(found))
        again = of_message(message)
        assert digest(again) == found.digest == message.digest
        assert replay(again) == replay(found)
        assert message.summary

"""The checker finds what it is there to find, in histories made by hand."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from arenamesh.combat.v1 import journal_pb2, verdict_pb2

from tests.chaos.checker import STUCK_S, Findings, check, lives, pause, recovery
from tests.chaos.history import History, Recorder, Told, load
from tests.chaos.journal import Journal, Segment

ACCEPTED = verdict_pb2.OUTCOME_ACCEPTED
REJECTED = verdict_pb2.OUTCOME_REJECTED


def segment(
    first: int, *commands: tuple[int, int], epoch: int = 1, join: str = "", leave: bool = False
) -> Segment:
    """Accepted commands (seat, sequence), in order from record `first` on. `join` sits down in seat 0 before
    them; with `leave`, whoever sits there gets up after them."""
    records = []
    if join:
        records.append(journal_pb2.JournalRecord(join=journal_pb2.JoinRecord(slot=0, player_id=join)))
    for slot, sequence in commands:
        verdict = verdict_pb2.Verdict(slot=slot, sequence=sequence, outcome=ACCEPTED)
        records.append(journal_pb2.JournalRecord(command=journal_pb2.CommandRecord(verdict=verdict)))
    if leave:
        records.append(journal_pb2.JournalRecord(leave=journal_pb2.LeaveRecord(slot=0)))
    for offset, record in enumerate(records):
        record.sequence = first + offset
    payload = journal_pb2.JournalSegment(records=records).SerializeToString()
    return Segment(first, first + len(records) - 1, epoch, payload, zlib.crc32(payload))


def journal(*segments: Segment, status: str = "ACTIVE") -> Journal:
    return Journal("s", status, segments[-1].epoch, segments[-1].last, list(segments))


def told(slot: int, sequence: int, record: int, outcome: int = ACCEPTED, durable: bool = True) -> Told:
    return Told(slot, sequence, record, outcome, durable)


class Script:
    """A history under hand-set time."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path / "history.jsonl"
        self.recorder = Recorder(self._path)
        self.at = 0.0
        monkeypatch.setattr(self.recorder, "now", lambda: self.at)

    def acknowledged(self, *verdicts: Told, after: float = 0.01) -> None:
        op = self.recorder.invoke("play", "s", [(told.slot, told.sequence) for told in verdicts])
        self.at += after
        self.recorder.ok(op, "s", verdicts)

    def read(self) -> History:
        self.recorder.close()
        return load(self._path)

    def check(self, *segments: Segment, status: str = "ACTIVE") -> Findings:
        return check(self.read(), {"s": journal(*segments, status=status)})


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(tmp_path, monkeypatch)


def only(findings: Findings, kind: str) -> str:
    """The one sentence of the one kind."""
    assert {name for name, count in findings.counts().items() if count} == {kind}, findings.sentences()
    (sentence,) = getattr(findings, kind)
    return str(sentence)


def test_a_history_that_agrees_is_good(script: Script) -> None:
    script.acknowledged(told(0, 1, 1), told(1, 1, 2))
    script.acknowledged(told(0, 2, 3))
    findings = script.check(segment(1, (0, 1), (1, 1)), segment(3, (0, 2), epoch=2))
    assert findings.good, findings.sentences()


def test_an_acknowledged_command_that_is_gone_is_lost(script: Script) -> None:
    script.acknowledged(told(0, 1, 1))
    script.acknowledged(told(0, 2, 2))
    assert "command 2 of seat 0" in only(script.check(segment(1, (0, 1))), "lost")


def test_another_outcome_than_was_told_is_lost(script: Script) -> None:
    script.acknowledged(told(0, 1, 1, REJECTED))
    assert "outcome 3, has outcome 1" in only(script.check(segment(1, (0, 1))), "lost")


def test_a_verdict_heard_of_a_call_that_failed_counts_too(script: Script) -> None:
    op = script.recorder.invoke("play", "s", [(0, 1), (0, 2)])
    script.recorder.info(op, "the match broke", [told(0, 1, 1)])
    only(script.check(segment(1, (5, 5))), "lost")


def test_volatile_and_refused_commands_may_be_gone(script: Script) -> None:
    script.acknowledged(told(0, 1, 1), told(0, 2, 2, durable=False), told(0, 3, 0, REJECTED))
    assert script.check(segment(1, (0, 1))).good


def test_a_command_in_two_records_is_doubled(script: Script) -> None:
    script.acknowledged(told(0, 1, 1))
    assert "records 1 and 2" in only(script.check(segment(1, (0, 1), (0, 1))), "doubled")


def test_numbers_begin_anew_with_the_next_player_of_a_seat(script: Script) -> None:
    script.acknowledged(told(0, 1, 2))
    assert script.check(segment(1, (0, 1), join="ann"), segment(3, (0, 1), join="ben")).good


def test_one_number_told_to_two_commands_is_a_fork(script: Script) -> None:
    script.acknowledged(told(0, 1, 1))
    script.acknowledged(told(1, 7, 1))
    findings = script.check(segment(1, (0, 1)))
    assert "command 1 of seat 0 and command 7 of seat 1" in findings.forked[0]
    assert len(findings.lost) == 1


def test_a_command_at_another_record_than_told_is_a_fork(script: Script) -> None:
    script.acknowledged(told(0, 1, 1))
    only(script.check(segment(1, (1, 1), (0, 1))), "forked")


def test_a_gap_an_overlap_and_an_epoch_that_falls_are_forks(script: Script) -> None:
    history = script.read()

    def found(*segments: Segment) -> list[str]:
        return check(history, {"s": journal(*segments)}).forked

    assert "segment 3-3 follows 1" in found(segment(1, (0, 1)), segment(3, (0, 2)))[0]
    assert "segment 1-1 follows 1" in found(segment(1, (0, 1)), segment(1, (0, 2)))[0]
    assert "of epoch 1, after 2" in found(segment(1, (0, 1), epoch=2), segment(2, (0, 2), epoch=1))[0]


def test_a_segment_that_was_altered_is_a_fork(script: Script) -> None:
    altered = segment(1, (0, 1))
    altered.checksum ^= 1
    assert "checksum" in only(script.check(altered), "forked")


def test_a_row_ahead_of_its_journal_is_a_fork(script: Script) -> None:
    ahead = journal(segment(1, (0, 1)))
    ahead.sequence = 2
    assert len(check(script.read(), {"s": ahead}).forked) == 2


@pytest.mark.parametrize(
    ("call", "player"), [("create", ""), ("join", "zoe"), ("end", "")], ids=["create", "join", "end"]
)
def test_what_other_calls_were_told_must_hold(script: Script, call: str, player: str) -> None:
    script.recorder.ok(script.recorder.invoke(call, "s", player=player), "s")
    only(check(script.read(), {}), "lost")


def test_a_player_who_loses_the_seat_is_lost(script: Script) -> None:
    script.recorder.ok(script.recorder.invoke("join", "s", player="ann"), "s")
    assert "ann lost the seat" in only(script.check(segment(1, (0, 1), join="ann", leave=True)), "lost")


def test_calls_that_hold_are_good(script: Script) -> None:
    for call, player in (("create", ""), ("join", "ann"), ("end", "")):
        script.recorder.ok(script.recorder.invoke(call, "s", player=player), "s")
    assert script.check(segment(1, (0, 1), join="ann"), status="ENDED").good


def faulted(script: Script, *, load: float = 500.0, silent: float) -> History:
    """A fault at 2 s that heals at 3 s; the session is silent for so long from the fault on."""
    for number in range(1, 400):
        script.at = number * 0.1
        if number == 20:
            script.recorder.fault(0, "worker-kill", ["w0"], ["s"], load)
        if number == 30:
            script.recorder.healed(0)
        if not 2.0 <= script.at < 2.0 + silent:
            script.acknowledged(told(0, number, number))
    return script.read()


def all_of(count: int) -> dict[str, Journal]:
    return {"s": journal(segment(1, *((0, number) for number in range(1, count))))}


def test_a_session_that_comes_back_is_not_stuck(script: Script) -> None:
    history = faulted(script, silent=1.5)
    assert check(history, all_of(400)).good
    (life,) = lives(history).values()
    assert recovery(life, history.faults[0]) == pytest.approx(1.51, abs=0.02)
    assert pause(life, 2.0, 3.0) == pytest.approx(1.6, abs=0.02)


def test_a_session_that_stays_away_is_stuck(script: Script) -> None:
    findings = check(faulted(script, silent=STUCK_S + 2), all_of(400))
    assert "worker-kill at 2.0 s" in only(findings, "stuck")


def test_a_mesh_that_never_heals_is_stuck(script: Script) -> None:
    script.acknowledged(told(0, 1, 1))
    script.recorder.fault(0, "envoy-kill", ["envoy"], ["s"], 500)
    assert "never recovered" in only(script.check(segment(1, (0, 1))), "stuck")


def test_too_little_load_before_a_fault_proves_nothing(script: Script) -> None:
    findings = check(faulted(script, silent=0.5, load=99), all_of(400))
    assert "99 commands/s" in only(findings, "void")


def test_an_answer_to_something_sent_before_the_fault_is_no_recovery(script: Script) -> None:
    script.acknowledged(told(0, 1, 1))
    early = script.recorder.invoke("play", "s", [(0, 2)])
    script.at = 1.0
    script.recorder.fault(0, "worker-kill", ["w0"], ["s"], 500)
    script.at = 1.1
    script.recorder.ok(early, "s", [told(0, 2, 2)])
    script.at = 2.0
    script.acknowledged(told(0, 3, 3), after=0.5)
    script.recorder.healed(0)
    history = script.read()
    assert recovery(lives(history)["s"], history.faults[0]) == pytest.approx(1.5)

"""The log's chain: whatever is changed, taken out, put in or exchanged is found."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.fairness.domain.audit import GENESIS, Chain, Entry, Head, Line, chained, entry, hash_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lines() -> tuple[list[Line], Head]:
    return chained(
        Head(),
        [
            entry(AT, "detector:watch@1", "flag.opened", player_id="p", flag_id="f-1", evidence="ab"),
            entry(AT + timedelta(microseconds=1), "operator:ann", "flag.decided", player_id="p", reason="é"),
            entry(AT + timedelta(hours=1), "service:fairness", "sanction.ended", player_id="q"),
        ],
    )


def faults(found: list[Line], head: Head) -> list[str]:
    chain = Chain()
    all_ = [fault for line in found for fault in chain.faults(line)]
    return all_ + list(chain.faults_at_end(head))


def test_the_first_hash_by_hand() -> None:
    [first, *_], _ = lines()
    texts = ["00" * 32, "1", "1772366400000000", "detector:watch@1", "flag.opened", "p", "f-1"]
    texts.append('{"evidence":"ab"}')
    form = b"".join(len(text.encode()).to_bytes(4, "big") + text.encode() for text in texts)
    assert first.hash == hashlib.sha256(form).digest()
    assert first.previous == GENESIS


def test_as_it_was_written() -> None:
    found, head = lines()
    assert [line.sequence for line in found] == [1, 2, 3]
    assert head == Head(3, found[-1].hash)
    assert not faults(found, head)
    assert not faults([], Head())


def test_it_goes_on_where_it_ended() -> None:
    found, head = lines()
    more, end = chained(head, [entry(AT, "operator:bob", "sanction.began")])
    assert not faults(found + more, end)


@pytest.mark.parametrize("which", range(3))
def test_each_changed_byte_is_found(which: int) -> None:
    found, head = lines()
    for changed in _changes(found[which]):
        assert faults([*found[:which], changed, *found[which + 1 :]], head), changed


def _changes(line: Line) -> list[Line]:
    """Each byte of each text and hash, the sequence and the time."""
    it = line.entry
    found = [replace(line, sequence=line.sequence + 1)]
    found.append(replace(line, entry=replace(it, at=it.at + timedelta(microseconds=1))))
    for name in ("actor", "action", "player_id", "flag_id", "details"):
        text: str = getattr(it, name)
        for n in range(len(text)):
            other = text[:n] + chr(ord(text[n]) ^ 1) + text[n + 1 :]
            found.append(replace(line, entry=_with(it, name, other)))
        found.append(replace(line, entry=_with(it, name, text + " ")))
    for n in range(32):
        found.append(replace(line, previous=_flipped(line.previous, n)))
        found.append(replace(line, hash=_flipped(line.hash, n)))
    return found


def _with(it: Entry, name: str, text: str) -> Entry:
    fields: dict[str, Any] = {name: text}
    return replace(it, **fields)


def _flipped(of: bytes, n: int) -> bytes:
    return of[:n] + bytes([of[n] ^ 1]) + of[n + 1 :]


@pytest.mark.parametrize("which", range(3))
def test_each_line_taken_out_is_found(which: int) -> None:
    found, head = lines()
    assert faults(found[:which] + found[which + 1 :], head)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 2)])
def test_each_exchange_is_found(one: int, other: int) -> None:
    found, head = lines()
    found[one], found[other] = found[other], found[one]
    assert faults(found, head)
    # Also when the numbers are put right.
    found = [replace(line, sequence=n) for n, line in enumerate(found, 1)]
    assert faults(found, head)


def test_a_line_put_in_is_found_though_it_fits() -> None:
    found, head = lines()
    more, _ = chained(head, [entry(AT, "operator:bob", "sanction.ended")])
    assert faults(found + more, head)


def test_fields_do_not_run_into_each_other() -> None:
    one = Entry(AT, "operator:a", "b", "c", "", "{}")
    hashes = {
        hash_of(GENESIS, 1, it)
        for it in (
            one,
            replace(one, actor="operator:ab", action=""),
            replace(one, player_id="", flag_id="c"),
            replace(one, flag_id="{}", details=""),
        )
    }
    assert len(hashes) == 4

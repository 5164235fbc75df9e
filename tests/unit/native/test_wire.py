"""The Play codec against its twin and against the protobuf runtime."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from arenamesh.combat.v1 import journal_pb2, play_pb2, verdict_pb2
from hypothesis import given
from hypothesis import strategies as st

from native import probe
from native.reference import wire
from native.reference.wire import Hit, Verdict, WireError
from tests.fuzz import answers, frames
from tests.fuzz.oracle import check, outcome
from tests.support.draw import Draw, cases, draws


def command(**fields: object) -> bytes:
    fields = {"slot": 3, "sequence": 1} | fields
    return play_pb2.PlayRequest(commands=[play_pb2.Command(**fields)]).SerializeToString()  # type: ignore[arg-type]


def reason(data: bytes) -> int:
    return probe.decode(data).commands[0].reason


# ---- reading ------------------------------------------------------------------------------------------


@cases(draws)
def test_reads_as_protobuf_does(draw: Draw) -> None:
    check(frames.draw(draw))


@cases(draws)
def test_random_bytes(draw: Draw) -> None:
    check(draw.randbytes(draw.whole(0, 200)))


@cases(draws)
def test_reads_what_protobuf_wrote(draw: Draw) -> None:
    request = frames.valid(draw)
    data = request.SerializeToString()
    check(data)
    frame = probe.decode(data)
    assert frame.command_count == len(request.commands)
    assert [given.raw for given in frame.commands] == [one.SerializeToString() for one in request.commands]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x10", "TRUNCATED"),
        (b"\x10\x80", "TRUNCATED"),
        (b"\x32\x05\x08\x01", "TRUNCATED"),
        (b"\x32\x02\x32\x01", "TRUNCATED"),
        (b"\x32\x07\x32\x05\x15\x00\x00\x80", "TRUNCATED"),
        (b"\x13", "TRUNCATED"),
        (b"\x10" + b"\x80" * 10 + b"\x01", "TOO_LONG"),
        (b"\x90\x80\x80\x80\x80\x00\x05", "TOO_LONG"),
        (b"\x0a\x80\x80\x80\x80\x80\x00", "TOO_LONG"),
        (b"\x00\x05", "BAD_TAG"),
        (b"\x90\x80\x80\x80\x10\x05", "BAD_TAG"),
        (b"\x16\x05", "BAD_TAG"),
        (b"\x17\x05", "BAD_TAG"),
        (b"\x14", "BAD_TAG"),
        (b"\x13\x1c", "BAD_TAG"),
        (b"\x0a\x03\x0a\x01\xff", "BAD_TEXT"),
        (b"\x0a\x05\x0a\x03\xed\xa0\x80", "BAD_TEXT"),
        (b"\x13" * 101 + b"\x14" * 101, "TOO_DEEP"),
        (b"\x32\xc8\x01" + b"\x13" * 100 + b"\x14" * 100, "TOO_DEEP"),
        (b"\x32\x00" * 1025, "TOO_MANY"),
    ],
)
def test_refuses(data: bytes, status: str) -> None:
    check(data)
    with pytest.raises(ValueError, match=f"^{status}$"):
        probe.decode(data)
    with pytest.raises(WireError, match=f"^{status}$"):
        wire.read_frame(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x10" + b"\xff" * 9 + b"\x7f",  # the tenth byte's upper bits fall away
        b"\x18" + b"\xff" * 9 + b"\x01",  # cut to 32 bits
        b"\x10\x85\x80\x00",  # longer than needed
        b"\x90\x80\x80\x80\x00\x05",
        b"\x15\x00\x00\x00\x00",  # `frame` as fixed32: unknown
        b"\x08\x01\x30\x01",  # messages as numbers: unknown
        b"\x13\x0a\x01\xff\x14",  # inside a group nothing is looked at
        b"\x13\x00\x01\x14",
        b"\x13" * 100 + b"\x14" * 100,
        b"\x32\xc6\x01" + b"\x13" * 99 + b"\x14" * 99,
        b"\x10\x01\x10\x02",  # the last one wins
        b"\x32\x08\x32\x02\x08\x03\x2a\x00\x32\x00",  # the last kind wins, what was before is gone
        b"\x32\x0b\x32\x02\x08\x03\x32\x05\x15\x00\x00\x80\x3f",  # the same kind merges
        b"\x32\x07\x32\x05\x3a\x03\xff\xff\xff",  # unknown bytes in a Shot are not a message
        b"\x32\x07\x2a\x05\x0a\x03\xff\xff\xff",  # nor text in a Move
        b"\x32\x00" * 1024,
        b"\xfa\x06\x80\x00" + b"\xf9\x06" + b"\x00" * 8,
    ],
)
def test_accepts(data: bytes) -> None:
    check(data)
    probe.decode(data)


def test_every_prefix_of_a_frame() -> None:
    rng = random.Random(1)
    for _ in range(20):
        data = frames.valid(rng).SerializeToString()
        for size in range(len(data)):
            check(data[:size])


def test_kinds_are_merged_and_replaced() -> None:
    first = play_pb2.Command(shot=play_pb2.Shot(weapon=3, origin_x=1.0)).SerializeToString()
    second = play_pb2.Command(shot=play_pb2.Shot(direction_z=1.0)).SerializeToString()
    other = play_pb2.Command(sequence=1, action=play_pb2.Action(action=2)).SerializeToString()

    def body(raw: bytes) -> object:
        return probe.decode(wire.sized_field(6, raw)).commands[0].body

    assert body(first + second) == (3, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert body(first + other) == (2, 0, 0.0, 0.0, 0.0)
    assert body(first + other + second) == (0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


Fields = dict[str, object]
GOOD_SHOT: Fields = {"direction_x": 1.0}
GOOD_DAMAGE: Fields = {"amount_milli": 1, "source": 1}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        *[
            ("shot", GOOD_SHOT | {f"origin_{axis}": bad}, 7)
            for axis in "xyz"
            for bad in (math.nan, -math.inf)
        ],
        *[
            ("shot", GOOD_SHOT | {f"direction_{axis}": bad}, 7)
            for axis in "xyz"
            for bad in (math.nan, math.inf)
        ],
        ("shot", {}, 7),
        ("shot", {"direction_y": 0.0009}, 7),
        ("shot", {"direction_y": 0.00101}, 0),
        ("shot", {"direction_z": -1000.0}, 0),
        ("shot", {"direction_z": 1000.1}, 7),
        ("shot", {"direction_x": 3e38, "direction_y": 3e38}, 7),
        ("move", {}, 0),
        *[("move", {name: math.nan}, 7) for name in ("x", "y", "z", "yaw", "pitch")],
        *[("move", {name: math.inf}, 7) for name in ("x", "y", "z", "yaw", "pitch")],
        ("move", {"yaw": -2000 * math.pi, "pitch": math.pi / 2, "mode": 6}, 0),
        ("move", {"yaw": 6284.0}, 7),
        ("move", {"pitch": -1.571}, 7),
        ("move", {"mode": 7}, 7),
        ("move", {"mode": -1}, 7),
        ("move", {"client_time_us": 2**53 - 1}, 0),
        ("move", {"client_time_us": 2**53}, 7),
        ("move", {"client_time_us": 2**64 - 1}, 7),
        ("action", {}, 0),
        *[("action", {axis: bad}, 7) for axis in "xyz" for bad in (math.nan, math.inf)],
        ("damage", GOOD_DAMAGE, 0),
        ("damage", GOOD_DAMAGE | {"amount_milli": 0}, 7),
        ("damage", GOOD_DAMAGE | {"amount_milli": 1_000_000_000, "source": 2}, 0),
        ("damage", GOOD_DAMAGE | {"amount_milli": 1_000_000_001}, 7),
        ("damage", GOOD_DAMAGE | {"source": 0}, 7),
        ("damage", GOOD_DAMAGE | {"source": 3}, 7),
    ],
)
def test_ranges(kind: str, fields: Fields, expected: int) -> None:
    message = {
        "shot": play_pb2.Shot,
        "move": play_pb2.Move,
        "action": play_pb2.Action,
        "damage": play_pb2.Damage,
    }
    body = message[kind](**fields)
    data = command(**{kind: body})
    check(data)
    assert reason(data) == expected
    assert reason(command(**{kind: body, "view_fraction": 65535})) == expected
    assert reason(command(**{kind: body, "view_fraction": 65536})) == verdict_pb2.REASON_OUT_OF_RANGE
    assert reason(command(**{kind: body, "sequence": 0})) == verdict_pb2.REASON_BAD_SEQUENCE


def test_a_command_of_no_kind() -> None:
    assert reason(command()) == verdict_pb2.REASON_NO_KIND


def test_limit_of_commands_is_the_callers() -> None:
    data = b"\x32\x00" * 3
    assert len(probe.decode(data, 3).commands) == 3
    with pytest.raises(ValueError, match="TOO_MANY"):
        probe.decode(data, 2)
    assert outcome(wire.read_frame, data, 2) == "TOO_MANY"


def test_many_frames_in_blocks_of_exactly_their_size() -> None:
    """The short form of `scripts/fuzz`."""
    rng = random.Random(20_000)
    accepted = 0
    for i in range(20_000):
        data = frames.draw(rng)
        native = outcome(probe.decode, data)
        accepted += not isinstance(native, str)
        if i % 10 == 0:
            check(data)
    assert 4_000 < accepted < 16_000


# ---- writing ------------------------------------------------------------------------------------------


@cases(draws)
def test_verdicts(draw: Draw) -> None:
    verdict = answers.verdict(draw)
    writer = probe.Writer(4096)
    assert writer.verdict(5, verdict)
    data = writer.value()
    assert data == wire.sized_field(5, wire.encode_verdict(verdict))
    response = play_pb2.PlayResponse.FromString(data)
    assert response.SerializeToString() == data
    (parsed,) = response.verdicts
    assert (parsed.slot, parsed.sequence, parsed.outcome) == verdict[:3]
    assert parsed.HasField("correction") == (verdict.correction is not None)
    assert [hit.dealt_milli for hit in parsed.hits] == [wire.clip(hit.dealt_milli) for hit in verdict.hits]


@cases(draws)
def test_a_full_buffer_keeps_whole_verdicts(draw: Draw) -> None:
    size = draw.randint(0, 600)
    writer = probe.Writer(size)
    expected = b""
    for _ in range(3):
        verdict = answers.verdict(draw)
        field = wire.sized_field(5, wire.encode_verdict(verdict))
        fits = not writer.full and len(expected) + len(field) <= size
        assert writer.verdict(5, verdict) == fits
        expected += field if fits else b""
        assert writer.full == (not fits)
    assert writer.value() == expected


def test_more_hits_than_fit_are_left_out() -> None:
    writer = probe.Writer(4096)
    writer.verdict(5, Verdict(hits=(Hit(slot=1),) * 17))
    assert len(play_pb2.PlayResponse.FromString(writer.value()).verdicts[0].hits) == 16


@pytest.mark.parametrize(
    ("metres", "expected"),
    [
        (0.0, 0),
        (0.0005, 1),
        (1.2344, 1234),
        (-1.0, 0),
        (4294967.2949, 2**32 - 1),
        (1e300, 2**32 - 1),
        (math.nan, 0),
    ],
)
def test_millimetres(metres: float, expected: int) -> None:
    writer = probe.Writer(100)
    writer.verdict(5, Verdict(hits=(Hit(distance_m=metres),)))
    assert play_pb2.PlayResponse.FromString(writer.value()).verdicts[0].hits[0].distance_mm == expected
    assert wire.millimetres(metres) == expected


@cases(draws)
def test_packed_fields_and_nested_messages(draw: Draw) -> None:
    number = draw.getrandbits(draw.randint(1, 64))
    target_mm = [draw.randint(-(2**63), 2**63 - 1) >> draw.randrange(64) for _ in range(draw.randrange(40))]
    draws = [draw.getrandbits(32) for _ in range(draw.randrange(40))]
    expected = journal_pb2.CommandRecord(
        acked_snapshot=number & 0xFFFF_FFFF,
        evidence=journal_pb2.Evidence(claimed_view_us=number, target_mm=target_mm, draws=draws),
    )
    writer = probe.Writer(2048)
    writer.varint(2, expected.acked_snapshot)
    writer.begin(5)
    writer.varint(1, number)
    writer.packed_sints(3, array("q", target_mm))
    writer.packed_fixed32s(6, array("I", draws))
    writer.end()
    assert not writer.full
    assert writer.value() == expected.SerializeToString(deterministic=True)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 2_100_000])
def test_lengths_are_the_shortest(size: int) -> None:
    inside = wire.sized_field(1, bytes(size))
    writer = probe.Writer(size + 30)
    writer.begin(70_000)
    writer.begin(2)
    writer.octets(1, bytes(size))
    writer.end()
    writer.end()
    assert writer.value() == wire.sized_field(70_000, wire.sized_field(2, inside))


@given(st.integers(0, 40), st.integers(0, 12))
def test_overflow_takes_back_the_whole_message(size: int, inside: int) -> None:
    writer = probe.Writer(size)
    writer.varint(2, 5)
    head = wire.number_field(2, 5) if size >= 2 else b""
    message = wire.sized_field(6, wire.sized_field(3, wire.number_field(1, 300) * inside))
    writer.begin(6)
    writer.begin(3)
    for _ in range(inside):
        writer.varint(1, 300)
    writer.end()
    writer.end()
    fits = len(head) + len(message) <= size and bool(head)
    assert writer.value() == (head + message if fits else head)
    assert writer.full == (not fits)
    writer.varint(9, 1)
    assert writer.value().startswith(head)
    assert fits or writer.value() == head


def test_single_fields() -> None:
    writer = probe.Writer(200)
    writer.varint(1, 0)
    writer.sint(1, 0)
    writer.float32(1, 0.0)
    writer.float64(1, 0.0)
    writer.fixed32(1, 0)
    writer.fixed64(1, 0)
    assert writer.value() == b""
    writer.varint(1, 2**64 - 1)
    writer.varint_always(2, 0)
    writer.sint(3, -(2**63))
    writer.sint(3, -1)
    writer.sint_always(4, 0)
    writer.fixed32(5, 1)
    writer.fixed64(6, 1)
    writer.float32(7, -0.0)
    writer.float64(8, 1.5)
    writer.octets(9, b"abc")
    writer.raw(b"\x50\x01")
    assert writer.value() == (
        b"\x08" + b"\xff" * 9 + b"\x01\x10\x00\x18" + b"\xff" * 9 + b"\x01\x18\x01\x20\x00"
        b"\x2d\x01\x00\x00\x00\x31\x01\x00\x00\x00\x00\x00\x00\x00\x3d\x00\x00\x00\x80"
        b"\x41\x00\x00\x00\x00\x00\x00\xf8\x3f\x4a\x03abc\x50\x01"
    )

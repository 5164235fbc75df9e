"""The journal in SQL: rows of the view equal what protobuf says of the same records."""

import json
import math
import random
import struct
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from services.combat.durability import contract
from tests.support.journals import STARTED, add_segments, add_session, session_row
from tests.support.random_match import RandomMatch

SESSION = "match"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await contract.write(connection)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=read_json)
    yield connection
    await connection.close()


def read_json(text: str) -> Any:
    """Numbers as the doubles that they are to a reader of JSON."""
    return json.loads(text, parse_int=float)


def json_of(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message)


async def decoded(database: asyncpg.Connection, message: Message, data: bytes | None = None) -> Any:
    return await database.fetchval(
        "SELECT gameplay.protobuf_to_jsonb($1, $2)",
        message.DESCRIPTOR.full_name,
        message.SerializeToString() if data is None else data,
    )


async def test_the_tables_say_what_the_contract_says(database: asyncpg.Connection) -> None:
    fields = await database.fetch("SELECT * FROM gameplay.protobuf_fields")
    assert {tuple(row) for row in fields} == set(contract.fields())
    enums = await database.fetch("SELECT * FROM gameplay.protobuf_enums")
    assert {tuple(row) for row in enums} == set(contract.enums())
    # Again: the same rows, no others.
    await contract.write(database)
    assert await database.fetchval("SELECT count(*) FROM gameplay.protobuf_fields") == len(fields)


def segments_of(seed: int, ticks: int) -> list[bytes]:
    match = RandomMatch(seed)
    match.play(ticks)
    match.arena.end(match.now, event_pb2.END_REASON_REQUESTED)
    return [*match.segments, match.arena.take_journal()]


def acting(record: Any) -> int | None:
    """The seat that acts in a record."""
    kind = record.WhichOneof("input")
    if kind == "command":
        return int(record.command.command.slot)
    return int(getattr(record, kind).slot) if kind in ("join", "leave") else None


def expected_rows(segments: list[bytes]) -> Iterator[tuple[str, str, str | None, Any, Any]]:
    seats: dict[int, str] = {}
    for payload in segments:
        for record in journal_pb2.JournalSegment.FromString(payload).records:
            kind = record.WhichOneof("input")
            if kind == "join":
                seats[record.join.slot] = record.join.player_id
            at = STARTED.replace(tzinfo=None) + timedelta(microseconds=record.time_us)
            body = getattr(record, kind)
            name = record.command.command.WhichOneof("kind") if kind == "command" else kind
            slot = acting(record)
            player = None if slot is None else seats[slot]
            if name != "tick" or body.hits:
                yield f"{SESSION}:{record.sequence}", name, player, json_of(body), at
            for number, event in enumerate(record.events, 1):
                name = event.WhichOneof("kind")
                body = getattr(event, name)
                player = {"kill": lambda e: seats[e.killer], "spawn": lambda e: seats[e.slot]}.get(
                    name, lambda _event: None
                )(body)
                yield f"{SESSION}:{record.sequence}:{number}", name, player, json_of(body), at


async def add_seats(database: asyncpg.Connection, segments: list[bytes]) -> None:
    for payload in segments:
        for record in journal_pb2.JournalSegment.FromString(payload).records:
            if record.WhichOneof("input") == "join":
                await database.execute(
                    "INSERT INTO gameplay.combat_seats VALUES ($1, $2, $3, $4, $5)",
                    SESSION,
                    record.join.slot,
                    record.join.player_id,
                    record.join.given_team,
                    record.sequence,
                )


@pytest.mark.parametrize("seed", range(4))
async def test_rows_equal_what_protobuf_says(database: asyncpg.Connection, seed: int) -> None:
    segments = segments_of(seed, 300)
    await add_session(database, session_row(SESSION))
    await add_segments(database, SESSION, segments)
    await add_seats(database, segments)
    rows = await database.fetch(
        "SELECT id, type, player_id, data, timestamp FROM gameplay.combat_events WHERE session_id = $1",
        SESSION,
    )
    found = {row["id"]: tuple(row) for row in rows}
    wanted = {row[0]: row for row in expected_rows(segments)}
    assert len(rows) == len(found)
    assert found.keys() == wanted.keys()
    for key, row in found.items():
        assert row == wanted[key]
    kinds = {row["type"] for row in rows}
    assert kinds == {
        *("join", "leave", "start", "end", "tick", "move", "shot", "action", "damage"),
        *("kill", "spawn", "session_end"),
    }


async def test_numbers_at_their_edges(database: asyncpg.Connection) -> None:
    draw = random.Random(5)
    floats = [0.1, 1e-45, 3.4028235e38, 16777217, -1.17549435e-38, math.inf, -math.inf, math.nan]
    floats += [struct.unpack("<f", draw.randbytes(4))[0] for _ in range(200)]
    for value in floats:
        message = play_pb2.Move(x=value, client_time_us=draw.getrandbits(64))
        found, wanted = await decoded(database, message), json_of(message)
        # Of a number without leading bits PostgreSQL has fewer digits, which mean the same float.
        assert single(found.pop("x")) == single(wanted.pop("x")), message
        assert found == wanted
    doubles = [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, -1 / 3, math.inf, math.nan]
    doubles += [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(200)]
    sighting = journal_pb2.Evidence(
        ray=doubles, draws=[0, 1, 2**32 - 1], target_mm=[0, -1, 2**63 - 1, -(2**63)]
    )
    assert await decoded(database, sighting) == json_of(sighting)
    zero = play_pb2.Move(x=-0.0)
    assert await decoded(database, zero) == json_of(zero) == {"x": 0}


def single(value: float | str) -> bytes | str:
    """What tells one float from another."""
    return value if isinstance(value, str) else struct.pack("<f", value)


async def test_messages_as_no_server_writes_them(database: asyncpg.Connection) -> None:
    """A client's own bytes are in the journal: parts of one message, defaults that were sent, several of a
    oneof, values without a name, fields and groups of nobody."""
    move, shot = play_pb2.Move(x=1, y=2), play_pb2.Shot(weapon=3)
    parts = [
        play_pb2.Command(sequence=5, move=move).SerializeToString(),
        play_pb2.Command(shot=shot).SerializeToString(),
        play_pb2.Command(move=play_pb2.Move(z=3)).SerializeToString(),
        b"\x10\x00",  # sequence = 0, sent
        b"\x18\x80\x80\x80\x80\x10",  # view_tick = 2^32: 0 when cut to 32 bits
        play_pb2.Command(move=play_pb2.Move(pitch=4)).SerializeToString(),
        b"\x2d\x01\x02\x03\x04",  # field 5 as fixed32, which it is not
        b"\xf8\x3f\x01",  # field 1023
        b"\x9b\x06\x08\x01\x9b\x06\x9c\x06\x9c\x06",  # a group in a group
    ]
    for count in range(1, len(parts) + 1):
        data = b"".join(parts[:count])
        message = play_pb2.Command.FromString(data)
        assert await decoded(database, message, data) == json_of(message), count
    odd = event_pb2.SessionEndEvent.FromString(b"\x08\x63")
    assert await decoded(database, odd) == json_of(odd) == {"reason": 99}


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x0f", b"\x09\x00", b"\x08" + b"\xff" * 10])
async def test_what_is_no_message_is_an_error(database: asyncpg.Connection, data: bytes) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await decoded(database, play_pb2.Command(), data)

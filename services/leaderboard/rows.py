"""Entries as rows, in the order of the columns of `entries`."""

import json
from collections.abc import Sequence

import asyncpg

from services.chassis.sql import Columns, transposed
from services.leaderboard.batch import Key
from services.leaderboard.domain.board import Board
from services.leaderboard.domain.hold import Hidden, Hold
from services.leaderboard.domain.order import Order, Result, micros, moment
from services.leaderboard.domain.places import Place, Slot
from services.leaderboard.domain.scoring import Entry


def entry(row: asyncpg.Record) -> Entry:
    columns = tuple(value for value in (row["c1"], row["c2"]) if value is not None)
    return Entry(
        place(row),
        row["player_id"],
        Result(row["score"], columns),
        row["achieved_at"],
        row["submissions"],
        row["last_at"],
        row["last_event"],
        row["quarantined"],
        row["revision"],
    )


def place(row: asyncpg.Record) -> Place:
    return Place(row["board"], row["window_name"], row["season"], row["period"])


def key(row: asyncpg.Record) -> Key:
    return Key(place(row), row["player_id"])


def entry_columns(board: Board, entry: Entry) -> Columns:
    c1, c2 = (*entry.result.columns, None, None)[:2]
    return (
        *(*entry.place, entry.player),
        *(entry.result.score, c1, c2),
        *(entry.achieved_at, entry.submissions, entry.last_at, entry.last_event),
        *(entry.quarantined, entry.revision),
        Order.of(board).key(entry.result, entry.achieved_at, entry.player),
    )


def hold(row: asyncpg.Record) -> Hold:
    hidden = tuple(Hidden(board, moment(since)) for board, since in json.loads(row["hidden"]))
    return Hold(row["player_id"], row["revision"], hidden)


def hold_columns(hold: Hold) -> Columns:
    hidden = json.dumps([[each.board, micros(each.since)] for each in hold.hidden])
    return (hold.player, hold.revision, hidden)


def slot_columns(slot: Slot) -> Columns:
    final_at = None if slot.ends_at is None else slot.ends_at + slot.grace
    return (*slot.place, slot.starts_at, slot.ends_at, final_at)


def keys_columns(keys: Sequence[Key]) -> list[list[object]]:
    return transposed(((*key.place, key.player) for key in keys), 5)

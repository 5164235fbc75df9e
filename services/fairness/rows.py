"""Rows of the tables, and what they say: whoever reads one or writes one does it here."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from services.chassis.sql import Columns
from services.fairness.domain.audit import Entry, Line
from services.fairness.domain.detector import Mode
from services.fairness.domain.finding import Input, Reading
from services.fairness.domain.flag import Appeal, Decision, Flag, FlagState, Verdict
from services.fairness.domain.happened import Observation
from services.fairness.domain.player import Player
from services.fairness.domain.sanction import Sanction, State
from services.fairness.domain.track import Track

Row = asyncpg.Record
"""By the names of the columns."""


def compact(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


# -- players ------------------------------------------------------------------------------------------


def player(row: Row) -> Player:
    """Without flags and sanctions."""
    tracks: dict[str, dict[str, object]] = json.loads(row["tracks"])
    return Player(
        row["player_id"],
        row["version"],
        row["revision"],
        row["observed"],
        {id_: Track.from_json(track) for id_, track in tracks.items()},
        row["counted_on"],
        json.loads(row["counted"]),
    )


def player_columns(it: Player) -> Columns:
    tracks = {id_: track.to_json() for id_, track in it.tracks.items()}
    return (
        *(it.id, it.version, it.revision, it.observed, compact(tracks)),
        *(it.counted_on, compact(it.counted)),
    )


def observation_columns(it: Observation) -> Columns:
    readings = {id_: [each.value, each.of, each.group] for id_, each in it.readings.items()}
    return it.player_id, it.number, it.event, it.at, compact(readings)


def given(row: Row, detector_id: str) -> Input:
    """What an observation said to a detector that it has a reading of."""
    return Input(row["event_id"], row["at"], Reading(*json.loads(row["readings"])[detector_id]))


# -- flags --------------------------------------------------------------------------------------------


def flag(row: Row | Mapping[str, Any]) -> Flag:
    appeal = json.loads(row["appeal"]) if row["appeal"] else None
    return Flag(
        row["id"],
        row["player_id"],
        row["detector_id"],
        row["detector_version"],
        row["rule_version"],
        Mode[row["mode"].upper()],
        FlagState[row["state"].upper()],
        row["opened_at"],
        row["last_at"],
        row["occurrences"],
        row["reason"],
        row["appeal_until"],
        tuple(_decision(each) for each in json.loads(row["decisions"])),
        None if appeal is None else Appeal(datetime.fromisoformat(appeal["at"]), appeal["text"]),
    )


def flag_columns(it: Flag) -> Columns:
    decisions = [
        {
            "at": each.at.isoformat(),
            "actor": each.actor,
            "decision": each.verdict.name.lower(),
            "reason": each.reason,
        }
        for each in it.decisions
    ]
    appeal = None if it.appeal is None else {"at": it.appeal.at.isoformat(), "text": it.appeal.text}
    return (
        *(it.id, it.player_id, it.detector_id, it.detector_version, it.rule_version, it.mode.name.lower()),
        *(it.state.name.lower(), it.opened_at, it.last_at, it.occurrences, it.reason, it.appeal_until),
        *(compact(decisions), None if appeal is None else compact(appeal)),
    )


def _decision(it: Mapping[str, str]) -> Decision:
    at, verdict = datetime.fromisoformat(it["at"]), Verdict[it["decision"].upper()]
    return Decision(at, it["actor"], verdict, it["reason"])


# -- sanctions ----------------------------------------------------------------------------------------


def sanction(row: Row | Mapping[str, Any]) -> Sanction:
    return Sanction(
        row["id"],
        row["player_id"],
        State[row["state"].upper()],
        row["hidden_since"],
        tuple(json.loads(row["boards"])),
        row["reason"],
        row["automated"],
        row["since"],
        row["until"],
        row["flag_id"],
        row["ended_at"],
    )


def sanction_columns(it: Sanction) -> Columns:
    return (
        *(it.id, it.player_id, it.state.name.lower(), it.hidden_since, compact(it.boards), it.reason),
        *(it.automated, it.since, it.until, it.flag_id, it.ended_at),
    )


# -- the log ------------------------------------------------------------------------------------------


def line(row: Row) -> Line:
    entry = Entry(row["at"], row["actor"], row["action"], row["player_id"], row["flag_id"], row["details"])
    return Line(row["sequence"], entry, row["previous"], row["hash"])


def line_columns(it: Line) -> Columns:
    entry = it.entry
    return (
        *(it.sequence, entry.at, entry.actor, entry.action, entry.player_id, entry.flag_id, entry.details),
        *(it.previous, it.hash),
    )

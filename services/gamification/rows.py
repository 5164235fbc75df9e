"""Rows of the tables, and what they say: whoever reads one or writes one does it here. Numbers without bounds
are text."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import asyncpg

from services.chassis.sql import Columns
from services.gamification.domain.definitions import Amount
from services.gamification.domain.events import Entry
from services.gamification.domain.player import (
    Accumulator,
    AccumulatorKey,
    AchievementProgress,
    Grant,
    GrantStatus,
    Quarantined,
    QuestProgress,
    QuestStatus,
    StepProgress,
    Transfer,
)

Row = asyncpg.Record
"""By the names of the columns."""


# -- accumulators ---------------------------------------------------------------------------------------


def accumulator(row: Row) -> tuple[AccumulatorKey, Accumulator]:
    return (
        AccumulatorKey(row["scope"], row["metric"], row["window_key"], row["starts_at"]),
        Accumulator(
            row["count"],
            int(row["sum"]),
            row["min"],
            row["max"],
            row["last"],
            row["last_at"],
            row["last_event"],
            frozenset(row["members"]),
            row["over_at"],
        ),
    )


def accumulator_columns(user_id: str, key: AccumulatorKey, it: Accumulator) -> Columns:
    return (
        *(user_id, *key, it.count, str(it.sum), it.min, it.max, it.last, it.last_at, it.last_event),
        json.dumps(sorted(it.members)) if it.members else None,
        it.over_at,
    )


# -- progress -------------------------------------------------------------------------------------------


def achievement(row: Row) -> AchievementProgress:
    return AchievementProgress(
        row["achievement_id"],
        row["cycle"],
        row["version"],
        row["progress"],
        _met(json.loads(row["met"])),
        row["started_at"],
        row["completed_at"],
        row["completions"],
        _history(row["history"]),
    )


def achievement_columns(user_id: str, it: AchievementProgress) -> Columns:
    return (
        *(user_id, it.achievement_id, it.cycle, it.version, it.progress, json.dumps(_met_json(it.met))),
        *(it.started_at, it.completed_at, it.completions, _history_json(it.history)),
    )


def quest(row: Row) -> QuestProgress:
    steps: dict[str, dict[str, Any]] = json.loads(row["steps"])
    return QuestProgress(
        row["quest_id"],
        row["cycle"],
        row["version"],
        QuestStatus(row["status"]),
        {id_: _step(each) for id_, each in steps.items()},
        row["started_at"],
        row["ended_at"],
        row["expires_at"],
        row["completions"],
        _history(row["history"]),
    )


def quest_columns(user_id: str, it: QuestProgress) -> Columns:
    steps = json.dumps({id_: _step_json(step) for id_, step in it.steps.items()})
    return (
        *(user_id, it.quest_id, it.cycle, it.version, it.status.value, steps, it.started_at, it.ended_at),
        *(it.expires_at, it.completions, _history_json(it.history)),
    )


def _step(step: Mapping[str, Any]) -> StepProgress:
    opened, completed = datetime.fromisoformat(step["opened"]), step.get("completed")
    at = datetime.fromisoformat(completed) if completed else None
    return StepProgress(opened, at, _met(step["met"]), step["progress"])


def _step_json(step: StepProgress) -> dict[str, object]:
    found = {"opened": step.opened_at.isoformat(), "met": _met_json(step.met), "progress": step.progress}
    return found | ({"completed": step.completed_at.isoformat()} if step.completed_at else {})


def _met(met: Mapping[str, str]) -> dict[int, datetime]:
    return {int(number): datetime.fromisoformat(at) for number, at in met.items()}


def _met_json(met: Mapping[int, datetime]) -> dict[str, str]:
    return {str(number): at.isoformat() for number, at in met.items()}


def _history(text: str) -> tuple[Entry, ...]:
    return tuple(Entry(datetime.fromisoformat(at), *rest) for at, *rest in json.loads(text))


def _history_json(history: Iterable[Entry]) -> str:
    return json.dumps([(it.at.isoformat(), it.what, it.detail, it.progress, it.cause) for it in history])


# -- what is owed, and paid -----------------------------------------------------------------------------


def grant(row: Row) -> Grant:
    return Grant(
        row["id"],
        row["user_id"],
        row["reward_id"],
        row["reward_version"],
        row["source"],
        row["source_id"],
        row["cycle"],
        row["title"],
        GrantStatus(row["status"]),
        tuple(Amount(*each) for each in json.loads(row["contents"])),
        row["seed"],
        row["cause"],
        row["granted_at"],
        row["expires_at"],
        row["claimed_at"],
        row["revoked_at"],
    )


def grant_columns(it: Grant) -> Columns:
    return (
        *(it.id, it.user_id, it.reward_id, it.reward_version, it.source, it.source_id, it.cycle, it.title),
        *(it.status.value, _contents_json(it), it.seed, it.cause, it.granted_at, it.expires_at),
        *(it.claimed_at, it.revoked_at),
    )


def settled_columns(before: GrantStatus, it: Grant) -> Columns:
    """`before`: what its status was."""
    return (it.id, before.value, it.status.value, _contents_json(it), it.claimed_at, it.revoked_at)


def _contents_json(it: Grant) -> str:
    return json.dumps(
        [(each.asset, each.quantity, each.item_type, each.owned_before) for each in it.contents]
    )


def transfer(row: Row) -> Transfer:
    """`item_type`: of the balance that it moves."""
    return Transfer(
        row["id"],
        row["kind"],
        row["from_account"],
        row["to_account"],
        Amount(row["asset"], row["amount"], row["item_type"] or ""),
        row["grant_id"],
        row["user_id"],
        row["at"],
    )


def transfer_columns(it: Transfer) -> Columns:
    return (
        *(it.id, it.kind, it.from_account, it.to_account, it.amount.asset, it.amount.quantity),
        *(it.grant_id, it.user_id, it.at),
    )


# -- quarantine -----------------------------------------------------------------------------------------


def quarantined(row: Row) -> Quarantined:
    return Quarantined(
        row["id"],
        row["user_id"],
        row["metric"],
        row["value"],
        row["member"],
        row["occurred_at"],
        row["event"],
        row["cause"],
        row["per_us"],
        row["most"],
        int(row["reached"]),
    )


def quarantined_columns(it: Quarantined, at: datetime) -> Columns:
    return (
        *(it.id, it.user_id, it.metric, it.value, it.member, it.occurred_at, it.event, it.cause, it.per_us),
        *(it.most, str(it.reached), at),
    )

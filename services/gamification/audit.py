"""`audit`: counts again what was granted, drawn, moved and is owned, while the service goes on."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg
from arenamesh.gamification.v1 import reward_pb2
from google.protobuf import json_format

from services.chassis import sql
from services.chassis.audit import Findings, opened, tell
from services.chassis.db import Connection
from services.gamification import rows, translate_in
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.domain.definitions import Reward
from services.gamification.domain.recount import Moved, differences
from services.gamification.schema import SCHEMA, SQL, migrations
from services.gamification.settings import GamificationSettings

_PAGE = 500
"""Rows that are in memory at once."""

Progress = Callable[[int, int], None]
"""Given how many grants are done, and how many there are."""
Rewards = dict[tuple[str, int], Reward]
"""By id and version."""


@dataclass(slots=True)
class Audit(Findings):
    """How many of each were counted, and what was not as it should be."""

    grants: int = 0
    draws: int = 0
    transfers: int = 0
    balances: int = 0
    assets: int = 0


async def audit(settings: GamificationSettings, *, as_json: bool) -> None:
    """Recounts grants, draws, transfers and balances; ends with 1 when something differs."""
    async with opened(settings, SCHEMA, migrations()) as connection:
        found = await audited(connection, _show)
    tell(found, as_json=as_json, wrong="What is stored is not what it should be.")


async def audited(connection: Connection, progress: Progress) -> Audit:
    """All of it as of one moment: no lock is taken, and nobody waits."""
    queries = sql.load(SQL / "audit.sql")
    found = Audit()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rewards = await _rewards(connection)
        all_: int = await connection.fetchval(queries["size"])
        async for row in connection.cursor(queries["grants"], prefetch=_PAGE):
            _grant(found, row, rewards)
            if found.grants % _PAGE == 0 or found.grants == all_:
                progress(found.grants, all_)
        async for row in connection.cursor(queries["strays"], prefetch=_PAGE):
            found.differs(row["id"], f"is of grant {row['grant_id']}, which there is not")
        async for row in connection.cursor(queries["balances"], prefetch=_PAGE):
            found.balances += 1
            if row["amount"] != row["entries"]:
                place = f"{row['account']} {row['asset']}"
                found.differs(place, f"the balance is {row['amount']}, its entries come to {row['entries']}")
        async for row in connection.cursor(queries["assets"], prefetch=_PAGE):
            found.assets += 1
            if row["amount"]:
                found.differs(row["asset"], f"all accounts come to {row['amount']} together, not to 0")
    return found


async def _rewards(connection: Connection) -> Rewards:
    shelf = await DefinitionsStore().present(connection)
    found = {}
    for (kind, id_, version), definition in shelf.definitions.items():
        if kind == "reward":
            message = json_format.Parse(definition.document, reward_pb2.Reward(), ignore_unknown_fields=True)
            found[id_, version] = translate_in.reward(message, version)
    return found


def _grant(found: Audit, row: asyncpg.Record, rewards: Rewards) -> None:
    grant = rows.grant(row)
    transfers = [_moved(each) for each in row["transfers"]]
    found.grants += 1
    found.draws += bool(grant.seed)
    found.transfers += len(transfers)
    for what in differences(grant, rewards.get((grant.reward_id, grant.reward_version)), transfers):
        found.differs(grant.id, what)


def _moved(row: asyncpg.Record) -> Moved:
    return Moved(row["id"], row["kind"], row["from_account"], row["to_account"], row["asset"], row["amount"])


def _show(done: int, all_: int) -> None:
    print(f"\raudited {done} of {all_} grants", end="\n" if done == all_ else "", file=sys.stderr, flush=True)

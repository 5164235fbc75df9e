"""Projections made anew from the events, and characters brought to another definition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.chassis.db import Database
from services.chassis.errors import DataLoss
from services.progression.ledger import Ledger
from services.progression.rebuild import Rebuilt, rebuild
from services.progression.remapper import Change, Remapped, remap_all
from tests.support.ledgers import Request, check, definitions, dump, ledger

DAMAGE = {
    "characters": "UPDATE progression.characters SET base_level = 7 WHERE character_id = 'c1'",
    "paragon": "UPDATE progression.paragon_levels SET experience = experience + 1 WHERE character_id = 'c2'",
    "prestige": "DELETE FROM progression.prestige_data WHERE character_id = 'c3'",
    "mastery": "INSERT INTO progression.mastery_data VALUES ('c4', 'raid', 5, 1)",
    "rewards": "DELETE FROM progression.rewards WHERE character_id = 'c5'",
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.connect(database_url, size=3, wait_s=5, command_s=10)
    yield opened
    await opened.close()


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Ledger]:
    async with ledger(database_url) as running:
        yield running


async def award(running: Ledger, characters: int = 10) -> None:
    requests = (Request(f"c{n}", experience=200_000 * n, mastery=100 * n) for n in range(characters))
    await asyncio.gather(*(running.run(request.command()) for request in requests))


async def redo(database: Database) -> Rebuilt:
    return await rebuild(database, definitions(), lambda _done, _all: None)


async def execute(database: Database, *statements: str) -> None:
    async with database.connection() as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_what_is_right_stays_and_what_is_wrong_is_named(one: Ledger, database: Database) -> None:
    await award(one)
    right = await dump(database)
    assert (await redo(database)).same
    await execute(
        database,
        *DAMAGE.values(),
        "UPDATE progression.level_statistics SET levels = levels + 3, luck = luck - 1 "
        "WHERE (shard, bucket) = (SELECT shard, bucket FROM progression.level_statistics LIMIT 1)",
    )
    told: list[tuple[int, int]] = []
    done = await rebuild(database, definitions(), lambda *progress: told.append(progress))
    assert done.differed == {table: [f"c{n}"] for n, table in enumerate(DAMAGE, start=1)}
    assert (done.characters, done.statistics, told) == (10, 1, [(10, 10)])
    assert await dump(database) == right
    assert (await redo(database)).same


@pytest.mark.parametrize("table", ["characters", "paragon_levels", "prestige_data"])
async def test_a_change_without_projections_says_what_to_do(
    one: Ledger, database: Database, table: str
) -> None:
    """Only of that character, also for a change that would not enrol it."""
    await award(one, 3)
    await execute(database, f"DELETE FROM progression.{table} WHERE character_id = 'c1'")
    requests = [Request(f"c{n}", experience=5) for n in range(3)]
    outcomes = await asyncio.gather(
        *(one.run(request.command()) for request in requests), return_exceptions=True
    )
    lost = outcomes.pop(1)
    assert isinstance(lost, DataLoss) and "`rebuild`" in lost.text
    assert (lost.reason, lost.metadata) == ("PROJECTIONS_MISSING", {"character_ids": "c1"})
    assert all(isinstance(outcome, bytes) for outcome in outcomes)
    if table != "characters":
        with pytest.raises(DataLoss):
            await one.run(Request("c1", "points").command())
    await redo(database)
    await one.run(requests[1].command())
    await check(database)


async def test_rows_of_nobody_go(one: Ledger, database: Database) -> None:
    await award(one)
    right = await dump(database)
    await execute(
        database,
        "INSERT INTO progression.characters SELECT 'nobody', player_id, definition, version, "
        "base_experience, base_level, created_at, updated_at FROM progression.characters LIMIT 1",
        "INSERT INTO progression.rewards VALUES ('ghost', 'crown', now())",
        "INSERT INTO progression.level_statistics VALUES (3, 77, 0, 0, 0, 0, 0, 0, 0, 0)",
    )
    done = await redo(database)
    assert (done.differed["characters"], done.differed["rewards"]) == (["nobody"], ["ghost"])
    assert await dump(database) == right
    async with database.connection() as connection:
        empty = "SELECT count(*) FROM progression.level_statistics WHERE characters = 0"
        assert await connection.fetchval(empty) == 0


async def test_beside_awards_it_finds_nothing_wrong_and_spoils_nothing(
    one: Ledger, database: Database
) -> None:
    await award(one, 60)
    over = asyncio.Event()

    async def awarding() -> None:
        while not over.is_set():
            await award(one, 60)

    busy = asyncio.create_task(awarding())
    try:
        assert all([(await redo(database)).same for _ in range(3)])
    finally:
        over.set()
        await busy
    await check(database)


async def test_a_gap_in_the_events_is_loss(one: Ledger, database: Database) -> None:
    await award(one)
    await award(one)
    before = await dump(database)
    await execute(database, "DELETE FROM progression.event_store WHERE stream_id = 'c3' AND version = 2")
    with pytest.raises(DataLoss) as loss:
        await redo(database)
    assert (loss.value.reason, loss.value.metadata["character_id"]) == ("EVENTS_MISSING", "c3")
    assert await dump(database) == before


async def remap(database: Database, running: Ledger | None) -> tuple[Remapped, dict[str, Change]]:
    changes: list[Change] = []
    done = await remap_all(
        database,
        definitions("later-1"),
        running,
        progress=lambda _done, _all: None,
        changed=changes.append,
    )
    return done, {change.character_id: change for change in changes}


async def test_everybody_comes_to_the_active_definition(
    one: Ledger, database: Database, database_url: str
) -> None:
    """As the dry run said, which changes nothing; the second time nobody is left."""
    await award(one)
    await one.run(Request("c9", "points", points=40).command())
    before = await dump(database)
    planned, would = await remap(database, None)
    assert await dump(database) == before
    async with ledger(database_url, active="later-1") as running:
        done, changes = await remap(database, running)
        assert (done, changes) == (planned, would)
        assert (done.characters, done.refused) == (10, {})
        assert (await remap(database, running))[0].characters == 0
    assert would["c9"].levels["base"] == (50, 40)
    async with database.connection() as connection:
        followed = "SELECT DISTINCT definition FROM progression.characters"
        assert [row[0] for row in await connection.fetch(followed)] == ["later-1"]
    await check(database)

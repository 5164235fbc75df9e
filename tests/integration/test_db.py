"""The pool wrapper, migrations and their refusals on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.chassis import migrate
from services.chassis.db import MAX_ATTEMPTS, Connection, Database, NestedAcquireError
from services.chassis.errors import Unavailable
from services.chassis.migrate import Migration, SchemaError
from services.combat.schema import SCHEMA, migrations
from tests.support.postgres import Postgres


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.connect(database_url, size=2, wait_s=0.1, command_s=2)
    yield opened
    await opened.close()


async def test_a_full_pool_is_not_waited_for_without_end(database: Database) -> None:
    leave = asyncio.Event()

    async def hold(ready: asyncio.Event) -> None:
        async with database.connection():
            ready.set()
            await leave.wait()

    ready = [asyncio.Event(), asyncio.Event()]
    holders = [asyncio.create_task(hold(each)) for each in ready]
    await asyncio.gather(*(each.wait() for each in ready))
    with pytest.raises(Unavailable) as caught:
        async with database.connection():
            pass
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    leave.set()
    await asyncio.gather(*holders)
    await database.ping()


async def test_one_caller_never_holds_two(database: Database) -> None:
    async with database.connection():
        with pytest.raises(NestedAcquireError):
            await database.ping()
    await database.ping()


async def test_a_task_started_by_a_holder_may_have_its_own(database: Database) -> None:
    async with database.connection():
        await asyncio.create_task(database.ping())


async def test_a_statement_that_takes_too_long(database_url: str) -> None:
    database = await Database.connect(database_url, size=1, wait_s=1, command_s=0.05)
    with pytest.raises(Unavailable):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_sleep(5)")
    await database.ping()
    await database.close()


async def test_a_connection_that_is_cut(database: Database, database_url: str) -> None:
    async def cut(connection: Connection) -> None:
        pid = connection.get_server_pid()
        other = await asyncpg.connect(database_url)
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        await other.close()
        await connection.execute("SELECT 1")

    with pytest.raises(Unavailable):
        await database.transaction(cut)
    await database.ping()


async def test_a_lost_serialisation_is_tried_again(database: Database, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("CREATE TABLE counted (n INTEGER NOT NULL)")
    await other.execute("INSERT INTO counted VALUES (0)")
    runs = 0

    async def work(connection: Connection) -> int:
        nonlocal runs
        runs += 1
        await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        seen = await connection.fetchval("SELECT n FROM counted")
        if runs < MAX_ATTEMPTS:
            await other.execute("UPDATE counted SET n = n + 10")
        await connection.execute("UPDATE counted SET n = $1", seen + 1)
        return runs

    assert await database.transaction(work) == MAX_ATTEMPTS
    assert await other.fetchval("SELECT n FROM counted") == 10 * (MAX_ATTEMPTS - 1) + 1
    await other.close()


async def test_it_gives_up_in_the_end(database: Database) -> None:
    runs = 0

    async def work(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        await connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(asyncpg.SerializationError):
        await database.transaction(work)
    assert runs == MAX_ATTEMPTS


async def test_a_statement_alone_is_a_transaction(database: Database, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("CREATE TABLE counted (n INTEGER NOT NULL CHECK (n < 3))")
    with pytest.raises(asyncpg.CheckViolationError):
        await database.statement("INSERT INTO counted SELECT * FROM unnest($1::int[])", [1, 2, 3])
    assert await other.fetchval("SELECT count(*) FROM counted") == 0
    await database.statement("INSERT INTO counted SELECT * FROM unnest($1::int[])", [1, 2])
    assert await other.fetchval("SELECT sum(n) FROM counted") == 3
    await other.execute("CREATE SEQUENCE runs")
    lost = "DO $$ BEGIN IF nextval('runs') < 3 THEN RAISE SQLSTATE '40001'; END IF; END $$"
    await database.statement(lost)
    assert await other.fetchval("SELECT last_value FROM runs") == 3
    await other.close()


async def test_a_failure_of_the_work_changes_nothing(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("CREATE TABLE never (n INTEGER)")
        raise LookupError

    with pytest.raises(LookupError):
        await database.transaction(work)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('never')") is None


# -- migrations ---------------------------------------------------------------------------------------


@pytest.fixture
async def empty(postgres: Postgres) -> AsyncIterator[str]:
    name = await postgres.clone("template1")
    yield postgres.url(name)
    await postgres.drop(name)


ONE = Migration(1, "0001_one", "CREATE TABLE made_things.one (n INTEGER)")
TWO = Migration(2, "0002_two", "ALTER TABLE made_things.one ADD COLUMN m INTEGER")


async def test_each_is_applied_once_and_in_order(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    assert await migrate.migrate(connection, "made_things", [ONE]) == ["0001_one"]
    assert await migrate.migrate(connection, "made_things", [ONE, TWO]) == ["0002_two"]
    assert await migrate.migrate(connection, "made_things", [ONE, TWO]) == []
    await migrate.check(connection, "made_things", [ONE, TWO])
    await connection.close()


async def test_two_processes_at_once(empty: str) -> None:
    connections = [await asyncpg.connect(empty) for _ in range(4)]
    applied = await asyncio.gather(
        *(migrate.migrate(connection, "made_things", [ONE, TWO]) for connection in connections)
    )
    assert sorted(map(len, applied)) == [0, 0, 0, 2]
    for connection in connections:
        await connection.close()


async def test_a_fault_leaves_everything_as_it_was(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    broken = Migration(2, "0002_broken", "CREATE TABLE made_things.two (n NOTATYPE)")
    with pytest.raises(asyncpg.UndefinedObjectError):
        await migrate.migrate(connection, "made_things", [ONE, broken])
    assert await connection.fetchval("SELECT to_regclass('made_things.one')") is None
    await connection.close()


async def test_what_is_refused(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    with pytest.raises(SchemaError, match="run `migrate`"):
        await migrate.check(connection, "made_things", [ONE])
    await migrate.migrate(connection, "made_things", [ONE])
    with pytest.raises(SchemaError, match="lacks 0002_two"):
        await migrate.check(connection, "made_things", [ONE, TWO])
    changed = Migration(1, "0001_one", ONE.text + " ")
    with pytest.raises(SchemaError, match="another content"):
        await migrate.migrate(connection, "made_things", [changed])
    with pytest.raises(SchemaError, match="newer than this program"):
        await migrate.check(connection, "made_things", [])
    with pytest.raises(ValueError, match="not a schema name"):
        await migrate.check(connection, "a; DROP TABLE x", [])
    await connection.close()


async def test_the_source_columns_are_there(database_url: str) -> None:
    """What analysts know of the table: names, types, nullability."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT column_name, udt_name, character_maximum_length AS size, is_nullable = 'YES' AS nullable "
        "FROM information_schema.columns WHERE table_schema = 'gameplay' AND table_name = 'combat_sessions'"
    )
    await connection.close()
    found = {row["column_name"]: (row["udt_name"], row["size"], row["nullable"]) for row in rows}
    assert found.items() >= {
        ("id", ("varchar", 255, False)),
        ("name", ("varchar", 255, False)),
        ("type", ("varchar", 50, False)),
        ("status", ("varchar", 50, False)),
        ("max_players", ("int4", None, False)),
        ("created_at", ("timestamp", None, False)),
        ("started_at", ("timestamp", None, True)),
        ("ended_at", ("timestamp", None, True)),
        ("map_id", ("varchar", 255, False)),
        ("game_mode", ("varchar", 255, False)),
    }


def test_the_files_of_combat_are_in_order() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))
    assert SCHEMA == "gameplay"

"""What waits together is committed together, whoever it is for; see also progression's ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.chassis.errors import FailedPrecondition, Overloaded, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.metrics import CommitMetrics


class Transactions:
    """Remembers what was committed; does as the commands say."""

    def __init__(self) -> None:
        self.committed: list[list[str]] = []
        self.losses = 0
        self.most = 100

    async def persist(self, commands: Sequence[str]) -> list[bytes | Exception]:
        await asyncio.sleep(0)
        if self.losses:
            self.losses -= 1
            raise asyncpg.UniqueViolationError("another process was faster")
        for each in commands:
            if each == "poison":
                raise asyncpg.DataError("nobody can store that")
            if each == "full":
                raise asyncpg.DiskFullError("no room")
        self.committed.append(list(commands[: self.most]))
        return [
            FailedPrecondition("no", reason="NO") if each == "refused" else each.encode()
            for each in commands[: self.most]
        ]


@pytest.fixture
def transactions() -> Transactions:
    return Transactions()


def made(transactions: Transactions, every_s: float = 0.0) -> GroupCommit[str]:
    registry = CollectorRegistry()
    metrics = CommitMetrics(
        Histogram("seconds", "Of a commit.", registry=registry),
        Histogram("commands", "In a commit.", registry=registry),
        Gauge("waiting", "For one.", registry=registry),
        Counter("reruns", "By table.", ("table",), registry=registry),
    )
    return GroupCommit(transactions.persist, batch=4, waiting=8, metrics=metrics, size=len, every_s=every_s)


@pytest.fixture
async def commits(transactions: Transactions) -> AsyncIterator[GroupCommit[str]]:
    started = made(transactions)
    started.start()
    yield started
    await started.close()


async def run(commits: GroupCommit[str], *commands: str) -> list[bytes | BaseException]:
    """All at once."""
    return await asyncio.gather(*map(commits.run, commands), return_exceptions=True)


async def test_what_waits_is_one_transaction(commits: GroupCommit[str], transactions: Transactions) -> None:
    assert await run(commits, *"abcdef") == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert transactions.committed == [list("abcd"), list("ef")]


async def test_a_transaction_has_room_for_four_times_its_commands(
    commits: GroupCommit[str], transactions: Transactions
) -> None:
    await run(commits, "x" * 9, "y" * 9, "z")
    assert [len(batch) for batch in transactions.committed] == [2, 1]


async def test_what_a_transaction_leaves_over_comes_first_in_the_next(
    commits: GroupCommit[str], transactions: Transactions
) -> None:
    transactions.most = 3
    assert await run(commits, *"abcdef") == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert transactions.committed == [list("abc"), list("def")]


async def test_one_that_cannot_be_committed_fails_alone(
    commits: GroupCommit[str], transactions: Transactions
) -> None:
    a, refused, poison, b = await run(commits, "a", "refused", "poison", "b")
    assert (a, b) == (b"a", b"b")
    assert isinstance(refused, FailedPrecondition) and isinstance(poison, asyncpg.DataError)
    assert transactions.committed == [["a", "refused"], ["b"]]


async def test_what_no_command_has_caused_is_told_to_all_at_once(
    commits: GroupCommit[str], transactions: Transactions
) -> None:
    for outcome in await run(commits, "a", "full", "b"):
        assert isinstance(outcome, Unavailable) and outcome.reason == "LEDGER_UNAVAILABLE"
    assert transactions.committed == []


async def test_a_transaction_that_loses_runs_again_but_not_for_ever(
    commits: GroupCommit[str], transactions: Transactions
) -> None:
    transactions.losses = 9
    assert await run(commits, "a") == [b"a"]
    transactions.losses = 10
    (lost,) = await run(commits, "a")
    assert isinstance(lost, asyncpg.UniqueViolationError)
    assert transactions.committed == [["a"]]


async def test_too_many_are_turned_away(commits: GroupCommit[str], transactions: Transactions) -> None:
    outcomes = await run(commits, *"abcdefghij")
    assert [type(outcome) for outcome in outcomes] == [bytes] * 8 + [Overloaded] * 2
    assert sum(map(len, transactions.committed)) == 8


async def test_what_waits_when_it_closes_is_committed_unless_its_caller_has_gone(
    commits: GroupCommit[str], transactions: Transactions
) -> None:
    calls = [asyncio.ensure_future(commits.run(each)) for each in "abcdefg"]
    await asyncio.sleep(0)
    calls[5].cancel()
    await commits.close()
    assert [await call for call in calls if not call.cancelled()] == [b"a", b"b", b"c", b"d", b"e", b"g"]
    assert transactions.committed == [list("abcd"), list("eg")]
    (late,) = await run(commits, "h")
    assert isinstance(late, Unavailable) and (late.reason, late.elsewhere) == ("LEDGER_CLOSED", True)


async def test_after_many_there_is_a_rest_but_for_what_is_alone_full_or_last(
    transactions: Transactions,
) -> None:
    commits = made(transactions, every_s=3600)
    commits.start()
    for alone in "ab":
        await commits.run(alone)
    await run(commits, "c", "d")
    await run(commits, *"efgh")
    resting = [asyncio.ensure_future(commits.run(each)) for each in "ij"]
    _, unanswered = await asyncio.wait(resting, timeout=0.02)
    assert len(unanswered) == 2
    await commits.close()
    assert [await each for each in resting] == [b"i", b"j"]
    assert transactions.committed == [["a"], ["b"], ["c", "d"], list("efgh"), ["i", "j"]]


async def test_a_rest_is_over_by_itself(transactions: Transactions) -> None:
    commits = made(transactions, every_s=0.01)
    commits.start()
    for _ in range(3):
        await run(commits, "a", "b")
    assert transactions.committed == [["a", "b"]] * 3
    await commits.close()

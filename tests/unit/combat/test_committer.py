"""The committer, over a store that answers when and what the test says, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import Unavailable
from services.combat.durability.committer import BUSY_GAP_S, BUSY_RECORDS, Committer, Journaled
from services.combat.ports import Save, Segment
from tests.support.virtual_time import run

FLUSH_S, WAIT_S = 0.25, 2.0
SIZE = 10


class Match:
    """Records are SIZE bytes each."""

    def __init__(self, session_id: str = "a") -> None:
        self.session_id = session_id
        self.sequence = 0
        self.taken = 0
        self.durable: list[int] = []
        self.save_due = False

    def judge(self, records: int = 1) -> int:
        self.sequence += records
        return self.sequence

    def take_segment(self) -> Segment | None:
        if self.taken == self.sequence:
            return None
        first, self.taken = self.taken + 1, self.sequence
        save = Save(self.sequence, 0, b"save") if self.save_due else None
        self.save_due = False
        payload = b"".join(sequence.to_bytes(SIZE) for sequence in range(first, self.sequence + 1))
        return Segment(self.session_id, 1, first, self.sequence, 0, self.sequence * 100, payload, save)

    def committed(self, sequence: int) -> None:
        self.durable.append(sequence)


class Store:
    """Every commit waits in `asked` for its answer; `journal` is what was written."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[list[Segment], asyncio.Future[frozenset[str]]]] = asyncio.Queue()
        self.under_way = 0
        self.most = 0

    async def commit(self, owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        assert owner == "w"
        assert len({segment.session_id for segment in segments}) == len(segments) > 0
        answer: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.asked.put_nowait((list(segments), answer))
        try:
            return await answer
        finally:
            self.under_way -= 1

    async def answer(self, *fenced: str) -> list[Segment]:
        """Lets the next commit through; what it held."""
        segments, answer = await self.asked.get()
        answer.set_result(frozenset(fenced))
        await idle()
        return segments

    async def fail(self, error: Exception | None = None) -> list[Segment]:
        segments, answer = await self.asked.get()
        answer.set_exception(error or Unavailable("no answer", reason="DATABASE_UNAVAILABLE"))
        await idle()
        return segments

    async def read(self, session_id: str, after: int, limit: int) -> list[Segment]:
        raise NotImplementedError

    async def save_before(self, session_id: str, tick: int | None = None) -> Save | None:
        raise NotImplementedError


@dataclass
class World:
    store: Store
    committer: Committer
    said: list[str]
    fenced: list[Journaled]

    def match(self, session_id: str = "a") -> Match:
        match = Match(session_id)
        self.committer.add(match)
        return match


@asynccontextmanager
async def world(pending_bytes: int = 1 << 20) -> AsyncIterator[World]:
    store = Store()
    said: list[str] = []
    fenced: list[Journaled] = []
    committer = Committer(
        store,
        "w",
        flush_s=FLUSH_S,
        wait_s=WAIT_S,
        on_fenced=fenced.append,
        on_stalled=lambda: said.append("stalled"),
        on_recovered=lambda: said.append("recovered"),
        pending_bytes=pending_bytes,
    )
    made = World(store, committer, said, fenced)
    committer.start()
    yield made
    await committer.close()


async def idle() -> None:
    """Until nothing is left to do before the next timer."""
    for _ in range(10):
        await asyncio.sleep(0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def flushing(committer: Committer, match: Match) -> asyncio.Task[None]:
    task = asyncio.create_task(committer.flush(match))
    await idle()
    return task


def reason(task: asyncio.Task[None]) -> str:
    error = task.exception()
    assert isinstance(error, Unavailable)
    return error.reason


def spans(segments: list[Segment]) -> list[tuple[str, int, int]]:
    return [(segment.session_id, segment.first, segment.last) for segment in segments]


def test_a_demand_is_committed_at_once_with_everything_before_it() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge(3)
            made.committer.demand(match)
            assert spans(await made.store.answer()) == [("a", 1, 3)]
            assert match.durable == [3]
            assert now() == 0

    run(scenario())


def test_what_comes_up_during_a_commit_shares_the_next_one() -> None:
    async def scenario() -> None:
        async with world() as made:
            first, second, third = made.match("a"), made.match("b"), made.match("c")
            first.judge()
            made.committer.demand(first)
            await idle()
            for match in (first, second, first):
                match.judge(2)
                made.committer.demand(match)
            third.judge()
            assert spans(await made.store.answer()) == [("a", 1, 1)]
            assert first.durable == [1]
            assert spans(await made.store.answer()) == [("a", 2, 5), ("b", 1, 2)]
            assert (first.durable, second.durable, third.durable) == ([1, 5], [2], [])
            assert made.store.most == 1
            assert now() == 0
            assert spans(await made.store.answer()) == [("c", 1, 1)]
            assert now() == pytest.approx(FLUSH_S)

    run(scenario())


def test_busy_commits_begin_apart_quiet_ones_at_once() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            for records, began in ((BUSY_RECORDS, 0.0), (1, BUSY_GAP_S), (BUSY_RECORDS - 1, BUSY_GAP_S)):
                match.judge(records)
                made.committer.demand(match)
                await made.store.answer()
                assert now() == pytest.approx(began)
            match.judge(BUSY_RECORDS)
            made.committer.demand(match)
            _, answer = await made.store.asked.get()
            await asyncio.sleep(BUSY_GAP_S)
            answer.set_result(frozenset())
            match.judge()
            made.committer.demand(match)
            await made.store.answer()
            assert now() == pytest.approx(2 * BUSY_GAP_S)

    run(scenario())


def test_nobody_waits_for_volatile_records_but_they_are_committed_regularly() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            for period in (1, 2, 3):
                match.judge()
                assert spans(await made.store.answer()) == [("a", period, period)]
                assert now() == pytest.approx(period * FLUSH_S)

    run(scenario())


def test_a_commit_without_an_answer_is_repeated_as_it_was_with_growing_pauses() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge(2)
            made.committer.demand(match)
            first = await made.store.fail()
            times = [now()]
            for _ in range(6):
                match.judge()
                made.committer.demand(match)
                again = await made.store.fail()
                assert all(a is b for a, b in zip(again, first, strict=True))
                times.append(now())
            pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert pauses == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.25])
            assert match.durable == []
            assert await made.store.answer() == first
            assert match.durable == [2]
            assert spans(await made.store.answer()) == [("a", 3, 8)]
            assert match.durable == [2, 8]

    run(scenario())


def test_runs_that_wait_are_joined_and_the_newest_save_goes_with_them() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge()
            made.committer.demand(match)
            await idle()
            for save in (True, True, False):
                match.judge(2)
                match.save_due = save
                await asyncio.sleep(FLUSH_S * 1.01)
            await made.store.answer()
            (segment,) = await made.store.answer()
            assert (segment.first, segment.last, segment.time_us) == (2, 7, 700)
            assert segment.payload == b"".join(number.to_bytes(SIZE) for number in range(2, 8))
            assert segment.save == Save(5, 0, b"save")

    run(scenario())


def test_a_fault_that_is_no_answer_either_loses_nothing() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge()
            made.committer.demand(match)
            await made.store.fail(RuntimeError("a bug"))
            assert spans(await made.store.answer()) == [("a", 1, 1)]
            assert match.durable == [1]

    run(scenario())


def test_a_fenced_match_is_forgotten_and_told_once() -> None:
    async def scenario() -> None:
        async with world() as made:
            lost, kept = made.match("a"), made.match("b")
            for match in (lost, kept):
                match.judge()
            flushed = await flushing(made.committer, lost)
            made.committer.demand(kept)
            lost.judge()
            made.committer.demand(lost)
            await made.store.answer()  # of the first, which was alone
            assert flushed.done()
            waiting = await flushing(made.committer, lost)
            await made.store.answer("a")
            assert made.fenced == [lost]
            assert reason(waiting) == "SESSION_MOVED"
            assert (lost.durable, kept.durable) == ([1], [1])
            lost.judge()
            made.committer.demand(lost)
            kept.judge()
            assert spans(await made.store.answer()) == [("b", 2, 2)]
            assert made.fenced == [lost]

    run(scenario())


def test_a_removed_match_is_not_told_and_its_session_may_come_back() -> None:
    async def scenario() -> None:
        async with world() as made:
            old = made.match("a")
            old.judge()
            waiting = await flushing(made.committer, old)
            old.judge()
            made.committer.remove(old)
            await idle()
            assert reason(waiting) == "SESSION_MOVED"
            new = made.match("a")
            new.judge()
            made.committer.demand(new)
            assert spans(await made.store.answer("a")) == [("a", 1, 1)]
            assert spans(await made.store.answer()) == [("a", 1, 1)]
            assert (old.durable, new.durable, made.fenced) == ([], [1], [])

    run(scenario())


def test_stalled_after_the_wait_and_recovered_by_the_next_commit() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge()
            waiting = await flushing(made.committer, match)
            _, answer = await made.store.asked.get()
            await asyncio.sleep(WAIT_S * 0.99)
            assert made.said == []
            await asyncio.sleep(WAIT_S * 0.02)
            assert made.said == ["stalled"]
            assert reason(waiting) == "JOURNAL_UNAVAILABLE"
            with pytest.raises(Unavailable, match="does not answer"):
                await made.committer.flush(match)
            answer.set_exception(Unavailable("late", reason="DATABASE_UNAVAILABLE"))
            await asyncio.sleep(WAIT_S)
            assert made.said == ["stalled"]
            await made.store.answer()
            assert made.said == ["stalled", "recovered"]
            assert not made.committer.stalled
            assert match.durable == [1]
            assert made.store.most == 1

    run(scenario())


def test_too_much_that_waits_stalls_at_once() -> None:
    async def scenario() -> None:
        async with world(pending_bytes=5 * SIZE) as made:
            match = made.match()
            match.judge(3)
            made.committer.demand(match)
            await idle()
            match.judge(2)
            await asyncio.sleep(FLUSH_S)
            assert made.said == []
            match.judge(1)
            await asyncio.sleep(FLUSH_S)
            assert made.committer.stalled
            await made.store.answer()
            assert made.said == ["stalled", "recovered"]
            assert spans(await made.store.answer()) == [("a", 4, 6)]

    run(scenario())


def test_flush_waits_for_what_was_judged_before_it_and_no_more() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            await made.committer.flush(match)
            match.judge()
            first = await flushing(made.committer, match)
            same = await flushing(made.committer, match)
            match.judge()
            second = await flushing(made.committer, match)
            await made.store.answer()
            assert (first.done(), same.done(), second.done()) == (True, True, False)
            match.judge()
            await made.store.answer()
            assert second.done()
            assert match.durable == [1, 2]
            await made.store.answer()

    run(scenario())


def test_a_caller_that_gives_up_its_flush_changes_nothing() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge()
            waiting = await flushing(made.committer, match)
            waiting.cancel()
            await made.store.answer()
            assert waiting.cancelled()
            assert match.durable == [1]

    run(scenario())


def test_flush_of_a_match_nobody_added() -> None:
    async def scenario() -> None:
        async with world() as made:
            with pytest.raises(Unavailable) as raised:
                await made.committer.flush(Match())
            assert raised.value.reason == "SESSION_MOVED"

    run(scenario())


def test_listeners_and_matches_that_fail_harm_only_themselves() -> None:
    class Deaf(Match):
        def committed(self, sequence: int) -> None:
            raise RuntimeError("deaf")

    class Torn(Match):
        def take_segment(self) -> Segment | None:
            raise RuntimeError("torn")

    async def scenario() -> None:
        async with world() as made:
            deaf, torn, sound = Deaf("a"), Torn("b"), Match("c")
            matches: list[Match] = [deaf, torn, sound]
            for match in matches:
                made.committer.add(match)
                match.judge()
                made.committer.demand(match)
            await made.store.answer()
            assert sound.durable == [1]
            assert made.fenced == [torn]

    run(scenario())


def test_close_commits_what_is_left() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge()
            made.committer.demand(match)
            await idle()
            match.judge()
            closing = asyncio.create_task(made.committer.close())
            assert spans(await made.store.answer()) == [("a", 1, 1)]
            assert spans(await made.store.answer()) == [("a", 2, 2)]
            await closing
            assert match.durable == [1, 2]
            match.judge()
            await asyncio.sleep(2 * FLUSH_S)
            assert made.store.asked.empty()

    run(scenario())


def test_close_gives_up_after_the_wait() -> None:
    async def scenario() -> None:
        async with world() as made:
            match = made.match()
            match.judge()
            waiting = await flushing(made.committer, match)
            await made.committer.close()
            assert now() == pytest.approx(WAIT_S)
            assert reason(waiting) == "JOURNAL_UNAVAILABLE"
            assert made.store.under_way == 0

    run(scenario())


class Ledger:
    """Answers by a script: how long each commit takes, and whether its answer arrives."""

    def __init__(self, script: list[tuple[int, bool, bool]]) -> None:
        self.script = list(script)
        self.faults: list[str] = []
        self.written: dict[str, list[int]] = {}

    async def commit(self, _owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        wait_ms, applied, answered = self.script.pop() if self.script else (1, True, True)
        await asyncio.sleep(wait_ms / 1000)
        if not applied:
            raise Unavailable("lost on the way", reason="DATABASE_UNAVAILABLE")
        for segment in segments:
            found = [
                int.from_bytes(segment.payload[at : at + SIZE]) for at in range(0, len(segment.payload), SIZE)
            ]
            journal = self.written.setdefault(segment.session_id, [])
            if len(journal) < segment.last:
                if found != list(range(len(journal) + 1, segment.last + 1)):
                    self.faults.append(f"{segment.session_id} at {len(journal)} is given {found}")
                journal += found
        if not answered:
            raise Unavailable("the answer is lost", reason="DATABASE_UNAVAILABLE")
        return frozenset()

    async def read(self, session_id: str, after: int, limit: int) -> list[Segment]:
        raise NotImplementedError

    async def save_before(self, session_id: str, tick: int | None = None) -> Save | None:
        raise NotImplementedError


# Each case is a simulation of its own, of seconds to minutes.
@settings(max_examples=settings().max_examples // 10)
@given(
    script=st.lists(st.tuples(st.integers(0, 3000), st.booleans(), st.booleans()), max_size=30),
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from("dfn"), st.integers(0, 300)),
        max_size=60,
    ),
)
def test_whatever_happens_every_journal_is_gapless_and_nothing_is_told_too_early(
    script: list[tuple[int, bool, bool]], steps: list[tuple[int, int, str, int]]
) -> None:
    class Checked(Match):
        def committed(self, sequence: int) -> None:
            if len(ledger.written[self.session_id]) < sequence:
                ledger.faults.append(f"{self.session_id} is told of {sequence} too early")
            super().committed(sequence)

    async def scenario() -> None:
        committer = Committer(
            ledger,
            "w",
            flush_s=FLUSH_S,
            wait_s=WAIT_S,
            on_fenced=lambda match: ledger.faults.append(f"{match.session_id} is fenced"),
            on_stalled=lambda: said.append(True),
            on_recovered=lambda: said.append(False),
        )
        matches = [Checked(name) for name in "abc"]
        for match in matches:
            committer.add(match)
        committer.start()
        flushes = []
        for who, records, ask, wait_ms in steps:
            match = matches[who]
            match.judge(records)
            if ask == "d":
                committer.demand(match)
            elif ask == "f":
                flushes.append(asyncio.create_task(committer.flush(match)))
            await asyncio.sleep(wait_ms / 1000)
        # The script ends, so does the outage: whatever is left becomes durable.
        async with asyncio.timeout(sum(wait_ms for wait_ms, _, _ in script) / 1000 + 60):
            while any(match.durable[-1:] != [match.sequence] for match in matches if match.sequence):  # noqa: ASYNC110
                await asyncio.sleep(FLUSH_S)
        await asyncio.gather(*flushes, return_exceptions=True)
        assert not committer.stalled
        await committer.close()

    ledger = Ledger(script)
    said: list[bool] = []
    run(scenario())
    assert not ledger.faults
    assert said == [True, False] * (len(said) // 2)

"""Any history, each step by another process, which has to read what the last one wrote: it comes to the same
as without a database."""

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from services.chassis import clock
from services.chassis.db import Database
from services.chassis.errors import DomainError
from services.fairness.audit_log import AuditLog
from services.fairness.batch import Command, Turn, observed
from services.fairness.domain.finding import Reading
from services.fairness.domain.flag import Verdict
from services.fairness.domain.player import Draft, Player
from services.fairness.domain.sanction import State
from services.fairness.store import Asked, PlayerStore
from tests.support import judged
from tests.support.judged import Judge, define, judge
from tests.unit.fairness.judging import World

Change = Callable[[Draft], object]
MINUTE = timedelta(minutes=1)
RULES: Mapping[str, dict[str, object]] = {
    "bound": {"bound": {"most": "3", "per": "600s"}},
    "flood": {"flood": {"rate_milli": "100", "burst": "1", "strikes": "2", "per": "600s"}},
    "ratio": {"ratio": {"honest_milli": "300", "cheat_milli": "900", "threshold_milli": "2000"}},
    "drift": {
        "drift": {"baseline": 8, "allowance_milli": "100", "threshold_milli": "2000", "least_scale": "1"}
    },
    "outlier": {"outlier": {"threshold_milli": "3500", "least_peers": "10", "least_scale": "1", "days": 2}},
}
MODES = dict(zip(RULES, ("BLOCK", "THROTTLE", "FLAG", "FLAG", "SHADOW"), strict=True))


class History:
    """Random steps, done to a player in memory and to the same one in PostgreSQL."""

    def __init__(self, seed: int, world: World, processes: list[Judge], patch: pytest.MonkeyPatch) -> None:
        self._chance = random.Random(seed)
        self._world = world
        self._processes = processes
        patch.setattr(clock, "now", lambda: world.now)
        self.done = 0

    async def step(self) -> None:
        world, chance = self._world, self._chance
        world.later(timedelta(seconds=chance.choice([0, 1, 1, 1, 5, 5, 60, 600, 90_000])))
        if chance.random() < 0.7:
            await self._hear()
        else:
            who, change = self._judgement()
            await self._done(change, Command((world.player.id,), _decided(change), who), who)

    async def _hear(self) -> None:
        world, chance = self._world, self._chance
        world.events += 1
        names = chance.sample(sorted(RULES), 2)
        hits = chance.choice([1, 2, 9])
        readings = {name: Reading(hits, hits if name == "ratio" else 0) for name in names}
        event, at = f"e{world.events}", world.now - timedelta(seconds=chance.randint(0, 3))
        catalogue = self._processes[0].store.known
        command = observed(event, at, {world.player.id: readings}, catalogue)
        await self._done(lambda draft: draft.observe(event, at, readings), command, "")

    def _judgement(self) -> tuple[str, Change]:
        world, chance = self._world, self._chance
        until = chance.choice([None, world.now + 10 * MINUTE, world.now + 40 * MINUTE])
        flag_id = chance.choice(world.flags).id if world.flags else "f-0"
        verdict = chance.choice(list(Verdict))
        state, hide = chance.choice([State.THROTTLED, State.BLOCKED]), chance.random() < 0.5
        changes: list[Change] = [
            lambda draft: draft.decide(flag_id, verdict, 'é\n"', until),
            lambda draft: draft.appeal(flag_id, "It wasn't me: \\ \u2028"),
            lambda draft: draft.block("Rude.", state, until, hide_scores=hide),
            lambda draft: draft.unblock("Enough."),
        ]
        return f"operator:{chance.choice(['ann', 'bob'])}", chance.choice(changes)

    async def _done(self, change: Change, command: Command, actor: str) -> None:
        self.done += 1
        outcomes = []
        try:
            self._world.act(change, actor)
            outcomes.append("")
        except DomainError as error:
            outcomes.append(error.reason)
        try:
            await self._processes[self.done % len(self._processes)].run(command)
            outcomes.append("")
        except DomainError as error:
            outcomes.append(error.reason)
        assert outcomes[0] == outcomes[1]


def _decided(change: Change) -> Callable[[Turn], bytes]:
    def decide(turn: Turn) -> bytes:
        change(turn.player("p"))
        return b""

    return decide


async def stored(database: Database) -> Player:
    store = PlayerStore(AuditLog())
    asked = Asked(frozenset({"p"}), frozenset(), frozenset())
    loaded, _ = await database.transaction(lambda connection: store.load(connection, asked))
    return loaded.players["p"]


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_stored_is_what_the_rules_made(
    seed: int, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = dict(judged.SHOTS)
    for id_, rule in RULES.items():
        of = {"of": "shots"} if id_ == "ratio" else {}
        mode = f"DETECTOR_MODE_{MODES[id_]}"
        fields: dict[str, Any] = {"mode": mode, "signals": [signal | of], "boards": [id_], "hold": "900s"}
        await define(database, id_, **fields, **rule)
    async with judge(database_url) as one, judge(database_url) as other:
        world = World(dict(one.store.known.detectors))
        history = History(seed, world, [one, other], monkeypatch)
        for _ in range(120):
            await history.step()
        assert await stored(database) == world.player
    told = [each for draft in world.drafts for each in draft.told]
    assert len(await judged.told(database)) == len(told)
    assert len(world.flags) >= 3
    assert any(it.decisions and it.appeal for it in world.flags)
    assert len(world.sanctions) > 10
    await judged.check(database)

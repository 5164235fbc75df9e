"""Fairness in a live match: who cheats is found, off the boards, and back on them when it was wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from arenamesh.client import Mesh, connect
from arenamesh.liveops.v1 import flag_pb2

from services.mesh import probes
from tests.support.mesh import Supervisor, environment, token

AIMBOT, HASTY = "bot-ash", "bot-birch"
BOTS = ("--one-stream", "--bots", "8", "--seed", "7", "--cheat", "aim", "--cheat", "speed")
MINUTE_US = 60_000_000


@asynccontextmanager
async def bots(mesh: Supervisor, *options: str) -> AsyncIterator[None]:
    """That play until the end of the block."""
    command = ("-m", "arenamesh.bots", "--edge", mesh.target, *options)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment())
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def flagged(operator: Mesh, player: str = "") -> dict[str, flag_pb2.Flag]:
    """Flags by id, without those of detectors that are only watched."""
    return {flag.id: flag async for flag in operator.fairness.flags(player_id=player)}


async def ranked(operator: Mesh, player: str) -> bool:
    """Whether it is on the board of damage."""
    return bool(await operator.leaderboard.players([player], "damage"))


async def test_cheats_are_found_within_a_minute_and_honest_bots_are_not(mesh: Supervisor) -> None:
    async with connect(mesh.target, token=partial(token, "olga", "operator")) as operator:

        async def both() -> bool:
            return bool(await flagged(operator, AIMBOT) and await flagged(operator, HASTY))

        async def hidden() -> bool:
            return not await ranked(operator, AIMBOT) and not await ranked(operator, HASTY)

        async with asyncio.timeout(150), bots(mesh, *BOTS):
            await probes.until(both)
        found = await flagged(operator)
        about = [flag for flag in found.values() if flag.player_id.startswith("bot-")]
        assert {flag.player_id for flag in about} == {AIMBOT, HASTY}
        for flag in about:
            evidence = (await operator.fairness.flag(flag.id)).evidence
            begun, seen = evidence.inputs[0].at.ToMicroseconds(), evidence.inputs[-1].at.ToMicroseconds()
            assert seen - begun <= MINUTE_US, evidence.summary
            replayed = await operator.fairness.replay(flag.id)
            assert (replayed.same, replayed.intact) == (True, True)
            assert (replayed.inputs_kept, replayed.inputs_differ) == (len(evidence.inputs), 0)

        async def acquitted() -> bool:
            """The end of the match may still be on its way to a detector."""
            for player in (AIMBOT, HASTY):
                for flag in (await flagged(operator, player)).values():
                    if flag.state == flag_pb2.FLAG_STATE_OPEN:
                        await operator.fairness.dismiss(flag.id, "It was a test.")
            return await ranked(operator, AIMBOT) and await ranked(operator, HASTY)

        async with asyncio.timeout(30):
            await probes.until(hidden)
            await probes.until(acquitted)

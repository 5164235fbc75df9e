"""Steps the bots of one stream: a player's own, or a game server's with many seats."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping

from arenamesh.bots.brain import Brain
from arenamesh.bots.tally import Tally
from arenamesh.client import Batch, Match, SessionEnded
from arenamesh.combat.v1 import play_pb2

# A step that comes later than this is taken as one of this length: nobody leaps after a pause.
_STEP_MOST_S = 0.15


async def drive(match: Match, brains: Mapping[int, Brain], tally: Tally, step_s: float) -> None:
    """Plays until the match is over. `brains`: by seat.

    Raises:
        MeshError: the match broke.
    """
    sent: deque[Batch] = deque()
    reconnects = 0
    last = due = time.monotonic()
    try:
        while not match.over.is_set():
            due = max(due + step_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            now = time.monotonic()
            _learn(sent, brains, tally, now)
            commands = _step(match, brains, now, min(now - last, _STEP_MOST_S))
            last = now
            if commands:
                sent.append(await match.send(*commands))
            tally.kills += sum(
                event.kill.killer in brains and event.kill.killer != event.kill.victim
                for event in match.events.take()
                if event.HasField("kill")
            )
            tally.rtt_s.extend(match.rtt_s)
            match.rtt_s.clear()
            tally.reconnects += match.reconnects - reconnects
            reconnects = match.reconnects
    except SessionEnded:
        return


def _step(match: Match, brains: Mapping[int, Brain], now: float, dt: float) -> list[play_pb2.Command]:
    world = match.world
    others = world.at(match.view)
    commands = []
    for slot, brain in brains.items():
        me = world.player(slot)
        if me is None:
            continue
        for command in brain.step(me, others, now, dt):
            command.slot = slot
            commands.append(command)
    return commands


def _learn(sent: deque[Batch], brains: Mapping[int, Brain], tally: Tally, now: float) -> None:
    while sent and sent[0].judged:
        batch = sent.popleft()
        for command, verdict in zip(batch.commands, batch.verdicts, strict=True):
            assert verdict is not None
            tally.judged(command, verdict)
            brains[command.slot].answered(command, verdict, now)

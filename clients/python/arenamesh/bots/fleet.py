"""A number of bots through match after match: finds or makes the session, seats them, plays, starts again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

from arenamesh.bots.arsenal import Arsenal
from arenamesh.bots.brain import Brain
from arenamesh.bots.cheat import Cheat
from arenamesh.bots.credentials import TokenFor, get
from arenamesh.bots.driver import drive
from arenamesh.bots.tally import Tally, show
from arenamesh.bots.terrain import Terrain
from arenamesh.client import Backoff, Match, Mesh, MeshError, SessionStatus, SessionType, connect
from arenamesh.client.errors import InvalidArgument, Kicked, NotFound, PermissionDenied, Unauthenticated
from arenamesh.combat.v1 import session_pb2

_TYPES = {
    "duel": SessionType.SESSION_TYPE_DUEL,
    "team_deathmatch": SessionType.SESSION_TYPE_TEAM_DEATHMATCH,
    "battle_royale": SessionType.SESSION_TYPE_BATTLE_ROYALE,
    "raid": SessionType.SESSION_TYPE_RAID,
}
_NAMES = [
    "ash",
    "birch",
    "cedar",
    "dogwood",
    "elm",
    "fir",
    "gingko",
    "hazel",
    "ivy",
    "juniper",
    "kapok",
    "larch",
    "maple",
    "nutmeg",
    "oak",
    "pine",
]
# Of a session that is joined: somebody has ended it.
_OVER = (SessionStatus.SESSION_STATUS_ENDED, SessionStatus.SESSION_STATUS_ABORTED)
# Trying again does not help.
_HOPELESS = (InvalidArgument, PermissionDenied, Unauthenticated)
# Room for people to join the bots' match.
_SPARE_SEATS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play."""

    edge: str
    bots: int
    seed: int
    map_id: str = "yard"
    mode: str = "deathmatch"
    session_id: str = ""
    """Join this one; empty: create sessions."""
    matches: int = 0
    """Then stop; 0: match after match without end. A session that is joined is one match."""
    one_stream: bool = False
    """All bots on one game server's stream, instead of a player's stream each."""
    moves_hz: float = 20.0
    cheats: tuple[Cheat, ...] = ()
    """Of the first bots, one each; the others are honest."""
    map_file: Path | None = None
    ruleset_file: Path | None = None
    pause_s: float = 4.0
    """Between two matches."""


class Fleet:
    def __init__(self, plan: Plan, tokens: TokenFor, tally: Tally) -> None:
        self._plan = plan
        self._tokens = tokens
        self._tally = tally
        self._documents: dict[str, Any] = {}
        self._backoff = Backoff(first_s=0.5, max_s=5.0)

    async def run(self) -> None:
        """Plays match after match. A mesh that is away, or loses a match, is waited for.

        Raises:
            MeshError: refused for a reason that stays, or the one session to join is not there.
        """
        played = failures = 0
        while True:
            try:
                async with self._session() as session:
                    if session.status in _OVER:
                        return
                    await self._play(session)
            except (MeshError, OSError) as error:
                if isinstance(error, _HOPELESS) or (self._plan.session_id and isinstance(error, NotFound)):
                    raise
                failures += 1
                show(f"trying again: {error}")
                await asyncio.sleep(self._backoff.delay(failures))
                continue
            failures, played = 0, played + 1
            if self._plan.session_id or played == self._plan.matches:
                return
            await asyncio.sleep(self._plan.pause_s)

    # -- the session --------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[session_pb2.Session]:
        """The session to play in; one that was made here is ended when it is left early."""
        plan = self._plan
        async with self._connect("bots", "game_server") as mesh:
            if plan.session_id:
                yield await mesh.combat.get_session(plan.session_id)
                return
            session = await mesh.combat.create_session(
                f"Bots on {plan.map_id}",
                type=_TYPES.get(plan.mode, SessionType.SESSION_TYPE_TRAINING),
                map_id=plan.map_id,
                mode=plan.mode,
                max_players=max(16, plan.bots + _SPARE_SEATS),
                min_players=1,
            )
            try:
                yield session
            finally:
                # Too late, or nobody there to hear it: an empty session ends by itself.
                with contextlib.suppress(MeshError, TimeoutError):
                    async with asyncio.timeout(2.0):
                        if (await mesh.combat.get_session(session.session_id)).status in (
                            SessionStatus.SESSION_STATUS_WAITING,
                            SessionStatus.SESSION_STATUS_ACTIVE,
                        ):
                            await mesh.combat.end_session(session.session_id)

    def _connect(self, subject: str, role: str) -> Mesh:
        return connect(self._plan.edge, token=self._tokens(subject, role))

    # -- the match ----------------------------------------------------------------------------

    async def _play(self, session: session_pb2.Session) -> None:
        arsenal = Arsenal.load(await self._ruleset(session))
        terrain = Terrain(await self._map(session))
        self._tally.matches += 1
        where = f"session {session.session_id}, {session.game_mode} on {session.map_id}"
        show(f"match {self._tally.matches}: {where}")
        brains = [
            Brain(
                arsenal,
                terrain,
                Random(f"{self._plan.seed}/{self._tally.matches}/{index}"),
                friendly_teams=arsenal.teams.get(session.game_mode, 0) > 0,
                cheat=cheat,
            )
            for index, cheat in zip_longest(range(self._plan.bots), self._plan.cheats)
        ]
        if self._plan.one_stream:
            await self._play_one_stream(session.session_id, brains)
        else:
            try:
                async with asyncio.TaskGroup() as group:
                    for index, brain in enumerate(brains):
                        group.create_task(self._play_seat(session.session_id, index, brain))
            except* (MeshError, OSError) as errors:
                raise errors.exceptions[0] from errors

    async def _play_one_stream(self, session_id: str, brains: list[Brain]) -> None:
        async with self._connect("bots", "game_server") as mesh:
            seats = {}
            for index, brain in enumerate(brains):
                seats[(await mesh.combat.join(session_id, _name(index))).slot] = brain
            async with mesh.play(session_id) as match:
                await self._drive(match, seats)

    async def _play_seat(self, session_id: str, index: int, brain: Brain) -> None:
        async with self._connect(_name(index), "player") as mesh:
            seat = await mesh.combat.join(session_id)
            async with mesh.play(session_id) as match:
                try:
                    await self._drive(match, {seat.slot: brain})
                except Kicked as error:
                    show(f"{_name(index)} was removed: {error.reason}")

    async def _drive(self, match: Match, seats: dict[int, Brain]) -> None:
        await drive(match, seats, self._tally, 1 / self._plan.moves_hz)

    # -- data ---------------------------------------------------------------------------------

    async def _map(self, session: session_pb2.Session) -> Any:
        return await self._document(self._plan.map_file, f"maps/{session.map_id}.json")

    async def _ruleset(self, session: session_pb2.Session) -> Any:
        ruleset = session.ruleset
        return await self._document(
            self._plan.ruleset_file, f"rulesets/{ruleset.name}-{ruleset.version}.json"
        )

    async def _document(self, file: Path | None, path: str) -> Any:
        if path not in self._documents:
            text = (
                await asyncio.to_thread(file.read_bytes)
                if file
                else await get(f"http://{self._plan.edge}/{path}")
            )
            self._documents[path] = json.loads(text)
        return self._documents[path]


def _name(index: int) -> str:
    lap, tree = divmod(index, len(_NAMES))
    return f"bot-{_NAMES[tree]}{lap + 1 if lap else ''}"

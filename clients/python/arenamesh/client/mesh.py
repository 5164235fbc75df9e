"""The door: a channel to the edge, and what can be done through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from arenamesh.client.calls import Caller
from arenamesh.client.combat import Combat
from arenamesh.client.fairness import Fairness
from arenamesh.client.gamification import Gamification
from arenamesh.client.ingest import Ingest
from arenamesh.client.leaderboard import Leaderboard
from arenamesh.client.match import Match
from arenamesh.client.options import PlayOptions
from arenamesh.client.progression import Progression
from arenamesh.client.retry import Backoff
from arenamesh.client.tokens import Token, TokenSource
from arenamesh.combat.v1 import service_pb2_grpc
from arenamesh.liveops.v1 import (
    fairness_service_pb2_grpc,
    ingest_service_pb2_grpc,
    leaderboard_service_pb2_grpc,
)
from arenamesh.progression.v1 import service_pb2_grpc as progression_grpc

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A dead path is noticed in 25 s also when nothing is being sent; Envoy accepts such pings.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Keeps the receive window at 64 KiB. Probing lets megabytes of old snapshots pile up on the way to a
    # reader that is slow for a moment; a game wants the newest.
    ("grpc.http2.bdp_probe", 0),
    # The first tries after a lost connection come quickly; the retry policy above adds its own wait.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
)


def connect(
    target: str,
    *,
    token: Token,
    tls: bool | grpc.ChannelCredentials = False,
    deadline_s: float = 5.0,
    backoff: Backoff | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> Mesh:
    """A mesh to use as `async with connect(...) as mesh`. Nothing is sent before the first call.

    Args:
        target: `host:port` of the edge.
        token: bearer token, or a function (plain or async) that returns a fresh one when it runs out.
        tls: True for the system's certificates, or credentials of your own.
        deadline_s: how long a unary call may take.
        backoff: how idempotent calls are tried again.
        options: gRPC channel options on top of `CHANNEL_OPTIONS`.
    """
    return Mesh(target, token=token, tls=tls, deadline_s=deadline_s, backoff=backoff, options=options)


class Mesh:
    """Calls and streams of one identity.

    Attributes:
        combat: sessions, seats, single commands.
        progression: paragon, prestige, mastery.
        gamification: metrics, achievements, quests, rewards, what players are told.
        leaderboard: boards, scores, ranks.
        ingest: events from outside, signed.
        fairness: what was found about players, and what follows.
    """

    def __init__(
        self,
        target: str,
        *,
        token: Token,
        tls: bool | grpc.ChannelCredentials = False,
        deadline_s: float = 5.0,
        backoff: Backoff | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        merged = list({**dict(CHANNEL_OPTIONS), **dict(options)}.items())
        if tls is False:
            self.channel = aio.insecure_channel(target, options=merged)
        else:
            credentials = grpc.ssl_channel_credentials() if tls is True else tls
            self.channel = aio.secure_channel(target, credentials, options=merged)
        self._tokens = TokenSource(token)
        self._stub = service_pb2_grpc.CombatServiceStub(self.channel)
        caller = Caller(self._tokens, deadline_s=deadline_s, backoff=backoff or Backoff())
        self.combat = Combat(self._stub, caller)
        self.progression = Progression(progression_grpc.ProgressionServiceStub(self.channel), caller)
        self.gamification = Gamification(self.channel, caller)
        self.leaderboard = Leaderboard(
            leaderboard_service_pb2_grpc.LeaderboardServiceStub(self.channel), caller
        )
        self.ingest = Ingest(ingest_service_pb2_grpc.IngestServiceStub(self.channel), caller)
        self.fairness = Fairness(fairness_service_pb2_grpc.FairnessServiceStub(self.channel), caller)

    def play(self, session_id: str, options: PlayOptions | None = None, **changes: Any) -> Match:
        """A match to use as `async with mesh.play(session_id) as match`.

        A player must have joined before. `changes` are fields of `PlayOptions`:
        `mesh.play(session_id, snapshot_rate_hz=20)`.
        """
        return Match(self._stub, session_id, self._tokens, replace(options or PlayOptions(), **changes))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.channel.close()

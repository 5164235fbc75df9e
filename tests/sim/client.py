"""Players and game servers: they act, wait for verdicts, lose their streams, come back and ask again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from arenamesh.combat.v1 import event_pb2, play_pb2, verdict_pb2

from services.chassis.auth import Principal, Role
from services.chassis.errors import DomainError, FailedPrecondition
from tests.sim.edge import Call, Edge
from tests.sim.history import History
from tests.sim.trace import Trace

OUTSTANDING = 6
_FOREVER = 1 << 40
_LOST = (verdict_pb2.REASON_BAD_SEQUENCE, verdict_pb2.REASON_REPEAT_TOO_OLD, verdict_pb2.REASON_UNKNOWN_SLOT)


class Client:
    """Plays the seats of `players` over one stream: its own, or as a game server several.

    `idle_s`: the time between two frames. `patience_s`: how long an answer may take before the client
    gives its stream up.
    """

    def __init__(
        self,
        edge: Edge,
        history: History,
        draw: random.Random,
        players: Sequence[str],
        *,
        server: bool,
        idle_s: float,
        patience_s: float,
        trace: Trace,
    ) -> None:
        self.name = f"s-{players[0]}" if server else players[0]
        self.answered_at = 0.0
        """When the newest command that was answered durably was sent."""
        self.over = False
        """The session has ended."""
        self.stopping = False
        self._edge = edge
        self._loop = edge.loop
        self._history = history
        self._draw = draw
        self._server = server
        self._idle_s = idle_s
        self._patience_s = patience_s
        self._trace = trace
        self._caller = Principal(
            "server" if server else players[0], Role.GAME_SERVER if server else Role.PLAYER, _FOREVER
        )
        self._seats: dict[int, str] = {}
        self._players = list(players)
        self._sequences = dict.fromkeys(players, 0)
        self._open: dict[tuple[str, int], play_pb2.Command] = {}
        """Commands without a verdict, in order."""
        self._seen = 0
        self._call: Call | None = None
        self._welcome = False
        self._resend = False
        self._frame = 0
        self._frames: dict[int, list[tuple[str, int]]] = {}
        self._unanswered: set[tuple[str, int]] = set()
        """Sent on this stream."""
        self._heard_at = 0.0
        self._events: list[event_pb2.Event] = []
        self._places: dict[int, tuple[float, float, float]] = {}

    def wrong(self, text: str) -> None:
        self._history.wrong(text)

    # -- its life ---------------------------------------------------------------------------------

    async def live(self) -> None:
        """Until it is told to stop, or the session is over."""
        for player in self._players:
            await self._join(player)
        while not (self.stopping or self.over):
            self._connect()
            await self._play()
            if self._call is not None:
                self._call.cancel()
            await asyncio.sleep(0.02 + 0.1 * self._draw.random())

    async def _join(self, player: str) -> None:
        history = self._history
        while not (self.stopping or self.over):
            try:
                slot = await self._edge.unary(
                    history.session_id, lambda host: host.join(history.session_id, player)
                )
            except FailedPrecondition as error:
                self._refused(error)
            except DomainError:
                pass
            else:
                self._seats[slot] = player
                history.told_seat(player, slot)
                self._trace.add(self.name, "seated", player, slot)
                return
            await asyncio.sleep(0.05 + 0.1 * self._draw.random())

    def _refused(self, error: BaseException) -> None:
        if isinstance(error, DomainError) and error.reason in ("SESSION_OVER", "ENDED"):
            self._history.told_over()
            self.over = True

    def _connect(self) -> None:
        self._welcome = False
        self._frame = 0
        self._frames.clear()
        self._unanswered.clear()
        self._events = []
        self._history.events.append(self._events)
        self._heard_at = self._loop.now
        self._call = call = self._edge.open(self._history.session_id, self._caller, self)
        hello = play_pb2.Hello(
            session_id=self._history.session_id, protocol=1, resume_sequence=self._seen, snapshot_rate_hz=1
        )
        call.send(play_pb2.PlayRequest(hello=hello).SerializeToString())
        self._trace.add(self.name, "connect", self._seen)

    async def _play(self) -> None:
        call, draw = self._call, self._draw
        assert call is not None
        while True:
            await asyncio.sleep(self._idle_s * (0.5 + draw.random()))
            if call.over or self.stopping or self.over:
                return
            if (not self._welcome or self._open) and self._loop.now - self._heard_at > self._patience_s:
                self._trace.add(self.name, "impatient")
                return
            if self._welcome:
                self._act(call)
            what = draw.random()
            if what < 0.01:
                self._trace.add(self.name, "drop")
                return
            if what > 0.8:
                asyncio.ensure_future(self._look())  # noqa: RUF006 - the loop keeps every task

    async def _look(self) -> None:
        """Reads the state, with the patience of a spectator."""
        history = self._history
        try:
            sequence, at = await self._edge.unary(
                history.session_id, lambda host: host.read(history.session_id), timeout_s=6.0
            )
        except DomainError:
            return
        self._trace.add(self.name, "read", sequence)
        history.read(sequence, at)

    # -- frames -----------------------------------------------------------------------------------

    def _act(self, call: Call) -> None:
        if self._resend:
            self._resend = False
            commands = list(self._open.values())
        else:
            commands = [] if self.stopping or len(self._open) >= OUTSTANDING else self._something()
        if not commands:
            return
        if not self._open:
            self._heard_at = self._loop.now
        self._frame += 1
        keys = [(self._seats[command.slot], command.sequence) for command in commands]
        self._open.update(zip(keys, commands, strict=True))
        self._frames[self._frame] = keys
        self._unanswered.update(keys)
        self._trace.add(self.name, "send", self._frame, *keys)
        call.send(play_pb2.PlayRequest(frame=self._frame, commands=commands).SerializeToString())

    def _something(self) -> list[play_pb2.Command]:
        commands = []
        for slot, player in self._seats.items():
            for _ in range(self._draw.choice((1, 1, 2))):
                self._sequences[player] += 1
                command = play_pb2.Command(slot=slot, sequence=self._sequences[player])
                self._fill(command)
                self._history.invoked(player, command)
                commands.append(command)
        return commands

    def _fill(self, command: play_pb2.Command) -> None:
        draw = self._draw
        what = draw.random()
        x, y, z = self._places.get(command.slot, (0.0, 0.0, 0.0))
        if what < 0.25:
            command.move.x, command.move.y, command.move.z = x + 0.1 * draw.random(), y, z
            command.move.mode = play_pb2.MOVE_MODE_WALK
            command.move.client_time_us = int(self._loop.now * 1e6)
        elif self._server and what < 0.7:
            command.damage.target = draw.randrange(4)
            command.damage.amount_milli = draw.randrange(5_000, 40_000)
            command.damage.source = play_pb2.DAMAGE_SOURCE_SCRIPT
        else:
            shot = command.shot
            shot.weapon = draw.randrange(2)
            shot.origin_x, shot.origin_y, shot.origin_z = x, y, z + 1.6
            shot.direction_x, shot.direction_y = draw.choice(((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0)))

    # -- what comes back --------------------------------------------------------------------------

    def received(self, call: Call, message: bytes) -> None:
        if call is not self._call:
            return
        self._heard_at = self._loop.now
        answer = play_pb2.PlayResponse.FromString(message)
        self._trace.add(self.name, "received", answer)
        if answer.HasField("welcome"):
            self._welcome = True
            self._resend = bool(self._open)
        for verdict in answer.verdicts:
            self._verdict(verdict)
        if answer.durable_through:
            self._history.told_durable(answer.durable_through)
        if answer.events:
            self._event(answer.events)
        if answer.acked_frame:
            self._acknowledged(answer.acked_frame)
        for notice in answer.notices:
            if notice.kind == play_pb2.NOTICE_KIND_SESSION_ENDED:
                self._history.told_over()
                self.over = True

    def _verdict(self, verdict: verdict_pb2.Verdict) -> None:
        player = self._seats.get(verdict.slot)
        if player is None:
            # A game server that resumes is told of every seat.
            self._history.told_of_seat(verdict)
            if not self._server:
                self._history.wrong(f"{self.name} was told a verdict of seat {verdict.slot}")
            return
        key = player, verdict.sequence
        self._unanswered.discard(key)
        waiting = self._open.get(key)
        self._history.told(player, verdict)
        if verdict.journal_sequence:
            self._open.pop(key, None)
            if not (waiting is None or waiting.HasField("move")):
                self._seen = max(self._seen, verdict.journal_sequence)
                self.answered_at = max(self.answered_at, self._history.sent[key].at)
        elif verdict.reason in _LOST and waiting is not None:
            if waiting.HasField("move"):
                del self._open[key]
            else:
                reason = verdict_pb2.Reason.Name(verdict.reason)
                self._history.wrong(f"{key} was not answered and then refused: {reason}")
        elif waiting is not None:
            self._resend = True  # not active yet, or dead: the sequence is unused

    def _event(self, events: Sequence[event_pb2.Event]) -> None:
        self._events.extend(events)
        for event in events:
            if event.HasField("spawn"):
                spawn = event.spawn
                self._places[spawn.slot] = spawn.x_mm / 1000, spawn.y_mm / 1000, spawn.z_mm / 1000

    def _acknowledged(self, frame: int) -> None:
        """Every command of frames up to this one must have been answered."""
        for number in [number for number in self._frames if number <= frame]:
            for key in self._frames.pop(number):
                if key in self._unanswered:
                    self._history.wrong(f"{self.name}: frame {frame} acknowledged without a verdict of {key}")

    def closed(self, call: Call, error: BaseException | None) -> None:
        self._trace.add(self.name, "closed", repr(error))
        if error is not None:
            self._refused(error)

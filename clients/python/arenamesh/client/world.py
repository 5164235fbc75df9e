"""The match as the client knows it: snapshots put together, and looked at between two of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from arenamesh.client.view import View
from arenamesh.combat.v1 import event_pb2, snapshot_pb2

ALIVE = 1
ON_GROUND = 2
PROTECTED = 4
RELOADING = 8
CASTING = 16
STUNNED = 32
SHIELDED = 64
DISCONNECTED = 128

_TURN = 2 * math.pi / 65536
# Further than this between two snapshots is a respawn or a teleport: nothing moves through the wall.
_JUMP_M = 4.0

State = dict[int, snapshot_pb2.Entity]


class Player:
    """One player at one instant. Metres, radians, health points."""

    __slots__ = ("_entity", "position", "yaw")

    def __init__(
        self,
        entity: snapshot_pb2.Entity,
        position: tuple[float, float, float] | None = None,
        yaw: float = 0.0,
    ) -> None:
        self._entity = entity
        if position is None:
            position = (entity.x_mm / 1000, entity.y_mm / 1000, entity.z_mm / 1000)
            yaw = entity.yaw * _TURN
        self.position = position
        """Of the feet."""
        self.yaw = yaw

    @property
    def slot(self) -> int:
        return self._entity.slot

    @property
    def pitch(self) -> float:
        return self._entity.pitch * _TURN

    @property
    def mode(self) -> int:
        """MoveMode."""
        return self._entity.mode

    @property
    def flags(self) -> int:
        """`ALIVE`, `ON_GROUND` ... of this module."""
        return self._entity.flags

    @property
    def alive(self) -> bool:
        return bool(self._entity.flags & ALIVE)

    @property
    def health(self) -> float:
        return self._entity.health_milli / 1000

    @property
    def armour(self) -> float:
        return self._entity.armour_milli / 1000

    @property
    def shield(self) -> float:
        return self._entity.shield_milli / 1000

    @property
    def team(self) -> int:
        return self._entity.team

    @property
    def weapon(self) -> int:
        """Index in the ruleset of the weapon in hand."""
        return self._entity.weapon

    @property
    def kills(self) -> int:
        return self._entity.kills

    @property
    def deaths(self) -> int:
        return self._entity.deaths

    def __repr__(self) -> str:
        x, y, z = self.position
        return f"Player(slot={self.slot}, at=({x:.2f}, {y:.2f}, {z:.2f}), health={self.health:g})"


class World:
    """Keeps the states of the last `history` snapshots: deltas build on them, views look between them."""

    def __init__(self, history: int = 64) -> None:
        self._history = history
        self._states: OrderedDict[int, State] = OrderedDict()
        self.tick = 0
        """Newest snapshot; 0: none yet. To be acknowledged."""
        self.seats: dict[int, snapshot_pb2.Seat] = {}
        """Who sits where."""
        self.projectiles: list[snapshot_pb2.Projectile] = []

    def reset(self, seats: Iterable[snapshot_pb2.Seat] = ()) -> None:
        """A new stream: what was held is no longer known to the other end."""
        self._states.clear()
        self.tick = 0
        self.projectiles = []
        self.seats = {seat.slot: seat for seat in seats}

    def apply(self, snapshot: snapshot_pb2.Snapshot) -> bool:
        """Puts a snapshot on. False when its baseline is no longer held: acknowledge 0 to get a full one."""
        if snapshot.baseline_tick:
            base = self._states.get(snapshot.baseline_tick)
            if base is None:
                self.tick = 0
                return False
            state = dict(base)
        else:
            state = {}
        for change in snapshot.entities:
            entity = snapshot_pb2.Entity()
            known = state.get(change.slot)
            if known is not None:
                entity.CopyFrom(known)
            entity.MergeFrom(change)
            state[change.slot] = entity
        for slot in snapshot.removed:
            state.pop(slot, None)
        self._states[snapshot.tick] = state
        while len(self._states) > self._history:
            self._states.popitem(last=False)
        self.tick = snapshot.tick
        self.projectiles = list(snapshot.projectiles)
        return True

    def follow(self, event: event_pb2.Event) -> None:
        """Keeps `seats` right when somebody joins or leaves."""
        kind = event.WhichOneof("kind")
        if kind == "join":
            self.seats[event.join.slot] = snapshot_pb2.Seat(
                slot=event.join.slot, player_id=event.join.player_id, team=event.join.team
            )
        elif kind == "leave":
            self.seats.pop(event.leave.slot, None)

    @property
    def players(self) -> Mapping[int, Player]:
        """Everybody in sight at the newest tick, by seat."""
        state = self._states.get(self.tick, {})
        return {slot: Player(entity) for slot, entity in state.items()}

    def player(self, slot: int) -> Player | None:
        """One player at the newest tick."""
        entity = self._states.get(self.tick, {}).get(slot)
        return None if entity is None else Player(entity)

    def at(self, view: View) -> Mapping[int, Player]:
        """Everybody in sight at `view`, between the two snapshots around it."""
        after: tuple[int, State] | None = None
        for tick in reversed(self._states):
            if tick <= view.ticks:
                before = self._states[tick]
                if after is None or tick == view.ticks:
                    return {slot: Player(entity) for slot, entity in before.items()}
                share = (view.ticks - tick) / (after[0] - tick)
                return _between(before, after[1], share)
            after = (tick, self._states[tick])
        return {} if after is None else {slot: Player(entity) for slot, entity in after[1].items()}


def _between(before: State, after: State, share: float) -> dict[int, Player]:
    players = {}
    for slot, old in before.items():
        new = after.get(slot)
        if new is None:
            continue
        if new is old:
            players[slot] = Player(old)
            continue
        dx, dy, dz = new.x_mm - old.x_mm, new.y_mm - old.y_mm, new.z_mm - old.z_mm
        broken = (old.flags ^ new.flags) & ALIVE or dx * dx + dy * dy + dz * dz > (_JUMP_M * 1000) ** 2
        if broken:
            players[slot] = Player(old)
            continue
        position = (
            (old.x_mm + dx * share) / 1000,
            (old.y_mm + dy * share) / 1000,
            (old.z_mm + dz * share) / 1000,
        )
        turn = (new.yaw - old.yaw + 32768) % 65536 - 32768
        players[slot] = Player(old, position, (old.yaw + turn * share) * _TURN)
    return players

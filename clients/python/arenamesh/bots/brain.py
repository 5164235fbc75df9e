"""What a bot decides, twenty times a second: whom to fight, with what, and where to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from arenamesh.bots.aim import Aim, Aimbot
from arenamesh.bots.arsenal import Ability, Arsenal, Weapon
from arenamesh.bots.body import Body
from arenamesh.bots.cheat import Cheat
from arenamesh.bots.holster import Holster
from arenamesh.bots.route import Route
from arenamesh.bots.shapes import Vector
from arenamesh.bots.terrain import Terrain
from arenamesh.client import Player, commands
from arenamesh.client.world import PROTECTED, STUNNED
from arenamesh.combat.v1 import play_pb2, verdict_pb2

_CHEST = 0.68  # of a body's height
_HEAD = 0.93
_HEADS = 0.25  # how many targets are aimed at there
_HASTE = 1.5  # of a cheat
_FIELD_COS = math.cos(math.radians(110))  # half the field of view
_NOTICED_M = 6.0  # closer than this a bot turns round by itself
_LOSE_S = 0.4  # out of sight for so long: the target is lost
_HUNT_S = 4.0  # and looked for so long
_DASH_CAUTION_S = 0.12  # the grant runs since before its verdict was here, and the last move is on its way
_WILLING_RAD = 0.03  # aim off by more than the body's width and this: hold fire


@dataclass(slots=True)
class Target:
    slot: int
    seen_at: float
    at: Vector
    head: bool


class Brain:
    """One bot's mind. `step` turns what it sees into commands; `answered` learns from the verdicts."""

    def __init__(
        self,
        arsenal: Arsenal,
        terrain: Terrain,
        random: Random,
        *,
        friendly_teams: bool,
        cheat: Cheat | None = None,
    ) -> None:
        self.body = Body(terrain, arsenal.movement, haste=_HASTE if cheat is Cheat.SPEED else 1.0)
        self._arsenal = arsenal
        self._terrain = terrain
        self._random = random
        self._friendly_teams = friendly_teams
        steadiness = random.uniform(0.7, 1.4)
        self._aim = (Aimbot if cheat is Cheat.AIM else Aim)(random, steadiness)
        self._heads = 1.0 if cheat is Cheat.AIM else _HEADS
        self._holster = Holster(arsenal, random)
        self._route = Route(terrain, random)
        self._target: Target | None = None
        self._look = 0  # whose turn it is to be looked for
        self._life: int | None = None
        self._health = 0.0
        self._burst = 0
        self._rest_until = 0.0
        self._casting_until = 0.0
        self._weapon: Weapon | None = None
        self._dash = arsenal.ability("dash")
        self._shield = arsenal.ability("shield")
        self._medkit = next(
            (a for a in arsenal.abilities if a.target == "self" and "heal" in a.effects), None
        )

    # -- each step ------------------------------------------------------------------------------

    def step(self, me: Player, others: Mapping[int, Player], now: float, dt: float) -> list[play_pb2.Command]:
        """Commands for this step; none while dead.

        Args:
            me: own player, newest.
            others: everybody as seen at the view time.
        """
        if not me.alive:
            self._life = None
            self._target = None
            return []
        if self._life != me.deaths:
            self._wake(me, now)
        hurt = self._health - me.health
        self._health = me.health
        if me.flags & STUNNED:
            return []
        self._watch(me, others, now)
        issued = self._abilities(me, hurt, now)
        shot = self._fight(others, now, dt)
        self._walk(now, dt)
        move = commands.move(
            self.body.position,
            yaw=self._aim.yaw,
            pitch=self._aim.pitch,
            mode=self.body.mode,
            client_time_us=int(now * 1_000_000),
        )
        # The shot leaves from where the last move had put the body, so it goes before this one.
        return [*issued, *([shot] if shot else []), move]

    def answered(self, command: play_pb2.Command, verdict: verdict_pb2.Verdict, now: float) -> None:
        """Learns what became of a command."""
        if verdict.outcome == verdict_pb2.OUTCOME_CORRECTED:
            right = verdict.correction
            self.body.place((right.x, right.y, right.z))
            self._route.forget()
        elif command.HasField("shot"):
            self._holster.answered(self._arsenal.weapons[command.shot.weapon], verdict, now)
        elif command.HasField("action") and verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED:
            ability = self._arsenal.abilities[command.action.action]
            if dash := ability.effects.get("dash"):
                self.body.dash(float(dash["speed_mps"]), float(dash["duration_s"]) - _DASH_CAUTION_S)
            self._casting_until = now + ability.cast_s

    def _wake(self, me: Player, now: float) -> None:
        """A new life, at a spawn."""
        self._life = me.deaths
        self._health = me.health
        self._casting_until = 0.0
        self.body.place(me.position)
        self._aim.yaw, self._aim.pitch = me.yaw, 0.0
        self._holster.refill(now)
        self._route.forget()

    # -- seeing -------------------------------------------------------------------------------

    def _watch(self, me: Player, others: Mapping[int, Player], now: float) -> None:
        """Keeps the target in sight, or finds one. One or two looks a step keep it cheap."""
        target = self._target
        if target is not None:
            seen = others.get(target.slot)
            if seen is None or not seen.alive:
                self._target = target = None
            elif self._sees(seen, target.head):
                target.seen_at, target.at = now, seen.position
            elif now - target.seen_at > _HUNT_S:
                self._target = target = None
        candidates = sorted(slot for slot, player in others.items() if self._enemy(me, player))
        if not candidates:
            return
        self._look = (self._look + 1) % len(candidates)
        found = others[candidates[self._look]]
        if target is not None and (found.slot == target.slot or not self._rather(found, target, now)):
            return
        head = self._random.random() < self._heads
        if self._notices(found) and self._sees(found, head):
            self._target = Target(found.slot, now, found.position, head)
            self._aim.acquire()
            self._weapon = None

    def _enemy(self, me: Player, other: Player) -> bool:
        if other.slot == me.slot or not other.alive or other.flags & PROTECTED:
            return False
        return not (self._friendly_teams and other.team == me.team)

    def _rather(self, found: Player, target: Target, now: float) -> bool:
        """Is this one a better target than the present one?"""
        here = self.body.position
        lost = now - target.seen_at > _LOSE_S
        return lost or math.dist(here, found.position) < 0.6 * math.dist(here, target.at)

    def _notices(self, other: Player) -> bool:
        x, y, _ = self.body.position
        dx, dy = other.position[0] - x, other.position[1] - y
        distance = math.hypot(dx, dy)
        if distance < _NOTICED_M:
            return True
        return (dx * math.cos(self._aim.yaw) + dy * math.sin(self._aim.yaw)) / distance > _FIELD_COS

    def _sees(self, other: Player, head: bool) -> bool:
        return self._terrain.sees(self.body.eye, self._spot(other, head))

    def _spot(self, other: Player, head: bool) -> Vector:
        x, y, z = other.position
        tall = self._arsenal.movement.height_m
        if other.mode == play_pb2.MOVE_MODE_CROUCH:
            tall *= 0.67
        return (x, y, z + tall * (_HEAD if head else _CHEST))

    # -- fighting -----------------------------------------------------------------------------

    def _fight(self, others: Mapping[int, Player], now: float, dt: float) -> play_pb2.Command | None:
        target = self._target
        if target is None or now - target.seen_at > _LOSE_S:
            return None
        seen = others[target.slot]
        eye, spot = self.body.eye, self._spot(seen, target.head)
        way = (spot[0] - eye[0], spot[1] - eye[1], spot[2] - eye[2])
        distance = math.hypot(*way) or 0.01
        weapon = self._choose(distance, now)
        lift = 0.0
        if weapon is not None and weapon.speed_mps:
            lift = 0.5 * weapon.gravity_mps2 * distance / weapon.speed_mps**2
        off = self._aim.track(math.atan2(way[1], way[0]), math.asin(way[2] / distance) + lift, dt)
        body = 0.35 / distance
        if weapon is None or self._aim.reacting or off > body + _WILLING_RAD:
            return None
        if now < self._rest_until or now < self._casting_until or not self._holster.ready(weapon, now):
            return None
        self._holster.fired(weapon, now)
        self._count_burst(weapon, distance, now)
        return commands.shot(weapon.number, eye, commands.towards(self._aim.yaw, self._aim.pitch))

    def _choose(self, distance: float, now: float) -> Weapon | None:
        """Stays with a weapon while it serves; changes when another is worth much more."""
        best = self._holster.best(distance, now)
        held = self._weapon
        serves = (
            held is not None
            and best is not None
            and self._holster.ready(held, now + held.interval_s)
            and best.worth_at(distance) <= 1.5 * held.worth_at(distance)
        )
        if not serves:
            self._weapon = best
        return self._weapon

    def _count_burst(self, weapon: Weapon, distance: float, now: float) -> None:
        """Short bursts far away, long ones near."""
        if self._burst <= 0:
            near = max(0.0, 1 - distance / 40)
            self._burst = self._random.randint(2, 4) + int(near * 8)
        self._burst -= 1
        if self._burst == 0 and weapon.interval_s < 0.3:
            self._rest_until = now + self._random.uniform(0.15, 0.45)

    def _abilities(self, me: Player, hurt: float, now: float) -> list[play_pb2.Command]:
        if now < self._casting_until:
            return []
        fighting = self._target is not None and now - self._target.seen_at < _LOSE_S
        weak = me.health < 0.55 * self._arsenal.health
        if not fighting and weak and self._holster.usable(self._medkit, now):
            return [self._use(self._medkit, now)]
        if fighting and (hurt > 0 or weak) and self._holster.usable(self._shield, now):
            return [self._use(self._shield, now)]
        if fighting and hurt > 10 and self._random.random() < 0.5 and self._holster.usable(self._dash, now):
            vx, vy, _ = self.body.velocity
            return [self._use(self._dash, now, (vx, vy, 0.0) if vx or vy else (1.0, 0.0, 0.0))]
        return []

    def _use(self, ability: Ability | None, now: float, point: Vector = (0.0, 0.0, 0.0)) -> play_pb2.Command:
        assert ability is not None
        self._holster.used(ability, now)
        return commands.action(ability.number, point=point)

    # -- walking ------------------------------------------------------------------------------

    def _walk(self, now: float, dt: float) -> None:
        target, here = self._target, self.body.position
        if target is not None and now - target.seen_at <= _LOSE_S:
            wanted = 7.0 if self._weapon is None else min(25.0, 0.35 * self._weapon.range_m)
            self.body.step(
                self._route.fight(here, target.at, wanted, self.body.stuck_s > 0.1, dt), sprint=False, dt=dt
            )
            return
        if target is not None and self._route.idle:
            self._route.go(here, target.at)
        direction = self._route.along(here, self.body.stuck_s)
        self.body.step(direction, sprint=True, dt=dt)
        self._aim.look(math.atan2(direction[1], direction[0]), 0.0, dt)

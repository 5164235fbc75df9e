"""A small match to test against: a flat floor with one wall, plain weapons, and frames in one line."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from arenamesh.combat.v1 import event_pb2, play_pb2, verdict_pb2

from native.arena import ALL_SLOTS, Arena
from native.ruleset import Ruleset
from native.world import World
from services.combat.domain.ruleset import load_ruleset

DATA = Path(__file__).parents[2] / "services" / "combat" / "data"
KEY = 0x0123_4567_89AB_CDEF
RATE = 50
TICK_US = 1_000_000 // RATE

Point = tuple[float, float, float]


def at(x: float, y: float = 0.0, *, team: int = 0, yaw: float = 0.0) -> dict[str, Any]:
    """A spawn point on the floor; `team`: plus one, 0 for any."""
    return {"at": [x, y, 0.0], "yaw": yaw, "team": team}


def make_world(spawns: Sequence[dict[str, Any]] | None = None) -> World:
    """100 m x 100 m of floor at z = 0, and a wall at x = 30 from y = -5 to 5, 4 m high."""
    return World(
        {
            "map_id": "plain",
            "name": "Plain",
            "bounds": {"low": [-50, -50, -2], "high": [50, 50, 30]},
            "boxes": [
                {"low": [-50, -50, -1], "high": [50, 50, 0]},
                {"low": [30, -5, 0], "high": [31, 5, 4]},
            ],
            "triangles": [],
            "spawns": list(spawns) if spawns is not None else [at(0), at(10)],
            "waypoints": [],
        }
    )


@cache
def document() -> dict[str, Any]:
    """The default ruleset as loaded: what a test changes it changes in a copy."""
    return load_ruleset(DATA / "rulesets" / "default-1.json")


def make_rules(**changes: Any) -> Ruleset:
    """The default ruleset without armour, spread, critical hits and protection; `changes` by path:
    `weapons__rifle__damage=10` or `modes__duel__score_limit=1`."""
    rules = copy.deepcopy(document())
    rules["player"]["armour"] = 0
    for weapon in rules["weapons"]:
        weapon["spread_deg"] = 0
        weapon["crit_chance"] = 0
    for mode in rules["modes"]:
        mode["protection_s"] = 0
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = rules
        for name in parents:
            place = next(e for e in place if e["name"] == name) if isinstance(place, list) else place[name]
        place[last] = value
    return Ruleset(rules)


class Match:
    """An arena with a clock and a frame counter."""

    def __init__(
        self,
        rules: Ruleset | None = None,
        *,
        spawns: Sequence[dict[str, Any]] | None = None,
        mode: str = "deathmatch",
        players: Iterable[str | tuple[str, int]] = ("ann", "ben"),
        max_players: int = 8,
        start: bool = True,
        world: World | None = None,
        **options: Any,
    ) -> None:
        self.rules = rules or make_rules()
        self.world = world or make_world(spawns)
        self.options: dict[str, Any] = {
            "key": KEY,
            "mode": mode,
            "max_players": max_players,
            "tick_rate": RATE,
        }
        self.options |= options
        self.arena = self.twin()
        self.now = 0
        self.sequences: dict[int, int] = {}
        for player in players:
            name, team = player if isinstance(player, tuple) else (player, 0)
            self.arena.join(0, name, team)
        if start:
            self.arena.start(0)

    def twin(self, **options: Any) -> Arena:
        """A new arena of the same making."""
        return Arena(self.rules, self.world, **(self.options | options))

    def weapon(self, name: str) -> int:
        return self.rules.weapon_names.index(name)

    def action(self, name: str) -> int:
        return self.rules.action_names.index(name)

    def run(self, seconds: float) -> None:
        """Ticks one by one, as a worker would."""
        end = self.now + round(seconds * 1e6)
        while self.now < end:
            self.now = min(self.now + TICK_US, end)
            self.arena.advance(self.now)

    def eye(self, feet: Point) -> Point:
        return feet[0], feet[1], feet[2] + float(self.rules.tables()["rig"]["eye"][0])

    # -- commands ---------------------------------------------------------------------------------

    def command(self, slot: int, *, sequence: int | None = None, **kind: Any) -> play_pb2.Command:
        if sequence is None:
            sequence = self.sequences[slot] = self.sequences.get(slot, 0) + 1
        return play_pb2.Command(slot=slot, sequence=sequence, **kind)

    def shot(
        self,
        slot: int,
        origin: Point,
        target: Point,
        weapon: str | int = "rifle",
        **fields: Any,
    ) -> play_pb2.Command:
        index = weapon if isinstance(weapon, int) else self.weapon(weapon)
        way = [b - a for a, b in zip(origin, target, strict=True)]
        length = math.hypot(*way)
        shot = play_pb2.Shot(
            weapon=index,
            origin_x=origin[0],
            origin_y=origin[1],
            origin_z=origin[2],
            direction_x=way[0] / length,
            direction_y=way[1] / length,
            direction_z=way[2] / length,
        )
        return self.command(slot, shot=shot, **fields)

    def aim(
        self, slot: int, target: int, weapon: str | int = "rifle", *, height: float = 1.2, **fields: Any
    ) -> play_pb2.Command:
        """A shot from one player's eye at another's chest, where both are now."""
        here, there = self.feet(slot), self.feet(target)
        return self.shot(
            slot,
            self.eye(here),
            (there[0], there[1], there[2] + height),
            weapon,
            **fields,
        )

    def move(
        self,
        slot: int,
        to: Point,
        *,
        mode: play_pb2.MoveMode = play_pb2.MOVE_MODE_WALK,
        time_us: int | None = None,
        **fields: Any,
    ) -> play_pb2.Command:
        move = play_pb2.Move(
            x=to[0], y=to[1], z=to[2], mode=mode, client_time_us=self.now if time_us is None else time_us
        )
        return self.command(slot, move=move, **fields)

    def use(
        self, slot: int, action: str | int, target: int | None = None, point: Point = (0, 0, 0)
    ) -> play_pb2.Command:
        index = action if isinstance(action, int) else self.action(action)
        plus_one = 0 if target is None else target + 1
        return self.command(
            slot, action=play_pb2.Action(action=index, target=plus_one, x=point[0], y=point[1], z=point[2])
        )

    def hurt(self, slot: int, target: int, points: float, *, bypass: bool = False) -> play_pb2.Command:
        """Direct damage credited to `slot`."""
        return self.command(
            slot,
            damage=play_pb2.Damage(
                target=target,
                amount_milli=round(points * 1000),
                source=play_pb2.DAMAGE_SOURCE_ENVIRONMENT,
                bypass=bypass,
            ),
        )

    def send(
        self, *commands: play_pb2.Command, binding: int = ALL_SLOTS, **frame: Any
    ) -> play_pb2.PlayResponse:
        request = play_pb2.PlayRequest(commands=commands, **frame)
        answer = self.arena.judge(self.now, request.SerializeToString(), binding)
        return play_pb2.PlayResponse.FromString(answer)

    def judge(self, command: play_pb2.Command, **frame: Any) -> verdict_pb2.Verdict:
        """The verdict of one command."""
        (verdict,) = self.send(command, **frame).verdicts
        return verdict

    def walk(self, slot: int, way: tuple[float, float], seconds: float) -> None:
        """Along a unit vector of the plane at up to 4 m/s, one accepted move a tick."""
        x, y, z = self.feet(slot)
        speed = 0.0
        for _ in range(round(seconds * RATE)):
            self.run(1 / RATE)
            speed = min(speed + 1.0, 4.0)
            x, y = x + way[0] * speed / RATE, y + way[1] * speed / RATE
            verdict = self.judge(self.move(slot, (x, y, z)))
            assert verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED, verdict
        self.run(1 / RATE)

    # -- what came of it --------------------------------------------------------------------------

    def state(self, viewer: int = ALL_SLOTS, baseline: int = 0) -> Any:
        return play_pb2.PlayResponse.FromString(self.arena.snapshot(viewer, baseline)).snapshot

    def entity(self, slot: int) -> Any:
        return next(entity for entity in self.state().entities if entity.slot == slot)

    def feet(self, slot: int) -> Point:
        entity = self.entity(slot)
        return entity.x_mm / 1000, entity.y_mm / 1000, entity.z_mm / 1000

    def health(self, slot: int) -> int:
        """1/1000 points at the newest tick."""
        return int(self.entity(slot).health_milli)

    def events(self) -> list[event_pb2.Event]:
        return list(play_pb2.PlayResponse.FromString(self.arena.take_events()).events)

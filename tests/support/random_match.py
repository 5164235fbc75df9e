"""A match of players who do everything at random, from one seed.

What they do depends on what they are shown, so a difference anywhere in the core soon shows everywhere.
Run as a program it prints the fingerprint of a seed: `python -m tests.support.random_match SEED TICKS`.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from typing import Any

from arenamesh.combat.v1 import play_pb2

from native.arena import ALL_SLOTS, FrameError, Refused
from native.ruleset import Ruleset
from services.combat.domain.ruleset import load_ruleset
from tests.support.arenas import DATA, TICK_US, Match

MODES = ("deathmatch", "team_deathmatch", "training", "duel")
PLAYERS = 12
WAYS_TO_MOVE = (
    play_pb2.MOVE_MODE_UNSPECIFIED,
    play_pb2.MOVE_MODE_WALK,
    play_pb2.MOVE_MODE_SPRINT,
    play_pb2.MOVE_MODE_CROUCH,
    play_pb2.MOVE_MODE_AIR,
    play_pb2.MOVE_MODE_SWIM,
    play_pb2.MOVE_MODE_DASH,
)


def quick_rules() -> Ruleset:
    """The default ruleset, with everything ready sooner, so that more of it is used."""
    document: dict[str, Any] = load_ruleset(DATA / "rulesets" / "default-1.json")
    for action in document["actions"]:
        action["cooldown_s"] /= 10
        action["cost"] /= 10
    for mode in document["modes"]:
        mode["respawn_s"] = min(mode["respawn_s"], 0.5)
        mode["protection_s"] = min(mode["protection_s"], 0.2)
        mode["score_limit"] = 0
    return Ruleset(document)


class RandomMatch(Match):
    """A `Match` whose outputs go into a fingerprint."""

    def __init__(self, seed: int, rules: Ruleset | None = None, **options: Any) -> None:
        self.draw = random.Random(seed)
        spawns = [
            {"at": [self.draw.uniform(-12, 12), self.draw.uniform(-12, 12), 0.0], "yaw": 0.0, "team": 0}
            for _ in range(PLAYERS)
        ]
        self.fingerprint = hashlib.sha256()
        self.segments: list[bytes] = []
        self.frames: list[tuple[bytes, int]] = []
        self.places: dict[int, tuple[float, float, float]] = {}
        super().__init__(
            rules or quick_rules(),
            spawns=spawns,
            players=[f"p{i}" for i in range(PLAYERS)],
            max_players=PLAYERS,
            **({"mode": MODES[seed % len(MODES)]} | options),
        )

    def play(self, ticks: int) -> str:
        """Plays on, and returns the fingerprint of everything that came out so far and of the state."""
        for _ in range(ticks):
            self.look()
            for frame, binding in self.some_frames():
                self.now += self.draw.randrange(500)
                self.feed(frame, binding)
            if self.draw.random() < 0.02:
                self.change_seats()
            self.now = self.arena.tick * TICK_US + TICK_US + self.draw.randrange(200)
            self.arena.advance(self.now)
            self.fingerprint.update(self.arena.take_events())
            if self.draw.random() < 0.1:
                self.segments.append(self.arena.take_journal())
        self.segments.append(self.arena.take_journal())
        for segment in self.segments:
            self.fingerprint.update(segment)
        self.fingerprint.update(self.arena.state_hash().to_bytes(8))
        return self.fingerprint.hexdigest()

    def look(self) -> None:
        shown = self.arena.snapshot(ALL_SLOTS, 0)
        self.fingerprint.update(shown)
        snapshot = play_pb2.PlayResponse.FromString(shown).snapshot
        self.places = {e.slot: (e.x_mm / 1000, e.y_mm / 1000, e.z_mm / 1000) for e in snapshot.entities}

    def feed(self, frame: bytes, binding: int) -> None:
        try:
            self.fingerprint.update(self.arena.judge(self.now, frame, binding))
        except FrameError as error:
            self.fingerprint.update(error.reason.encode())
        self.frames.append((frame, binding))

    def change_seats(self) -> None:
        slot = self.draw.randrange(PLAYERS)
        if self.arena.player(slot) and self.draw.random() < 0.5:
            self.arena.leave(self.now, slot, self.draw.randint(1, 3))
            self.sequences.pop(slot, None)
        try:
            self.arena.join(self.now, f"p{self.draw.randrange(2 * PLAYERS)}", self.draw.randrange(3))
        except Refused as refused:
            self.fingerprint.update(refused.reason.encode())

    # -- what they do -----------------------------------------------------------------------------

    def some_frames(self) -> Iterator[tuple[bytes, int]]:
        for _ in range(self.draw.randrange(4)):
            binding = self.draw.choice((ALL_SLOTS, self.draw.randrange(PLAYERS)))
            commands = [self.some_command(binding) for _ in range(self.draw.randrange(8))]
            tick = self.arena.tick
            request = play_pb2.PlayRequest(
                frame=len(self.frames),
                commands=commands,
                view_tick=max(0, tick - self.draw.randrange(16)),
                view_fraction=self.draw.randrange(65536),
                acked_snapshot=max(0, tick - self.draw.randrange(6)),
            )
            frame = request.SerializeToString()
            if self.draw.random() < 0.03:
                frame = frame[: self.draw.randrange(len(frame) + 1)]
            yield frame, binding
            if self.draw.random() < 0.05:
                yield self.draw.choice(self.frames or [(frame, binding)])

    def some_command(self, binding: int) -> play_pb2.Command:
        slot = binding if binding >= 0 and self.draw.random() < 0.95 else self.draw.randrange(PLAYERS + 1)
        kind = self.draw.random()
        if kind < 0.35:
            return self.some_move(slot)
        if kind < 0.8:
            return self.some_shot(slot)
        if kind < 0.95:
            point = (self.draw.uniform(-20, 20), self.draw.uniform(-20, 20), self.draw.uniform(0, 2))
            target = self.draw.choice((None, self.draw.randrange(PLAYERS + 1)))
            return self.use(slot, self.draw.randrange(len(self.rules.action_names) + 1), target, point)
        return self.hurt(slot, self.draw.randrange(PLAYERS), self.draw.uniform(0, 60))

    def some_move(self, slot: int) -> play_pb2.Command:
        x, y, z = self.places.get(slot, (0.0, 0.0, 0.0))
        far = 20.0 if self.draw.random() < 0.02 else 0.12
        to = (x + self.draw.uniform(-far, far), y + self.draw.uniform(-far, far), z)
        mode = self.draw.choice(WAYS_TO_MOVE)
        return self.move(slot, to, mode=mode)

    def some_shot(self, slot: int) -> play_pb2.Command:
        here = self.places.get(slot, (0.0, 0.0, 0.0))
        there = self.places.get(self.draw.randrange(PLAYERS), (5.0, 5.0, 0.0))
        x, y, z = (c + self.draw.uniform(-0.3, 0.3) for c in (there[0], there[1], there[2] + 1.2))
        origin = self.eye(here)
        command = self.shot(slot, origin, (x, y, z), self.draw.randrange(len(self.rules.weapon_names) + 1))
        if self.draw.random() < 0.02:
            command.shot.origin_x = float("inf")
        return command


if __name__ == "__main__":
    print(RandomMatch(int(sys.argv[1])).play(int(sys.argv[2])))

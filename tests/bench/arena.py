"""What a match costs: a judged command all in (decode, rewind, judge, verdict, record), a tick, a snapshot;
and what remembering it costs: saved, restored, judged again from its records, and counted.

Frames of 256 commands as a game server sends them, on the default map for the shots to be stopped by, at
players spread over it; every second shot is aimed at somebody. Beside it the hit registration's own bench is
`core`, and the codec's is `wire`.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from arenamesh.combat.v1 import journal_pb2, play_pb2

from native import journal as journals
from native.arena import ALL_SLOTS, Arena
from native.ruleset import Ruleset
from native.tally import Tally
from native.world import World
from services.combat.domain.ruleset import load_ruleset
from tests.bench.report import Row

DATA = Path(__file__).parents[2] / "services" / "combat" / "data"
PLAYERS = (2, 16, 64, 1000)
BATCH = 256
FRAMES = 150
RATE = 30
MOVE_US = 1000  # of the client's clock, between two moves of a player
FOUGHT_S = 10  # of a match that is remembered
SHOTS_HZ = 5  # of each player in it; moves come every tick
RESTORED = 10_000  # records of a session that another worker takes over ...
SAVED = 5_000  # ... and of its last save
NAMED = ("tick", "move", "shot", "shot that hit")
Frames = list[bytes]


def run() -> list[Row]:
    rows = []
    for players in PLAYERS:
        rows += match_rows(players) + memory_rows(players) + restore_rows(players)
    return rows


def match_rows(players: int) -> list[Row]:
    case = f"{players} players"
    rows = []
    for journal in (True, False):
        arena, now = started(players, journal=journal)
        cost = commands_cost(arena, now, shots(arena, random.Random(players)))
        rows.append(row(f"{case}, journal {'on' if journal else 'off'}", "judged shot", cost, "ns"))
    arena, now = started(players)
    step_us = MOVE_US * max(1, BATCH // players)
    cost = commands_cost(arena, now, moves(arena, now), step_us=step_us)
    rows.append(row(case, "judged move", cost, "ns"))
    arena, now = started(players)
    rows.append(row(case, "tick", tick_cost(arena, now), "us"))
    for name, work in (
        ("full snapshot of everything", lambda: arena.snapshot(ALL_SLOTS, 0)),
        ("difference for a viewer", lambda: arena.snapshot(0, arena.tick - 3)),
        ("state hash", arena.state_hash),
    ):
        rows.append(row(case, name, least(work, 50) * 1e6, "us"))
    return rows


def memory_rows(players: int) -> list[Row]:
    """Of a match in which everybody walks to and fro, and shoots."""
    arena, now = started(players)
    journal = [arena.take_journal(), *fought(arena, now)]
    data, saved = b"".join(journal), arena.save()
    records = arena.sequence
    fresh = started(players)[0]
    fresh.take_journal()
    again = least(lambda: empty(players).replay(data), 3) - least(lambda: empty(players), 3)
    counted = least(lambda: Tally(len(rules().weapon_names)).feed(data), 3)
    case = f"{players} players"
    return [
        row(case, "saved", least(arena.save, 20) * 1e6, "us"),
        row(case, "saved", len(saved), "bytes"),
        row(case, "restored", least(lambda: fresh.restore(saved), 20) * 1e6, "us"),
        row(case, "record", len(data) / records, "bytes"),
        *(row(case, f"record of a {name}", size, "bytes") for name, size in record_sizes(data).items()),
        row(case, "record found by index", least(lambda: journals.index(data), 3) / records * 1e9, "ns"),
        row(case, "record judged again", again / records * 1e9, "ns"),
        row(case, "record counted", counted / records * 1e9, "ns"),
        row(
            case, f"replay at {records / FOUGHT_S:,.0f} records a second", FOUGHT_S / again, "times real time"
        ),
    ]


def record_sizes(journal: bytes) -> dict[str, float]:
    """On average, by what was judged; tag and length take two bytes more."""
    sizes: dict[str, list[int]] = {}
    for *_, offset, size in journals.index(journal):
        record = journal_pb2.JournalRecord.FromString(journal[offset : offset + size])
        name = record.WhichOneof("input") or ""
        if record.HasField("command"):
            name = record.command.command.WhichOneof("kind") or ""
            name += " that hit" if record.command.verdict.hits else ""
        sizes.setdefault(name, []).append(size + 2)
    return {name: sum(each) / len(each) for name, each in sizes.items() if name in NAMED}


def restore_rows(players: int) -> list[Row]:
    """Until the match could go on, arena and all: from the newest save, or from the first record."""
    arena, now = started(players)
    seconds = math.ceil(RESTORED / (players * (RATE + SHOTS_HZ) + RATE))
    journal = b"".join([arena.take_journal(), *fought(arena, now, seconds)])
    ends = {sequence: offset + size for sequence, *_, offset, size in journals.index(journal)}
    whole, tail = journal[: ends[RESTORED]], journal[ends[SAVED] : ends[RESTORED]]
    half = empty(players)
    half.replay(journal[: ends[SAVED]])
    saved = half.save()

    def by_save() -> None:
        arena = empty(players)
        arena.restore(saved)
        arena.replay(tail)

    case = f"{players} players, {RESTORED:,} records"
    return [
        row(case, f"restored, saved at {SAVED:,}", least(by_save, 3) * 1000, "ms"),
        row(case, "restored from the start", least(lambda: empty(players).replay(whole), 3) * 1000, "ms"),
    ]


def fought(arena: Arena, now: int, seconds: int = FOUGHT_S) -> list[bytes]:
    draw, where = random.Random(arena.players), places(arena)
    journal, sequence = [], 0
    for tick in range(seconds * RATE):
        now += 1_000_000 // RATE + 1
        arena.advance(now)
        aside = 0.05 * (tick % 2)
        commands = [
            play_pb2.Command(
                move=play_pb2.Move(x=x + aside, y=y, z=z, mode=play_pb2.MOVE_MODE_WALK, client_time_us=now)
            )
            for x, y, z in where
        ]
        send(arena, now, commands, sequence := sequence + 1)
        if tick % (RATE // SHOTS_HZ) == 0:
            aims = [play_pb2.Command(shot=aimed(where, slot, draw)) for slot in range(len(where))]
            send(arena, now, aims, sequence := sequence + 1)
        journal.append(arena.take_journal())
        arena.take_events()
    if arena.counters["accepted"] < 0.9 * arena.counters["commands"]:
        raise AssertionError(f"refused commands are no measure: {arena.counters}")
    return journal


def send(arena: Arena, now: int, commands: list[play_pb2.Command], sequence: int) -> None:
    for slot, command in enumerate(commands):
        command.slot, command.sequence = slot, sequence
    request = play_pb2.PlayRequest(commands=commands, view_tick=arena.tick - 3, view_fraction=30_000)
    arena.judge(now, request.SerializeToString(), ALL_SLOTS)


@cache
def rules() -> Ruleset:
    """The default ruleset with a rifle that is always ready and wounds nobody to death."""
    document = copy.deepcopy(load_ruleset(DATA / "rulesets" / "default-1.json"))
    rifle = next(weapon for weapon in document["weapons"] if weapon["name"] == "rifle")
    rifle |= {"fire_interval_s": 0, "magazine": 0, "damage": 0.001}
    document["player"]["health"] = 1e6
    return Ruleset(document)


def started(players: int, *, journal: bool = True) -> tuple[Arena, int]:
    arena = empty(players, journal=journal)
    for index in range(players):
        arena.join(0, f"p{index}")
    arena.start(0)
    arena.advance(3_000_000)
    return arena, 3_000_000


def empty(players: int, *, journal: bool = True) -> Arena:
    return Arena(
        rules(),
        spread(players),
        key=7,
        mode="deathmatch",
        max_players=players,
        tick_rate=RATE,
        journal=journal,
    )


@cache
def spread(players: int) -> World:
    """The default map, with room for everybody to come to life."""
    yard = json.loads((DATA / "maps" / "yard.json").read_text(encoding="utf-8"))
    bare, draw = World(yard), random.Random(players)
    yard["spawns"] = []
    while len(yard["spawns"]) < players:
        x, y = draw.uniform(-29, 29), draw.uniform(-29, 29)
        if not bare.overlaps((0.45, 0.45, 0.9), (x, y, 0.95)):
            yard["spawns"].append({"at": [x, y, 0.0], "yaw": 0.0, "team": 0})
    return World(yard)


def places(arena: Arena) -> list[tuple[float, float, float]]:
    shown = play_pb2.PlayResponse.FromString(arena.snapshot(ALL_SLOTS, 0)).snapshot.entities
    return [(e.x_mm / 1000, e.y_mm / 1000, e.z_mm / 1000) for e in shown]


def shots(arena: Arena, draw: random.Random) -> Frames:
    where = places(arena)
    return frames(arena, lambda slot: play_pb2.Command(shot=aimed(where, slot, draw)))


def aimed(where: list[tuple[float, float, float]], slot: int, draw: random.Random) -> play_pb2.Shot:
    x, y, z = where[slot]
    turn = draw.uniform(0, math.tau)
    way = (math.cos(turn), math.sin(turn), draw.uniform(-0.05, 0.05))
    if draw.random() < 0.5:
        other = where[draw.randrange(len(where))]
        away = math.hypot(other[0] - x, other[1] - y) or 1.0
        way = ((other[0] - x) / away, (other[1] - y) / away, -0.4 / away)
    shot = play_pb2.Shot(origin_x=x, origin_y=y, origin_z=z + 1.62)
    shot.direction_x, shot.direction_y, shot.direction_z = way[0], way[1], way[2] or 0.01
    return shot


def moves(arena: Arena, now: int) -> Frames:
    where = places(arena)
    clocks = [now] * arena.players

    def move(slot: int) -> play_pb2.Command:
        x, y, z = where[slot]
        clocks[slot] += MOVE_US
        pose = play_pb2.Move(x=x, y=y, z=z, mode=play_pb2.MOVE_MODE_WALK, client_time_us=clocks[slot])
        return play_pb2.Command(move=pose)

    return frames(arena, move)


def frames(arena: Arena, make: Callable[[int], play_pb2.Command]) -> Frames:
    made = []
    sequences = [0] * arena.players
    for number in range(FRAMES):
        request = play_pb2.PlayRequest(
            frame=number + 1, view_tick=arena.tick - 3, view_fraction=30_000, acked_snapshot=arena.tick
        )
        for index in range(BATCH):
            slot = (number * BATCH + index) % arena.players
            sequences[slot] += 1
            command = make(slot)
            command.slot, command.sequence = slot, sequences[slot]
            request.commands.append(command)
        made.append(request.SerializeToString())
    return made


def commands_cost(arena: Arena, now: int, some: Frames, *, step_us: int = 0) -> float:
    """Nanoseconds a command: the median frame, in processor time, so that other processes count less."""
    samples = []
    for number, frame in enumerate(some):
        if number % 8 == 0:
            arena.take_journal()
            arena.take_events()
        begun = time.thread_time_ns()
        arena.judge(now + number * step_us, frame, ALL_SLOTS)
        samples.append(time.thread_time_ns() - begun)
    if arena.counters["accepted"] < 0.99 * arena.counters["commands"]:
        raise AssertionError(f"refused commands are no measure: {arena.counters}")
    return sorted(samples)[len(samples) // 2] / BATCH


def tick_cost(arena: Arena, now: int) -> float:
    samples = []
    for number in range(1, 129):
        due = now + number * 1_000_000 // RATE + 1
        begun = time.thread_time_ns()
        arena.advance(due)
        samples.append((time.thread_time_ns() - begun) / 1000)
        arena.take_journal()
    return sorted(samples)[len(samples) // 2]


def least(work: Callable[[], object], times: int) -> float:
    best = math.inf
    for _ in range(times):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def row(case: str, metric: str, value: float, unit: str) -> Row:
    return Row(case=case, metric=metric, value=value, unit=unit)

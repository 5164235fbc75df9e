"""What `native/tally.pyx` counts, in plain Python over the contract's messages."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, fields

from arenamesh.combat.v1 import event_pb2, journal_pb2, verdict_pb2
from arenamesh.combat.v1.verdict_pb2 import REGION_HEAD

MAX_SEATS = 1000
REGIONS = 6
REWIND_BINS = 512
"""Of 1 ms; the last one holds everything from there on."""
BIN_US = 1000
STRUCK = 16
"""Shots of projectiles that have hit, remembered by seat: what one shot throws counts once."""
FARTHEST_MM = 2**31 - 1
SNAP_US = 100_000
SNAP_DOT = 707_106_781_187
"""A hit within the time after the last look, turned further from it than 45 degrees, is a snap."""
CORRECTED_US = 100_000
"""Nobody can have heard of a correction sooner: what a stalled link brings at once is one violation."""
NOT_MOVED = {verdict_pb2.REASON_DEAD, verdict_pb2.REASON_STUNNED}
"""Rejections of a move that say nothing about the move."""


@dataclass
class Player:
    """Somebody who ever sat."""

    player_id: str
    slot: int = 0
    team: int = 0
    seated: bool = True
    kills: int = 0
    deaths: int = 0
    assists: int = 0
    damage_dealt_milli: int = 0
    damage_taken_milli: int = 0
    healed_milli: int = 0
    shots: int = 0
    hits: int = 0
    headshots: int = 0
    snap_hits: int = 0
    longest_kill_mm: int = 0
    streak: int = 0
    best_streak: int = 0
    time_alive_us: int = 0
    movement_violations: int = 0
    moved_mm: int = 0
    clamped_rewinds: int = 0
    rewind_bins: list[int] = field(default_factory=lambda: [0] * REWIND_BINS)
    by_region: list[int] = field(default_factory=lambda: [0] * REGIONS)
    by_weapon: list[list[int]] = field(default_factory=list)
    """[shots, hits, kills] of each."""


@dataclass
class Seat:
    player: Player
    team: int
    """Plus one, 0 in a mode without teams."""
    alive_since_us: int | None = None
    at_mm: tuple[int, int, int] = (0, 0, 0)
    look: tuple[int, tuple[int, int, int]] | None = None
    """When and where it looked last: unit vector, millionths."""
    corrected_us: int | None = None
    """When a move last counted as a violation."""
    struck: dict[int, bool] = field(default_factory=dict)
    """Commands of its latest projectiles that hit somebody, and whether the head."""


@dataclass
class Score:
    """Everything that a segment changes."""

    sequence: int = 0
    tick: int = 0
    time_us: int = 0
    players: list[Player] = field(default_factory=list)
    seats: dict[int, Seat] = field(default_factory=dict)


class Tally:
    def __init__(self, weapons: int) -> None:
        self.weapons = weapons
        self.score = Score()

    def feed(self, segment: bytes) -> None:
        records = journal_pb2.JournalSegment.FromString(segment).records
        before = copy.deepcopy(self.score)
        try:
            for record in records:
                self.fold(record)
        except ValueError:
            self.score = before
            raise

    # -- records ------------------------------------------------------------------------------------

    def fold(self, record: journal_pb2.JournalRecord) -> None:
        score = self.score
        if record.sequence != score.sequence + 1:
            raise ValueError(f"record {record.sequence} follows record {score.sequence}")
        if record.time_us < score.time_us:
            raise ValueError(f"record {record.sequence}: time runs backwards")
        score.sequence, score.time_us = record.sequence, record.time_us
        if record.HasField("join"):
            self.join(record.join)
        elif record.HasField("leave"):
            self.leave(record.leave.slot)
        elif record.HasField("command"):
            self.command(record.command)
        elif record.HasField("tick"):
            score.tick = record.tick.tick
            for hit in record.tick.hits:
                self.tick_hit(hit)
        for event in record.events:
            self.event(event)

    def seat(self, slot: int) -> Seat:
        if slot not in self.score.seats:
            raise self.impossible(f"nobody has seat {slot}")
        return self.score.seats[slot]

    def impossible(self, why: str) -> ValueError:
        return ValueError(f"record {self.score.sequence}: {why}")

    def join(self, join: journal_pb2.JoinRecord) -> None:
        if join.slot >= MAX_SEATS or join.slot in self.score.seats:
            raise self.impossible(f"seat {join.slot} cannot be taken")
        known = (each for each in self.score.players if each.player_id == join.player_id)
        player = next(known, None)
        if player is None:
            if not 1 <= len(join.player_id.encode()) <= 64:
                raise self.impossible("player_id has not 1..64 bytes")
            player = Player(join.player_id, by_weapon=[[0, 0, 0] for _ in range(self.weapons)])
            self.score.players.append(player)
        elif player.seated:
            raise self.impossible(f"{join.player_id} has a seat")
        player.seated = True
        player.slot = join.slot
        player.team = max(join.given_team - 1, 0)
        self.score.seats[join.slot] = Seat(player, join.given_team)

    def leave(self, slot: int) -> None:
        seat = self.seat(slot)
        self.end_life(seat)
        seat.player.streak = 0
        seat.player.seated = False
        del self.score.seats[slot]

    def end_life(self, seat: Seat) -> None:
        if seat.alive_since_us is not None:
            seat.player.time_alive_us += self.score.time_us - seat.alive_since_us
        seat.alive_since_us = None

    # -- commands and hits ----------------------------------------------------------------------------

    def command(self, record: journal_pb2.CommandRecord) -> None:
        verdict = record.verdict
        seat = self.seat(verdict.slot)
        kind = record.command.WhichOneof("kind")
        if kind == "move":
            self.move(seat, record)
        struck = [self.hit(verdict.slot, hit) for hit in verdict.hits]
        if kind == "shot" and verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED:
            self.shot(seat, record, struck)
        for unlisted in record.unlisted:
            self.tick_hit(unlisted)

    def move(self, seat: Seat, record: journal_pb2.CommandRecord) -> None:
        verdict = record.verdict
        if verdict.outcome == verdict_pb2.OUTCOME_REJECTED:
            if verdict.reason not in NOT_MOVED:
                self.violated(seat)
            return
        yaw, pitch = record.command.move.yaw, record.command.move.pitch
        if math.isfinite(yaw) and math.isfinite(pitch):
            level = math.cos(pitch)
            self.look(seat, unit(math.cos(yaw) * level, math.sin(yaw) * level, math.sin(pitch)))
        corrected = verdict.outcome == verdict_pb2.OUTCOME_CORRECTED
        to = verdict.correction if corrected else record.command.move
        at_mm = self.millimetres(to.x), self.millimetres(to.y), self.millimetres(to.z)
        if corrected:
            self.violated(seat)
        else:
            apart = (float(b - a) for a, b in zip(seat.at_mm, at_mm, strict=True))
            x, y, z = apart
            seat.player.moved_mm += int(math.sqrt(x * x + y * y + z * z) + 0.5)
        seat.at_mm = at_mm

    def violated(self, seat: Seat) -> None:
        if seat.corrected_us is None or self.score.time_us - seat.corrected_us >= CORRECTED_US:
            seat.corrected_us = self.score.time_us
            seat.player.movement_violations += 1

    def millimetres(self, metres: float) -> int:
        scaled = metres * 1000.0 + (0.5 if metres >= 0.0 else -0.5)
        if not -FARTHEST_MM <= scaled <= FARTHEST_MM:
            raise self.impossible(f"{metres} m is no place")
        return int(scaled)

    def look(self, seat: Seat, look: tuple[int, int, int] | None) -> None:
        if look is not None:
            seat.look = self.score.time_us, look

    def snapped(self, seat: Seat, look: tuple[int, int, int] | None) -> bool:
        if seat.look is None or look is None:
            return False
        at_us, before = seat.look
        dot = sum(a * b for a, b in zip(before, look, strict=True))
        return self.score.time_us - at_us <= SNAP_US and dot < SNAP_DOT

    def shot(self, seat: Seat, record: journal_pb2.CommandRecord, struck: list[int | None]) -> None:
        verdict, player = record.verdict, seat.player
        weapon = self.weapon(player, record.command.shot.weapon)
        regions = [region for region in struck if region is not None]
        player.shots += 1
        weapon[0] += 1
        player.rewind_bins[min(verdict.rewind_us // BIN_US, REWIND_BINS - 1)] += 1
        player.clamped_rewinds += verdict.clamp != verdict_pb2.CLAMP_UNSPECIFIED
        player.hits += bool(regions)
        weapon[1] += bool(regions)
        player.headshots += REGION_HEAD in regions
        for region in regions:
            player.by_region[region] += 1
        sent = record.command.shot
        look = unit(sent.direction_x, sent.direction_y, sent.direction_z)
        player.snap_hits += bool(regions) and self.snapped(seat, look)
        self.look(seat, look)

    def weapon(self, player: Player, index: int) -> list[int]:
        if index >= self.weapons:
            raise self.impossible(f"there is no weapon {index}")
        return player.by_weapon[index]

    def hit(self, source: int, hit: verdict_pb2.Hit) -> int | None:
        """Credits what it did; the region where it struck somebody else, else None."""
        attacker, target = self.seat(source).player, self.seat(hit.slot).player
        if hit.region >= REGIONS:
            raise self.impossible(f"there is no region {hit.region}")
        target.damage_taken_milli += hit.dealt_milli
        attacker.healed_milli += hit.healed_milli
        if source == hit.slot:
            return None
        attacker.damage_dealt_milli += hit.dealt_milli
        return hit.region if hit.dealt_milli or hit.armour_milli or hit.shield_milli else None

    def tick_hit(self, each: journal_pb2.TickHit) -> None:
        region = self.hit(each.source, each.hit)
        if region is None or not each.weapon:
            return
        seat = self.seat(each.source)
        player, shot = seat.player, each.command_sequence
        weapon = self.weapon(player, each.weapon - 1)
        player.by_region[region] += 1
        if shot not in seat.struck:
            if len(seat.struck) == STRUCK:
                del seat.struck[next(iter(seat.struck))]
            seat.struck[shot] = False
            player.hits += 1
            weapon[1] += 1
        if region == REGION_HEAD and not seat.struck[shot]:
            seat.struck[shot] = True
            player.headshots += 1

    # -- events -------------------------------------------------------------------------------------

    def event(self, event: event_pb2.Event) -> None:
        self.score.tick = event.tick
        if event.HasField("spawn"):
            seat = self.seat(event.spawn.slot)
            seat.alive_since_us = self.score.time_us
            seat.look = None
            seat.at_mm = event.spawn.x_mm, event.spawn.y_mm, event.spawn.z_mm
        elif event.HasField("kill"):
            self.kill(event.kill)
        elif event.HasField("session_end"):
            for seat in self.score.seats.values():
                self.end_life(seat)

    def kill(self, kill: event_pb2.KillEvent) -> None:
        victim, killer = self.seat(kill.victim), self.seat(kill.killer)
        victim.player.deaths += 1
        victim.player.streak = 0
        self.end_life(victim)
        if kill.victim != kill.killer and not (killer.team and killer.team == victim.team):
            player = killer.player
            player.kills += 1
            player.streak += 1
            player.best_streak = max(player.best_streak, player.streak)
            player.longest_kill_mm = max(player.longest_kill_mm, kill.distance_mm)
            if kill.weapon:
                self.weapon(player, kill.weapon - 1)[2] += 1
        if kill.assist:
            self.seat(kill.assist - 1).player.assists += 1

    # -- results ------------------------------------------------------------------------------------

    def results(self) -> list[tuple[int, str, int, int, int, int, int]]:
        return [
            (p.slot, p.player_id, p.team, p.kills, p.deaths, p.assists, p.damage_dealt_milli)
            for p in self.score.players
        ]

    def players(self) -> list[dict[str, object]]:
        return [self.row(player) for player in self.score.players]

    def row(self, player: Player) -> dict[str, object]:
        plain = {each.name: getattr(player, each.name) for each in fields(Player)}
        by_region, by_weapon = plain.pop("by_region"), plain.pop("by_weapon")
        seat = self.score.seats.get(player.slot)
        if seat is not None and seat.player is player and seat.alive_since_us is not None:
            plain["time_alive_us"] += self.score.time_us - seat.alive_since_us
        used = [index + 1 for index, count in enumerate(player.rewind_bins) if count]
        bins = player.rewind_bins[: max(used, default=0)]
        return plain | {
            "rewind_bins": bins,
            "rewind_p50_us": percentile_us(bins, 50),
            "rewind_p99_us": percentile_us(bins, 99),
            "weapons": [
                {"weapon": index, "shots": shots, "hits": hits, "kills": kills}
                for index, (shots, hits, kills) in enumerate(by_weapon)
                if shots or hits or kills
            ],
            "regions": [{"region": region, "hits": hits} for region, hits in enumerate(by_region) if hits],
        }


def unit(x: float, y: float, z: float) -> tuple[int, int, int] | None:
    """The direction, in millionths; None of one that says nothing."""
    length = math.sqrt(x * x + y * y + z * z)
    if not 1e-6 < length < 1e6:
        return None
    micro = [part / length * 1e6 for part in (x, y, z)]
    x, y, z = (part + (0.5 if part >= 0.0 else -0.5) for part in micro)
    return int(x), int(y), int(z)


def percentile_us(bins: list[int], percent: int) -> int:
    """The nearest rank's bin, from its lower end; 0 of nothing."""
    rank, below = (percent * sum(bins) + 99) // 100, 0
    for index, count in enumerate(bins):
        below += count
        if below >= rank:
            return index * BIN_US
    return 0

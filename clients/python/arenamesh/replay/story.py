"""A match as lines that people read: who came, who hit and killed whom, how it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from arenamesh.client.combat import Combat
from arenamesh.combat.v1 import event_pb2, verdict_pb2


@dataclass(frozen=True)
class Line:
    """Something that happened. `sequence`: its journal record, 0 when it is not of one command."""

    time_us: int
    kind: str
    text: str
    sequence: int = 0


async def story(combat: Combat, session_id: str, weapons: Sequence[str]) -> list[Line]:
    """Everything worth a line, in order: from the replay, and the hits from the journal."""
    teller = _Teller(weapons)
    lines = [line async for line in _events(combat, session_id, teller)]
    lines += [line async for line in _hits(combat, session_id, teller)]
    return sorted(lines, key=lambda line: line.time_us)


async def _events(combat: Combat, session_id: str, teller: _Teller) -> AsyncIterator[Line]:
    async for frame in combat.replay(session_id):
        for event in frame.events:
            line = teller.event(event, frame.server_time_us)
            if line is not None:
                yield line


async def _hits(combat: Combat, session_id: str, teller: _Teller) -> AsyncIterator[Line]:
    async for record in combat.records(session_id, outcome=verdict_pb2.OUTCOME_ACCEPTED):
        command = record.command.command
        if not command.HasField("shot"):
            continue
        for hit in record.command.verdict.hits:
            if not (hit.reason or hit.healed_milli):
                text = teller.hit(command.slot, command.shot.weapon, hit, record.time_us)
                yield Line(record.time_us, "hit", text, record.sequence)


class _Teller:
    def __init__(self, weapons: Sequence[str]) -> None:
        self._weapons = weapons
        # Who took a seat when, newest last.
        self._seats: dict[int, list[tuple[int, str]]] = {}

    def event(self, event: event_pb2.Event, time_us: int) -> Line | None:
        kind = event.WhichOneof("kind")
        if kind == "join":
            self._seats.setdefault(event.join.slot, []).append((time_us, event.join.player_id))
            team = f", team {event.join.team}" if event.join.team else ""
            return Line(time_us, kind, f"{event.join.player_id} joins (seat {event.join.slot}{team})")
        if kind == "leave":
            return Line(time_us, kind, f"{self._who(event.leave.slot, time_us)} leaves")
        if kind == "kill":
            kill = event.kill
            victim = self._who(kill.victim, time_us)
            if kill.killer == kill.victim:
                return Line(time_us, kind, f"{victim} dies")
            text = f"{self._who(kill.killer, time_us)} kills {victim}"
            detail = self._detail(kill.weapon - 1, kill.region, kill.distance_mm)
            return Line(time_us, kind, f"{text}: {detail}" if detail else text)
        if kind == "session_end":
            reason = event_pb2.EndReason.Name(event.session_end.reason).removeprefix("END_REASON_")
            return Line(time_us, "end", f"the match ends: {reason.lower().replace('_', ' ')}")
        return None

    def hit(self, slot: int, weapon: int, hit: verdict_pb2.Hit, time_us: int) -> str:
        detail = self._detail(weapon, hit.region, hit.distance_mm)
        total = hit.dealt_milli + hit.armour_milli + hit.shield_milli
        critical = ", critical" if hit.critical else ""
        left = "dead" if hit.lethal else f"{hit.health_milli / 1000:.1f} left"
        who, whom = self._who(slot, time_us), self._who(hit.slot, time_us)
        return f"{who} hits {whom}: {detail}{critical}, {total / 1000:.1f} ({left})"

    def _detail(self, weapon: int, region: verdict_pb2.Region, distance_mm: int) -> str:
        parts = [self._weapons[weapon] if 0 <= weapon < len(self._weapons) else f"weapon {weapon}"]
        if weapon < 0:
            parts = []
        if region:
            parts.append(verdict_pb2.Region.Name(region).removeprefix("REGION_").lower())
        if distance_mm:
            parts.append(f"{distance_mm / 1000:.1f} m")
        return ", ".join(parts)

    def _who(self, slot: int, time_us: int) -> str:
        sat = [player for since_us, player in self._seats.get(slot, []) if since_us <= time_us]
        return sat[-1] if sat else f"seat {slot}"


def clock(time_us: int) -> str:
    """`3:07.250`."""
    minutes, rest = divmod(time_us // 1000, 60_000)
    return f"{minutes}:{rest // 1000:02d}.{rest % 1000:03d}"

"""A session's journal, told: what is counted of it, who sat where, and the events that others hear.

A `Story` is folded from the records alone, in pieces of any size, and goes on from what it was saved as. So
the same journal always makes the same events with the same ids, however often it is read.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from arenamesh.combat.v1 import event_pb2, journal_pb2, verdict_pb2
from arenamesh.events.v1 import combat_pb2, envelope_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from native import journal
from native.ruleset import Ruleset
from native.scores import PlayerTally
from native.tally import Tally
from services.combat.domain.results import Ending, Mode, places
from services.combat.domain.session import Session
from services.combat.domain.statistics import PlayerStats, Score, WeaponCount
from services.combat.statistics.memory import Memory, Seat
from services.combat.statistics.violations import CORRECTED_US, plain, violation

SOURCE = "arenamesh/combat"
EVENTS_TOPIC = "game.combat.events"
VALIDATION_TOPIC = "game.combat.damage.validation"
SECOND_US = 1_000_000

_JOIN, _LEAVE, _START, _COMMAND = 3, 4, 5, 7
# Of a PlayerTally, what a player's second is told in, and what the memory has of the seconds before.
_TOLD = (
    "shots",
    "hits",
    "headshots",
    "damage_dealt_milli",
    "damage_taken_milli",
    "moved_mm",
    "clamped_rewinds",
    "movement_violations",
    "snap_hits",
)


class StoryError(ValueError):
    """A journal that cannot be told: not what an arena writes."""


class Told(NamedTuple):
    topic: str
    envelope: envelope_pb2.Envelope


class _Record(NamedTuple):
    """One row of `native.journal.index`."""

    sequence: int
    time_us: int
    kind: int
    slot: int
    eventful: bool
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


class Story:
    """Of one session. What came of feeding it is taken by `take_events` and `take_seats`."""

    def __init__(
        self, session: Session, ruleset: Ruleset, tally: bytes = b"", memory: Mapping[str, Any] | None = None
    ) -> None:
        """Goes on from what `save` returned, or from the beginning.

        Raises:
            ValueError: what was saved is damaged, or of another build.
        """
        self._session = session
        self._weapons = ruleset.weapon_names
        self._actions = ruleset.action_names
        tables = ruleset.tables()
        mode = tables["modes"][ruleset.mode_names.index(session.game_mode)]
        self._mode = Mode(teams=bool(mode["teams"]), respawns=bool(mode["respawns"]))
        self._half_life_us = max(int(tables["move"]["violation_decay_us"]), 1)
        self._tally = Tally.restore(tally) if tally else Tally(len(self._weapons))
        self._memory = Memory.restore(memory) if memory else Memory()
        if any(len(counts) != len(_TOLD) for counts in self._memory.told.values()):
            raise ValueError("seconds were told in other counts")
        self._events: list[Told] = []
        self._seats: list[Seat] = []

    @property
    def sequence(self) -> int:
        """Of the last record told."""
        return self._tally.sequence

    @property
    def time_us(self) -> int:
        return self._tally.time_us

    def save(self) -> tuple[bytes, dict[str, Any]]:
        """For another Story to go on from: its tally, and a JSON object."""
        return self._tally.save(), self._memory.save()

    def take_events(self) -> list[Told]:
        """In the order in which they are to be heard."""
        events, self._events = self._events, []
        return events

    def take_seats(self) -> list[Seat]:
        """Taken or freed since the last call; one more than once holds what it came to last."""
        seats, self._seats = self._seats, []
        return seats

    def players(self) -> list[PlayerStats]:
        """Everybody who ever had a seat."""
        return [self._stats(tally) for tally in self._tally.players()]

    def feed(self, segment: bytes) -> None:
        """Tells the records of a JournalSegment that goes on where the last one ended.

        Raises:
            StoryError: it does not, cannot be read, or says what no arena writes. The story is then to be
                thrown away.
        """
        try:
            start = 0
            for records in self._pieces(segment):
                if records[0].time_us // SECOND_US > self._memory.second:
                    self._tell_second(records[0].time_us // SECOND_US)
                end = records[-1].end
                self._tell(segment, segment[start:end], records)
                start = end
        except (ValueError, LookupError) as error:
            raise StoryError(str(error) or repr(error)) from error

    def _pieces(self, segment: bytes) -> Iterator[list[_Record]]:
        """Runs of records of one second, and none beyond a record that ends the session."""
        piece: list[_Record] = []
        for row in journal.index(segment):
            record = _Record(*row)
            if piece and record.time_us // SECOND_US != piece[0].time_us // SECOND_US:
                yield piece
                piece = []
            piece.append(record)
            if record.eventful and self._ends(segment, record):
                yield piece
                piece = []
        if piece:
            yield piece

    def _ends(self, segment: bytes, record: _Record) -> bool:
        return any(event.HasField("session_end") for event in _parsed(segment, record).events)

    # -- a piece ----------------------------------------------------------------------------------

    def _tell(self, segment: bytes, piece: bytes, records: list[_Record]) -> None:
        """`piece`: of the segment, what holds the records."""
        before = {tally["player_id"]: _suspicious(tally) for tally in self._tally.players()}
        self._tally.feed(piece)
        suspects = {
            tally["slot"]
            for tally in self._tally.players()
            if _suspicious(tally) != before.get(tally["player_id"], 0)
        }
        # A suspect may have changed seats within the piece.
        moved = any(record.kind in (_JOIN, _LEAVE) for record in records)
        for record in records:
            if record.kind == _COMMAND and suspects and (moved or record.slot in suspects):
                self._command(record, _parsed(segment, record).command)
            if record.kind in (_JOIN, _LEAVE, _START) or record.eventful:
                self._change(record, _parsed(segment, record))

    def _change(self, record: _Record, parsed: journal_pb2.JournalRecord) -> None:
        memory = self._memory
        if record.kind == _JOIN:
            join = parsed.join
            memory.corrected_us.pop(join.slot, None)
            memory.seats[join.slot] = Seat(
                join.slot, join.player_id, max(join.given_team - 1, 0), record.sequence
            )
            self._seats.append(memory.seats[join.slot])
            if join.player_id in memory.absent:
                memory.absent.remove(join.player_id)
        elif record.kind == _LEAVE:
            seat = memory.seats[parsed.leave.slot]
            seat.until = record.sequence
            self._seats.append(seat)
            memory.fallen.setdefault(seat.player_id, record.sequence)
            if not memory.started:
                memory.absent.append(seat.player_id)
        elif record.kind == _START:
            memory.started = True
            self._session_started(record)
        for event in parsed.events:
            self._event(record, event)

    def _event(self, record: _Record, event: event_pb2.Event) -> None:
        memory = self._memory
        if event.HasField("spawn"):
            memory.fallen.pop(memory.seats[event.spawn.slot].player_id, None)
        elif event.HasField("kill"):
            memory.fallen.setdefault(memory.seats[event.kill.victim].player_id, record.sequence)
            self._kill(record, event.kill)
        elif event.HasField("session_end") and not memory.over:
            memory.over = True
            self._tell_second(memory.second)
            if memory.started:
                self._session_ended(record, event.session_end)

    def _command(self, record: _Record, command: journal_pb2.CommandRecord) -> None:
        kind = violation(command)
        if kind is None or (command.command.HasField("move") and self._under_way(record)):
            return
        player_id = self._memory.seats[record.slot].player_id
        score = self._memory.scores.get(player_id, Score()).violated(record.time_us, self._half_life_us)
        self._memory.scores[player_id] = score
        if command.command.HasField("shot"):
            claims = self._memory.false_claims
            claims[player_id] = claims.get(player_id, 0) + 1
        said = combat_pb2.CombatViolation(
            session_id=self._session.session_id,
            player_id=player_id,
            journal_sequence=record.sequence,
            kind=kind,
            score_milli=score.milli,
        )
        self._say("combat.violation", said, record.sequence, record.time_us, player_id)

    def _under_way(self, record: _Record) -> bool:
        """Whether a move was so already when the one before it was corrected, as the tally has it."""
        before = self._memory.corrected_us.get(record.slot)
        if before is not None and record.time_us - before < CORRECTED_US:
            return True
        self._memory.corrected_us[record.slot] = record.time_us
        return False

    # -- what is told -----------------------------------------------------------------------------

    def _session_started(self, record: _Record) -> None:
        session = self._session
        started = combat_pb2.CombatSessionStarted(
            session_id=session.session_id,
            session_type=session.type,
            map_id=session.map_id,
            game_mode=session.game_mode,
            player_ids=[seat.player_id for seat in self._seated()],
            started_at=self._at(record.time_us),
        )
        self._say("combat.session_started", started, record.sequence, record.time_us)

    def _session_ended(self, record: _Record, end: event_pb2.SessionEndEvent) -> None:
        session, memory = self._session, self._memory
        players = [player for player in self.players() if player.player_id not in memory.absent]
        ending = Ending(end.winner, {seat.player_id for seat in self._seated()}, memory.fallen)
        found = places(players, self._mode, ending)
        ended = combat_pb2.CombatSessionEnded(
            session_id=session.session_id,
            session_type=session.type,
            game_mode=session.game_mode,
            ended_at=self._at(record.time_us),
            duration_us=record.time_us,
            end_reason=plain(event_pb2.EndReason.Name(end.reason), "END_REASON_"),
            results=[
                combat_pb2.CombatPlayerResult(
                    player_id=player.player_id,
                    team=player.team,
                    place=found[player.player_id].place,
                    won=found[player.player_id].won,
                    kills=player.kills,
                    deaths=player.deaths,
                    assists=player.assists,
                    damage_dealt_milli=player.damage_dealt_milli,
                )
                for player in sorted(players, key=lambda p: (found[p.player_id].place, p.player_id))
            ],
        )
        self._say("combat.session_ended", ended, record.sequence, record.time_us)

    def _kill(self, record: _Record, kill: event_pb2.KillEvent) -> None:
        seats = self._memory.seats
        killer, victim = seats[kill.killer], seats[kill.victim]
        killed = combat_pb2.CombatKill(
            session_id=self._session.session_id,
            journal_sequence=record.sequence,
            killer_id=killer.player_id,
            victim_id=victim.player_id,
            assist_id=seats[kill.assist - 1].player_id if kill.assist else "",
            weapon=self._weapons[kill.weapon - 1] if kill.weapon else "",
            region=plain(verdict_pb2.Region.Name(kill.region), "REGION_") if kill.region else "",
            distance_mm=kill.distance_mm,
            friendly=killer is victim or (self._mode.teams and killer.team == victim.team),
        )
        self._say("combat.kill", killed, record.sequence, record.time_us, killed.victim_id)

    def _tell_second(self, following: int) -> None:
        """Sums up what was counted since the last call, and goes on to the second `following`."""
        memory = self._memory
        from_us = memory.second * SECOND_US
        for tally in self._tally.players():
            player_id = tally["player_id"]
            counts = _told(tally)
            change = [
                new - old
                for new, old in zip(counts, memory.told.get(player_id, [0] * len(_TOLD)), strict=True)
            ]
            memory.told[player_id] = counts
            if any(change):
                summary = combat_pb2.CombatPlayerSummary(
                    session_id=self._session.session_id,
                    player_id=player_id,
                    from_us=from_us,
                    to_us=from_us + SECOND_US,
                    false_claims=memory.false_claims.get(player_id, 0),
                    **dict(zip(_TOLD, change, strict=True)),
                )
                self._say("combat.player_summary", summary, self.sequence, self.time_us, player_id)
        memory.false_claims = {}
        memory.second = following

    def _say(self, type_: str, data: Message, sequence: int, time_us: int, player_id: str = "") -> None:
        session_id = self._session.session_id
        parts = [session_id, str(sequence), type_.removeprefix("combat."), player_id]
        envelope = envelope_pb2.Envelope(
            id=":".join(part for part in parts if part),
            source=SOURCE,
            type=type_,
            subject=session_id,
            time=self._at(time_us),
        )
        envelope.data.Pack(data)
        topic = VALIDATION_TOPIC if type_ == "combat.violation" else EVENTS_TOPIC
        self._events.append(Told(topic, envelope))

    # -- helpers ----------------------------------------------------------------------------------

    def _at(self, time_us: int) -> Timestamp:
        """The session clock on the wall. The clock stands still while nobody plays the session, so this is
        when it would have been without any break."""
        begun = self._session.started_at or self._session.created_at
        stamp = Timestamp()
        stamp.FromDatetime(begun + timedelta(microseconds=time_us))
        return stamp

    def _seated(self) -> list[Seat]:
        seats = self._memory.seats
        return [seats[slot] for slot in sorted(seats) if seats[slot].until is None]

    def _stats(self, tally: PlayerTally) -> PlayerStats:
        return PlayerStats(
            player_id=tally["player_id"],
            slot=tally["slot"],
            team=tally["team"],
            kills=tally["kills"],
            deaths=tally["deaths"],
            assists=tally["assists"],
            damage_dealt_milli=tally["damage_dealt_milli"],
            damage_taken_milli=tally["damage_taken_milli"],
            healed_milli=tally["healed_milli"],
            shots=tally["shots"],
            hits=tally["hits"],
            headshots=tally["headshots"],
            longest_kill_mm=tally["longest_kill_mm"],
            best_streak=tally["best_streak"],
            time_alive_us=tally["time_alive_us"],
            movement_violations=tally["movement_violations"],
            moved_mm=tally["moved_mm"],
            clamped_rewinds=tally["clamped_rewinds"],
            weapons={
                self._weapons[used["weapon"]]: WeaponCount(
                    used["weapon"], used["shots"], used["hits"], used["kills"]
                )
                for used in tally["weapons"]
            },
            regions={struck["region"]: struck["hits"] for struck in tally["regions"]},
            rewind_bins=tally["rewind_bins"],
        )


def _parsed(segment: bytes, record: _Record) -> journal_pb2.JournalRecord:
    return journal_pb2.JournalRecord.FromString(segment[record.offset : record.end])


def _told(tally: PlayerTally) -> list[int]:
    counts: Mapping[str, Any] = tally
    return [counts[name] for name in _TOLD]


def _suspicious(tally: PlayerTally) -> int:
    return tally["movement_violations"] + tally["clamped_rewinds"]

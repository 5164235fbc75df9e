"""Journal records in words: the contract's messages, turned into what `domain.explain` speaks of."""

from collections.abc import Iterable, Mapping, Sequence

from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2, verdict_pb2

from native.ruleset import Ruleset
from services.combat.domain import explain
from services.combat.domain.explain import Killing, Point, Sight, Struck

_SOURCES = {play_pb2.DAMAGE_SOURCE_ENVIRONMENT: "the environment", play_pb2.DAMAGE_SOURCE_SCRIPT: "a script"}


class Teller:
    """`players`: who sat where when the record was written."""

    def __init__(self, ruleset: Ruleset, players: Mapping[int, str]) -> None:
        self._weapons = ruleset.weapon_names
        self._actions = ruleset.action_names
        self._tables = ruleset.tables()["weapons"]
        self._players = players

    def tell(self, record: journal_pb2.JournalRecord) -> str:
        """What the record says, in a few sentences."""
        kind = record.WhichOneof("input")
        when = explain.time(record.time_us)
        said: list[str] = []
        if kind == "command":
            said = [f"At {when} {self._command(record)}"]
        elif kind == "tick":
            said = [f"At {when} the match stepped to tick {record.tick.tick}.", *self._hits(record.tick.hits)]
        elif kind == "join":
            said = [f"At {when} {record.join.player_id} took seat {record.join.slot}."]
        elif kind == "leave":
            how = explain.LEAVINGS[_name(event_pb2.LeaveReason, record.leave.reason)]
            said = [f"At {when} {self._who(record.leave.slot)} {how}."]
        elif kind == "start":
            said = ["The match began."]
        elif kind == "end":
            said = [f"At {when} the match was ended: {_ending(record.end.reason)}."]
        return " ".join(said + [self._event(event) for event in record.events])

    # -- commands ---------------------------------------------------------------------------------

    def _command(self, record: journal_pb2.JournalRecord) -> str:
        command, verdict = record.command.command, record.command.verdict
        kind = command.WhichOneof("kind")
        who = f"{self._who(command.slot)} (command {command.sequence})"
        if kind == "shot":
            return f"{who} {self._shot(record)}"
        if kind == "move":
            corrected = verdict.HasField("correction")
            at = verdict.correction
            move = command.move
            said = explain.moved(
                (move.x, move.y, move.z),
                _name(play_pb2.MoveMode, move.mode),
                _name(verdict_pb2.Outcome, verdict.outcome),
                _name(verdict_pb2.Reason, verdict.reason),
                (at.x, at.y, at.z) if corrected else None,
            )
            return f"{who} {said}"
        if kind == "action":
            tried = "used" if verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED else "wanted to use"
            said = f"{who} {tried} {_at(self._actions, command.action.action, 'action')}"
            if command.action.target:
                said += f" on {self._who(command.action.target - 1)}"
        elif kind == "damage":
            amount = explain.points(command.damage.amount_milli)
            source = _SOURCES.get(command.damage.source, "something")
            said = (
                f"{source} was to deal {amount} to {self._who(command.damage.target)}, in the name of {who}"
            )
        else:
            said = f"{who} sent a command of no kind"
        return f"{said}. {self._came_of_it(record)}"

    def _shot(self, record: journal_pb2.JournalRecord) -> str:
        judged, evidence = record.command, record.command.evidence
        verdict, number = judged.verdict, judged.command.shot.weapon
        tried = "fired" if verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED else "wanted to fire"
        said = [f"{tried} {_at(self._weapons, number, 'weapon')}."]
        if judged.HasField("evidence"):
            clamp = _name(verdict_pb2.Clamp, verdict.clamp)
            sight = Sight(evidence.claimed_view_us, evidence.used_view_us, verdict.rewind_us, clamp)
            said.append(explain.seen(record.time_us, sight))
        if verdict.reason:
            said.append(explain.refused(_name(verdict_pb2.Reason, verdict.reason)))
        else:
            struck = self._struck(verdict.hits, evidence.target_mm)
            occluded_m = evidence.occluded_mm / 1000
            said.append(explain.shot(self._tables[number], struck, occluded_m, evidence.draws))
            said += self._hits(judged.unlisted)
        return " ".join(said)

    def _came_of_it(self, record: journal_pb2.JournalRecord) -> str:
        verdict = record.command.verdict
        if verdict.reason and not verdict.hits:
            return explain.refused(_name(verdict_pb2.Reason, verdict.reason))
        hits = [explain.hit(target) for target in self._struck(verdict.hits, ())]
        return " ".join(hits + self._hits(record.command.unlisted)) or "It was accepted."

    def _struck(self, hits: Iterable[verdict_pb2.Hit], target_mm: Sequence[int]) -> list[Struck]:
        return [
            Struck(
                who=self._who(hit.slot),
                region=_name(verdict_pb2.Region, hit.region),
                distance_m=hit.distance_mm / 1000,
                dealt=hit.dealt_milli,
                armour=hit.armour_milli,
                shield=hit.shield_milli,
                overkill=hit.overkill_milli,
                health=hit.health_milli,
                healed=hit.healed_milli,
                critical=hit.critical,
                lethal=hit.lethal,
                reason=_name(verdict_pb2.Reason, hit.reason),
                stood=_point(target_mm[3 * rank : 3 * rank + 3]),
            )
            for rank, hit in enumerate(hits)
        ]

    def _hits(self, hits: Iterable[journal_pb2.TickHit]) -> list[str]:
        """Hits that no verdict lists, each with what it came from."""
        said = []
        for hit in hits:
            weapon = _at(self._weapons, hit.weapon - 1, "weapon") if hit.weapon else ""
            action = _at(self._actions, hit.action - 1, "action") if hit.action else ""
            number = f", command {hit.command_sequence}" if hit.command_sequence else ""
            (target,) = self._struck([hit.hit], ())
            source = f"{self._who(hit.source)}: {weapon or action or 'no weapon'}{number}"
            said.append(f"[{source}] {explain.hit(target)}")
        return said

    # -- events -----------------------------------------------------------------------------------

    def _event(self, event: event_pb2.Event) -> str:
        kind = event.WhichOneof("kind")
        if kind == "kill":
            kill = event.kill
            return explain.killed(
                Killing(
                    victim=self._who(kill.victim),
                    killer=self._who(kill.killer),
                    assist=self._who(kill.assist - 1) if kill.assist else "",
                    weapon=_at(self._weapons, kill.weapon - 1, "weapon") if kill.weapon else "",
                    region=_name(verdict_pb2.Region, kill.region),
                    distance_m=kill.distance_mm / 1000,
                )
            )
        if kind == "spawn":
            at = _point((event.spawn.x_mm, event.spawn.y_mm, event.spawn.z_mm)) or (0.0, 0.0, 0.0)
            return f"{self._who(event.spawn.slot)} came into play at {explain.place(at)}."
        if kind == "session_end":
            return f"The match was over: {_ending(event.session_end.reason)}."
        return ""

    def _who(self, slot: int) -> str:
        return self._players.get(slot) or f"seat {slot}"


def _ending(reason: event_pb2.EndReason) -> str:
    return _name(event_pb2.EndReason, reason).replace("_", " ")


def _name(enum: object, number: int) -> str:
    """`friendly_fire` of REASON_FRIENDLY_FIRE; '' of UNSPECIFIED."""
    names: Sequence[str] = enum.keys()  # type: ignore[attr-defined]
    numbers: Sequence[int] = enum.values()  # type: ignore[attr-defined]
    prefix = names[0].removesuffix("UNSPECIFIED")
    name = names[list(numbers).index(number)].removeprefix(prefix).lower()
    return "" if name == "unspecified" else name


def _at(names: Sequence[str], number: int, what: str) -> str:
    return f"the {names[number].replace('_', ' ')}" if number < len(names) else f"{what} {number}"


def _point(millimetres: Sequence[int]) -> Point | None:
    return (
        (millimetres[0] / 1000, millimetres[1] / 1000, millimetres[2] / 1000)
        if len(millimetres) == 3
        else None
    )

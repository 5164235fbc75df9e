"""What is said on the bus about a player who cheats leads to a flag, and what follows is told on the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import pytest
from arenamesh.events.v1 import fairness_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import detector_pb2, flag_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message as Data
from google.protobuf.struct_pb2 import Struct

from services.chassis import clock
from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from services.chassis.event_fields import payload
from tests.support.fairness import AIM, Fairness, played, refused, said
from tests.support.waiting import eventually

NOT_FOUND = grpc.StatusCode.NOT_FOUND
LIVEOPS = "game.liveops.events"
COMBAT, TOLD = "game.combat.events", "game.fairness.events"


async def handled(database: Database, *messages: Message) -> bool:
    """Each has had its effect, or is a dead letter."""
    query = "SELECT event_id FROM fairness.inbox UNION SELECT event_id FROM fairness.dead_letters"
    async with database.connection() as connection:
        rows = await connection.fetch(query)
    return {message.id for message in messages} <= {row["event_id"] for row in rows}


@dataclass
class Ears:
    """What others hear of fairness."""

    heard: list[tuple[str, Data]] = field(default_factory=list)

    async def __call__(self, message: Message) -> None:
        envelope = Envelope.FromString(message.body)
        self.heard.append((envelope.type.removeprefix("fairness."), payload(envelope)))

    async def hears(self, *types: str) -> bool:
        return [type_ for type_, _ in self.heard] == list(types)


@pytest.fixture
async def ears(bus: Bus) -> AsyncIterator[Ears]:
    listening = Ears()
    subscription = await bus.subscribe(TOLD, "tests", listening, nobody)
    yield listening
    await subscription.close()


async def nobody(*_: object) -> None:
    pytest.fail("nothing that is told cannot be read")


async def test_a_cheat_is_found_and_everybody_is_told(
    server: Fairness, database: Database, bus: Bus, ears: Ears
) -> None:
    """Each event twice, beside somebody who is only good."""
    mode: dict[str, Any] = {"mode": "DETECTOR_MODE_BLOCK", "hold": "60s", "quarantine": True}
    await server.detector(**AIM, **mode, unwatched=True, because="A test.")
    cheat = [played("eve", ago_s=30 - number, shots=4, hits=3, headshots=3) for number in range(4)]
    good = [played("ann", ago_s=30 - number, shots=4, hits=3, headshots=number % 2) for number in range(4)]
    both = [each for pair in zip(cheat, good, strict=True) for each in pair]
    await bus.publish(COMBAT, both + both)
    await eventually(partial(handled, database, *both))
    assert not (await server.flags(player_id="ann")).flags
    flag = await server.flag_of("eve")
    assert (flag.state, flag.occurrences) == (flag_pb2.FLAG_STATE_OPEN, 1)
    assert not flag.HasField("evidence")
    await eventually(partial(ears.hears, "flag_opened", "standing_changed", "scores_changed"))
    opened, standing, scores = (data for _, data in ears.heard)
    assert isinstance(opened, fairness_pb2.FairnessFlagChanged)
    assert (opened.flag_id, opened.mode, opened.cause) == (flag.id, "block", cheat[2].id)
    assert isinstance(standing, fairness_pb2.FairnessStandingChanged)
    assert (standing.player_id, standing.state) == ("eve", "blocked")
    assert standing.until.seconds - flag.opened_at.seconds == 60
    assert isinstance(scores, fairness_pb2.FairnessScoresChanged)
    assert [each.board for each in scores.hidden] == [""]
    first = Envelope.FromString(cheat[0].body).time
    assert scores.hidden[0].since.ToMicroseconds() == first.ToMicroseconds()
    evidence = (await server.flag(flag.id)).evidence
    assert [each.event_id for each in evidence.inputs] == [each.id for each in cheat[:3]]
    assert evidence.summary.startswith("9 of 9 hits were headshots")
    replayed = await server.replay(flag.id)
    assert (replayed.same, replayed.intact, replayed.inputs_kept, replayed.inputs_differ) == (
        True,
        True,
        3,
        0,
    )
    assert (replayed.statistic_micro, replayed.threshold_micro) == (evidence.statistic_micro, 9_000_000)
    await server.decide(flag.id, "dismiss")
    await eventually(
        partial(
            ears.hears,
            *("flag_opened", "standing_changed", "scores_changed"),
            *("flag_decided", "standing_changed", "scores_changed"),
        )
    )
    assert isinstance(standing := ears.heard[-2][1], fairness_pb2.FairnessStandingChanged)
    assert (standing.state, standing.reason, standing.HasField("until")) == ("good", "", False)
    assert isinstance(scores := ears.heard[-1][1], fairness_pb2.FairnessScoresChanged)
    assert not scores.hidden


async def test_a_detector_that_is_only_watched_tells_nobody(
    server: Fairness, database: Database, bus: Bus, ears: Ears
) -> None:
    """It counts what it sees, and may then do more."""
    await server.detector(mode="DETECTOR_MODE_SHADOW", quarantine=True)
    messages = [played("eve", shots=9) for _ in range(3)]
    await bus.publish(COMBAT, messages)
    await eventually(partial(handled, database, *messages))
    assert not (await server.flags(player_id="eve")).flags
    flag = await server.flag_of("eve", shadow=True)
    assert flag.mode == detector_pb2.DETECTOR_MODE_SHADOW
    standing = await server.standing("eve")
    assert (standing.state, len(standing.sanctions)) == (flag_pb2.STANDING_STATE_GOOD, 0)
    await refused(server.appeal(flag.id, by="eve"), NOT_FOUND, "FLAG_NOT_FOUND")
    await server.decide(flag.id, "confirm")
    record = (await server.detectors())["shots"].record
    assert (record.observations, record.flags, record.confirmed, record.dismissed) == (3, 1, 1, 0)
    promoted = await server.detector(mode="DETECTOR_MODE_BLOCK", quarantine=True)
    assert (promoted.version, promoted.record.observations) == (2, 3)
    messages = [played("eve", shots=9) for _ in range(2)]
    await bus.publish(COMBAT, messages)
    await eventually(partial(handled, database, *messages))
    await eventually(partial(ears.hears, "flag_opened", "standing_changed", "scores_changed"))
    assert (await server.standing("eve")).state == flag_pb2.STANDING_STATE_BLOCKED


async def test_a_restriction_ends_by_itself_and_everybody_is_told(
    server: Fairness, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    await server.block("ann", state="throttled", until=now + timedelta(hours=1))
    await eventually(partial(ears.hears, "standing_changed"))
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=2))
    await eventually(partial(ears.hears, "standing_changed", "standing_changed"))
    states = [data.state for _, data in ears.heard if isinstance(data, fairness_pb2.FairnessStandingChanged)]
    assert states == ["throttled", "good"]
    assert (await server.standing("ann")).state == flag_pb2.STANDING_STATE_GOOD
    ended, began = (await server.audit(player_id="ann")).entries
    assert (began.actor, ended.actor) == ("operator:op-1", "service:fairness")


async def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nobody(
    server: Fairness, database: Database, bus: Bus
) -> None:
    await server.detector(signals=[{"event": "studio.lap", "player": "who", "value": "ms"}])
    wrong = {
        "who": said("studio.lap", ParseDict({"who": "a b", "ms": 1}, Struct())),
        "ms": said("studio.lap", ParseDict({"who": "ann", "ms": "fast"}, Struct())),
        "envelope": Message("broken", "ann", b"\xff\xff"),
    }
    right = said("studio.lap", ParseDict({"who": "ann", "ms": 11}, Struct()))
    await bus.publish(LIVEOPS, [*wrong.values(), right])
    await eventually(partial(handled, database, *wrong.values(), right))
    assert (await server.flag_of("ann")).occurrences == 1
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT event_id, error FROM fairness.dead_letters")
    told = {row["event_id"]: row["error"] for row in rows}
    assert told.keys() == {message.id for message in wrong.values()}
    for field_, message in wrong.items():
        assert field_ in told[message.id]


async def test_an_outlier_is_compared_with_its_peers(server: Fairness, database: Database, bus: Bus) -> None:
    """Of its own group, as they were a moment ago."""
    scored = {"event": "liveops.score", "player": "player_id", "value": "score", "peers": ["board"]}
    rule = {"threshold_milli": "9000", "least_peers": "10", "least_scale": "1", "days": 7}
    await server.detector(id="scores", signals=[scored], outlier=rule)

    def score(player: str, value: int, board: str = "laps") -> Message:
        data = liveops_pb2.LiveopsScore(player_id=player, board=board, score=value)
        return said("liveops.score", data, player)

    usual = [score(f"p{number}", 100 + number) for number in range(60)]
    others = [score(f"p{number}", 100_000 + number, "sums") for number in range(20)]
    await bus.publish(LIVEOPS, usual + others)
    await eventually(partial(handled, database, *usual, *others))
    tries = 0

    async def found() -> bool:
        nonlocal tries
        tries += 1
        message = score(f"eve-{tries}", 90_000)
        await bus.publish(LIVEOPS, [message])
        await eventually(partial(handled, database, message))
        return bool((await server.flags()).flags)

    await eventually(found)
    peers = (await server.flag((await server.flags()).flags[0].id)).evidence.peers
    assert peers.group == '["laps"]'
    assert 100 <= peers.median < 200
    assert sum(peers.buckets.values()) == peers.observations
    await server.detector(id="scores", signals=[scored], outlier=rule | {"least_scale": "2"})
    message = score("mal", 90_000)
    await bus.publish(LIVEOPS, [message])
    await eventually(partial(handled, database, message))
    assert not (await server.flags(player_id="mal")).flags, "another rule begins anew, its peers too"

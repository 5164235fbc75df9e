"""Every call as operators and players make it: flags, decisions, appeals, restrictions, log, detectors."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import pytest
from arenamesh.client import connect
from arenamesh.client.errors import FailedPrecondition, PermissionDenied
from arenamesh.liveops.v1 import detector_pb2, flag_pb2

from services.chassis import auth, clock
from services.chassis.auth import Role
from services.chassis.bus.port import Bus
from services.chassis.db import Database
from services.fairness.detectors import DetectorStore
from services.fairness.wiring import detector_commands
from tests.integration.fairness.test_events import COMBAT, handled
from tests.support.fairness import Fairness, a_detector, fairness, played, refused, settings
from tests.support.tokens import operator
from tests.support.waiting import eventually

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
DENIED = grpc.StatusCode.PERMISSION_DENIED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
OPEN, CONFIRMED, DISMISSED, APPEALED = (
    flag_pb2.FLAG_STATE_OPEN,
    flag_pb2.FLAG_STATE_CONFIRMED,
    flag_pb2.FLAG_STATE_DISMISSED,
    flag_pb2.FLAG_STATE_APPEALED,
)
GOOD, THROTTLED, BLOCKED = (
    flag_pb2.STANDING_STATE_GOOD,
    flag_pb2.STANDING_STATE_THROTTLED,
    flag_pb2.STANDING_STATE_BLOCKED,
)


async def cheat(server: Fairness, database: Database, bus: Bus, *players: str) -> list[flag_pb2.Flag]:
    """More shots in a second than in a minute are allowed; the flags."""
    messages = [played(each, shots=11) for each in players]
    await bus.publish(COMBAT, messages)
    await eventually(partial(handled, database, *messages))
    return [await server.flag_of(each) for each in players]


async def test_a_flag_is_confirmed_appealed_and_dismissed_by_another(
    server: Fairness, database: Database, bus: Bus
) -> None:
    await server.detector(quarantine=True, boards=["kills"], title="Shots")
    (flag,) = await cheat(server, database, bus, "eve")
    standing = await server.standing("eve")
    assert (standing.state, standing.scores_hidden) == (GOOD, True)
    (hidden,) = standing.sanctions
    assert (hidden.automated, hidden.flag_id, list(hidden.boards)) == (True, flag.id, ["kills"])
    assert hidden.reason == "More shots than anybody can fire."
    assert hidden.appeal_until.ToDatetime() > hidden.since.ToDatetime() + timedelta(days=179)

    until = clock.now() + timedelta(hours=1)
    decided = await server.decide(flag.id, "confirm", by="olga", until=until, reason="Seen in the replay.")
    assert decided.flag.state == CONFIRMED
    assert decided.standing.state == BLOCKED
    standing = await server.standing("eve")
    assert standing == decided.standing
    assert [each.automated for each in standing.sanctions] == [False, False]
    assert "Seen in the replay" not in str(standing)
    await refused(server.decide(flag.id, "dismiss"), PRECONDITION, "FLAG_DECIDED")

    await refused(server.appeal(flag.id, by="ann"), NOT_FOUND, "FLAG_NOT_FOUND")
    appealed = await server.appeal(flag.id, by="eve", text="My mouse is broken.")
    assert appealed.state == BLOCKED
    assert not any(each.HasField("appeal_until") for each in appealed.sanctions)
    await refused(server.appeal(flag.id, by="eve"), PRECONDITION, "FLAG_APPEALED")
    await refused(server.decide(flag.id, "confirm", by="olga"), DENIED, "DECIDED_BY_YOU")
    decided = await server.decide(flag.id, "dismiss", by="oscar")
    assert (decided.standing.state, len(decided.standing.sanctions)) == (GOOD, 0)

    shown = await server.flag(flag.id)
    assert (shown.state, shown.appeal.text) == (DISMISSED, "My mouse is broken.")
    assert [(each.actor, each.decision, each.reason) for each in shown.decisions] == [
        ("operator:olga", flag_pb2.DECISION_CONFIRM, "Seen in the replay."),
        ("operator:oscar", flag_pb2.DECISION_DISMISS, "Looked at it."),
    ]
    actions = [each.action for each in (await server.audit(flag_id=flag.id)).entries]
    assert actions[::-1] == [
        *("flag.opened", "sanction.began"),
        *("flag.decided", "sanction.began", "flag.appealed"),
        *("flag.decided", "sanction.ended", "sanction.ended"),
    ]
    assert (await server.detectors())["shots"].record.dismissed == 1


async def test_what_is_found_again_is_the_same_flag(server: Fairness, database: Database, bus: Bus) -> None:
    await server.detector()
    (flag,) = await cheat(server, database, bus, "eve")
    (again,) = await cheat(server, database, bus, "eve")
    assert (again.id, again.occurrences, again.state) == (flag.id, 2, OPEN)
    assert again.last_at.ToDatetime() > again.opened_at.ToDatetime()
    await refused(server.appeal(flag.id, by="eve"), PRECONDITION, "FLAG_NOT_APPEALABLE")
    await server.decide(flag.id, "dismiss")
    (after,) = await cheat(server, database, bus, "eve")
    assert (after.id, after.state) == (flag.id, DISMISSED)


async def test_flags_are_listed_by_what_is_asked(server: Fairness, database: Database, bus: Bus) -> None:
    await server.detector()
    flags = await cheat(server, database, bus, *(f"p{number}" for number in range(5)))
    await server.decide(flags[2].id, "confirm")
    seen: list[str] = []
    token = ""
    while True:
        page = await server.flags(page_size=2, page_token=token)
        assert len(page.flags) <= 2
        seen += [each.player_id for each in page.flags]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == [f"p{number}" for number in range(5)]
    times = [each.opened_at.ToMicroseconds() for each in (await server.flags()).flags]
    assert times == sorted(times, reverse=True)

    async def listed(**fields: Any) -> list[str]:
        return sorted(each.player_id for each in (await server.flags(**fields)).flags)

    assert await listed(state=CONFIRMED) == ["p2"]
    assert await listed(state=OPEN, player_id="p2") == []
    assert await listed(player_id="p3", detector_id="shots") == ["p3"]
    assert await listed(detector_id="aim") == []


async def test_evidence_that_somebody_changed_is_found_out(
    server: Fairness, database: Database, bus: Bus
) -> None:
    await server.detector()
    flag, other = await cheat(server, database, bus, "eve", "mal")
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE fairness.observations SET readings = '{\"shots\": [3, 0, \"\"]}' WHERE player_id = 'eve'"
        )
        await connection.execute("DELETE FROM fairness.observations WHERE player_id = 'mal'")
    replayed = await server.replay(flag.id)
    assert (replayed.same, replayed.intact) == (True, True)
    assert (replayed.inputs_kept, replayed.inputs_differ) == (0, 1)
    replayed = await server.replay(other.id)
    assert (replayed.inputs_kept, replayed.inputs_differ) == (0, 0)
    evidence = (await server.flag(flag.id)).evidence
    evidence.inputs[0].value = 10
    async with database.connection() as connection:
        # Whoever owns the database can do even this.
        await connection.execute("ALTER TABLE fairness.evidence DISABLE TRIGGER evidence_stays")
        changed = evidence.SerializeToString()
        await connection.execute("UPDATE fairness.evidence SET evidence = $1", changed)
    replayed = await server.replay(flag.id)
    assert (replayed.same, replayed.intact, replayed.statistic_micro) == (False, False, 0)
    assert not (await server.replay(other.id)).intact
    for broken in (b"", b"\xff"):
        async with database.connection() as connection:
            await connection.execute("UPDATE fairness.evidence SET evidence = $1", broken)
        await refused(server.replay(flag.id), grpc.StatusCode.DATA_LOSS, "EVIDENCE_UNREADABLE")


async def test_a_player_is_blocked_and_unblocked(server: Fairness) -> None:
    until = clock.now() + timedelta(hours=1)
    throttled = await server.block("ann", state="throttled", until=until, request_id="r1")
    (sanction,) = throttled.sanctions
    assert (throttled.state, sanction.reason, sanction.automated) == (THROTTLED, "Insults.", False)
    assert sanction.until.ToDatetime().replace(microsecond=0) == until.replace(tzinfo=None, microsecond=0)
    assert not sanction.HasField("appeal_until")
    assert await server.block("ann", state="throttled", until=until, request_id="r1") == throttled
    await refused(server.block("ann", until=until, request_id="r1"), PRECONDITION, "IDEMPOTENCY_KEY_REUSED")
    blocked = await server.block("ann", hide_scores=True)
    assert [each.state for each in blocked.sanctions] == [BLOCKED, THROTTLED]
    assert (blocked.state, blocked.scores_hidden) == (BLOCKED, True)
    assert await server.standing("ann", operator()) == blocked
    free = await server.unblock("ann", request_id="r2")
    assert (free.state, free.scores_hidden, len(free.sanctions)) == (GOOD, False, 0)
    assert await server.unblock("ann", request_id="r2") == free
    lines = (await server.audit(player_id="ann")).entries
    assert [each.action for each in lines] == ["sanction.ended"] * 2 + ["sanction.began"] * 2
    assert {each.actor for each in lines} == {"operator:op-1"}
    assert not (await server.standing("ben")).sanctions


async def test_the_log_is_a_chain_that_anybody_can_follow(server: Fairness) -> None:
    """By what the README says of it alone."""
    for number in range(3):
        await server.block("ann", reason=f"Once more: {number} ü")
    first = await server.audit(page_size=2)
    second = await server.audit(page_size=2, page_token=first.next_page_token)
    assert not second.next_page_token
    lines = [*first.entries, *second.entries][::-1]
    assert [each.sequence for each in lines] == [1, 2, 3]
    before = "0" * 64
    for line in lines:
        assert line.previous == before
        texts = (
            *(line.previous, str(line.sequence), str(line.at.ToMicroseconds())),
            *(line.actor, line.action, line.player_id, line.flag_id, line.details),
        )
        whole = b"".join(len(text.encode()).to_bytes(4, "big") + text.encode() for text in texts)
        before = hashlib.sha256(whole).hexdigest()
        assert line.hash == before


async def test_a_detector_is_watched_before_it_may_do_more(
    server: Fairness, database: Database, bus: Bus
) -> None:
    made = await server.detector(request_id="r1", because="To see.")
    assert (made.version, made.record.observations) == (1, 0)
    assert made.HasField("created_at")
    assert await server.detector(request_id="r1", because="To see.") == made
    await refused(server.detector(request_id="r1", title="Other"), PRECONDITION, "IDEMPOTENCY_KEY_REUSED")
    assert (await server.detector()).version == 1, "nothing has changed"
    for mode in ("THROTTLE", "BLOCK"):
        call = server.detector(mode=f"DETECTOR_MODE_{mode}")
        await refused(call, PRECONDITION, "SHADOW_RUN_MISSING")
    messages = [played("ann", shots=1) for _ in range(3)]
    await bus.publish(COMBAT, messages)
    await eventually(partial(handled, database, *messages))
    promoted = await server.detector(mode="DETECTOR_MODE_THROTTLE")
    assert (promoted.version, promoted.record.observations) == (2, 3)
    tighter: dict[str, Any] = {"bound": {"most": "9", "per": "60s"}, "mode": "DETECTOR_MODE_THROTTLE"}
    await refused(server.detector(**tighter), PRECONDITION, "SHADOW_RUN_MISSING")
    forced = await server.detector(**tighter, unwatched=True, because="A wave of cheats.")
    assert (forced.version, forced.record.observations) == (3, 0)
    assert (await server.detector(**tighter, title="Shots")).version == 4
    await refused(
        server.detector(**tighter | {"mode": "DETECTOR_MODE_BLOCK"}), PRECONDITION, "SHADOW_RUN_MISSING"
    )
    listed = await server.detectors()
    assert (list(listed), listed["shots"].version, listed["shots"].title) == (["shots"], 4, "Shots")
    changes = [each for each in (await server.audit()).entries if each.action == "detector.changed"]
    assert [each.actor for each in changes] == ["operator:op-1"] * 4
    assert '"reason":"A wave of cheats."' in changes[1].details
    assert '"without_shadow_run":true' in changes[1].details


async def test_there_are_only_so_many_detectors(database_url: str, database: Database) -> None:
    """What comes with the service is installed once, and stays as operators change it."""
    async with fairness(database_url=database_url, max_detectors=2) as server:
        installing = detector_commands(database, DetectorStore(), settings())
        assert await installing.install([a_detector(id="one")]) == ["one"]
        assert (await server.detector(id="one", title="First")).version == 2
        assert await installing.install([a_detector(id="one"), a_detector(id="two")]) == ["two"]
        assert (await server.detectors())["one"].title == "First"
        await refused(server.detector(id="three"), grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_DETECTORS")
        await server.detector(id="two", title="Second")


async def test_the_client_does_all_of_it(server: Fairness, database: Database, bus: Bus) -> None:
    target = f"127.0.0.1:{server.server.port}"

    def as_(subject: str, role: Role) -> str:
        return auth.mint(auth.DEVELOPMENT_SECRET, subject=subject, role=role)

    async with (
        connect(target, token=as_("olga", Role.OPERATOR)) as olga,
        connect(target, token=as_("oscar", Role.OPERATOR)) as oscar,
        connect(target, token=as_("eve", Role.PLAYER)) as eve,
    ):
        made = await olga.fairness.update_detector(a_detector(quarantine=True))
        assert [each.id for each in await olga.fairness.detectors()] == [made.id]
        with pytest.raises(FailedPrecondition, match="SHADOW_RUN_MISSING"):
            made.mode = detector_pb2.DETECTOR_MODE_BLOCK
            await olga.fairness.update_detector(made)
        await cheat(server, database, bus, "eve")
        (flag,) = [each async for each in olga.fairness.flags(player_id="eve", state=OPEN)]
        assert (await olga.fairness.replay(flag.id)).same
        until = clock.now() + timedelta(days=1)
        assert (await olga.fairness.confirm(flag.id, "Sure.", block_until=until)).state == CONFIRMED
        assert (await eve.fairness.standing("eve")).state == BLOCKED
        with pytest.raises(PermissionDenied):
            await eve.fairness.standing("ann")
        await eve.fairness.appeal(flag.id, "It was not me.")
        assert (await olga.fairness.flag(flag.id)).appeal.text == "It was not me."
        assert (await oscar.fairness.dismiss(flag.id, "It was not.")).state == DISMISSED
        assert (await eve.fairness.standing("me")).state == GOOD
        assert (await olga.fairness.block("eve", "Insults.", hide_scores=True)).scores_hidden
        assert (await olga.fairness.unblock("eve", "Enough.")).state == GOOD
        actions = [each.action async for each in olga.fairness.audit(player_id="eve", flag_id=flag.id)]
        assert actions[-1] == "flag.opened"

"""What an event of others is worth, and to whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from arenamesh.events.v1 import combat_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message as Data
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.bus.port import Message
from services.chassis.errors import DomainError, FailedPrecondition, InvalidArgument
from services.chassis.metrics import PROGRESSION_AWARDS_REFUSED
from services.progression.batch import Command
from services.progression.domain.character import Character, applied
from services.progression.domain.curve import load_curves
from services.progression.domain.definition import Definitions, Gain, load_definitions
from services.progression.domain.events import Enrolled, Event, ExperienceAwarded
from services.progression.heard import Earned, Heard, earned
from services.progression.ledger import Ledger
from tests.support.progression_rules import NOW

DATA = Path(__file__).parents[3] / "services" / "progression" / "data"
INSTALLED = load_definitions(DATA / "definitions", load_curves(DATA / "curves"))
DEFAULT = INSTALLED["default-1"]
DEFINITIONS = Definitions(DEFAULT, INSTALLED)


def said(type_: str, data: Data, event_id: str = "e1") -> Envelope:
    envelope = Envelope(id=event_id, source="arenamesh/test", type=type_, subject="s")
    envelope.data.Pack(data)
    return envelope


def kill(**fields: object) -> Envelope:
    whole = {"session_id": "m", "killer_id": "ann", "victim_id": "ben"} | fields
    return said("combat.kill", combat_pb2.CombatKill(**whole))  # type: ignore[arg-type]


def ended(reason: str = "time_limit") -> Envelope:
    results = [
        combat_pb2.CombatPlayerResult(player_id="ann", place=1, won=True),
        combat_pb2.CombatPlayerResult(player_id="ben", place=2),
        combat_pb2.CombatPlayerResult(player_id="cid", place=2),
    ]
    data = combat_pb2.CombatSessionEnded(
        session_id="m", session_type="duel", end_reason=reason, results=results
    )
    return said("combat.session_ended", data)


def boss(**fields: object) -> Envelope:
    return said("liveops.boss_kill", liveops_pb2.LiveopsBossKill(player_id="ann", **fields))  # type: ignore[arg-type]


def gift() -> Envelope:
    given = liveops_pb2.LiveopsProgression(
        player_id="ann", character_id="mage", experience=300, mastery_type="raid", mastery_experience=300
    )
    return said("liveops.progression", given)


class Paid:
    """In place of the ledger: decides at once, on characters that it keeps; twice, as after a conflict."""

    def __init__(self) -> None:
        self.characters: dict[str, Character] = {}
        self.commands: list[Command] = []
        self.events: list[Event] = []

    async def run(self, command: Command) -> bytes:
        self.commands.append(command)
        before: Mapping[str, Character | None] = {
            name: self.characters.get(name) for name in command.character_ids
        }
        command.decide(before, NOW)
        for name, event in command.decide(before, NOW):
            self.events.append(event)
            self.characters[name] = applied(self.characters.get(name), name, event, NOW)
        return command.answer(self.characters, [])


async def hear(paid: Paid, envelope: Envelope, definitions: Definitions = DEFINITIONS) -> None:
    message = Message(envelope.id, envelope.subject, envelope.SerializeToString())
    await Heard(cast(Ledger, paid), definitions).handle(message)


# -- reading ------------------------------------------------------------------------------------------


def test_a_kill_is_the_killers_and_the_assistants() -> None:
    assert earned(kill(assist_id="cid")) == [
        Earned("ann", "ann", ("killer",)),
        Earned("cid", "cid", ("assist",)),
    ]


def test_who_did_both_is_paid_for_both() -> None:
    assert earned(kill(assist_id="ann")) == [Earned("ann", "ann", ("killer", "assist"))]


def test_nobody_is_paid_for_a_friend() -> None:
    assert earned(kill(friendly=True)) == []
    assert earned(kill(friendly=True, assist_id="cid")) == [Earned("cid", "cid", ("assist",))]


def test_the_end_of_a_match_is_everybodys_by_place_and_victory() -> None:
    assert earned(ended()) == [
        Earned("ann", "ann", ("player", "duel", "winner", "place_1")),
        Earned("ben", "ben", ("player", "duel", "place_2")),
        Earned("cid", "cid", ("player", "duel", "place_2")),
    ]


def test_an_aborted_match_is_nobodys() -> None:
    assert earned(ended("aborted")) == []


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        (
            said(
                "liveops.progression",
                liveops_pb2.LiveopsProgression(
                    player_id="ann",
                    character_id="ann-mage",
                    experience=2**63 - 1,
                    mastery_type="raid",
                    mastery_experience=7,
                ),
            ),
            Earned("ann", "ann-mage", given=Gain(2**63 - 1, (("raid", 7),))),
        ),
        (
            said("liveops.progression", liveops_pb2.LiveopsProgression(player_id="ann", experience=5)),
            Earned("ann", "ann", given=Gain(5)),
        ),
        (
            boss(boss_level=70),
            Earned("ann", "ann", ("killer",), content_level=70),
        ),
        (
            boss(),
            Earned("ann", "ann", ("killer",)),
        ),
        (
            said("liveops.drop_claimed", liveops_pb2.LiveopsDropClaimed(player_id="ann", quantity=500)),
            Earned("ann", "ann", ("claimer",)),
        ),
    ],
)
def test_live_operations(envelope: Envelope, expected: Earned) -> None:
    assert earned(envelope) == [expected]


@pytest.mark.parametrize("type_", ["combat.player_summary", "combat.session_started", "liveops.new", ""])
def test_what_gives_nothing_is_passed_over_whatever_it_says(type_: str) -> None:
    assert earned(said(type_, combat_pb2.CombatKill())) == []


@pytest.mark.parametrize(
    ("envelope", "field"),
    [
        (said("combat.kill", combat_pb2.CombatSessionEnded()), "data"),
        (Envelope(id="e", type="combat.kill"), "data"),
        (said("combat.kill", combat_pb2.CombatKill(killer_id="ann"), ""), "id"),
        (said("combat.kill", combat_pb2.CombatKill(killer_id="ann"), "e" * 256), "id"),
        (kill(killer_id=""), "player_id"),
        (kill(killer_id="a b"), "player_id"),
        (kill(assist_id="x" * 65), "player_id"),
        (
            boss(character_id="é"),
            "character_id",
        ),
        (
            boss(boss_level=-1),
            "boss_level",
        ),
        (
            said("liveops.progression", liveops_pb2.LiveopsProgression(player_id="a", experience=-1)),
            "experience",
        ),
        (
            said("liveops.progression", liveops_pb2.LiveopsProgression(player_id="a", mastery_type="raid")),
            "mastery_experience",
        ),
    ],
)
def test_what_is_not_as_it_says_is_an_error(envelope: Envelope, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        earned(envelope)
    assert caught.value.reason == "EVENT_MALFORMED"
    assert caught.value.violations[0].field == field


def test_damaged_data_is_an_error() -> None:
    envelope = kill()
    envelope.data.value = b"\xff\xff"
    with pytest.raises(InvalidArgument, match="CombatKill"):
        earned(envelope)


READ = ("combat.kill", "combat.session_ended", *(f"liveops.{name}" for name in ("progression", "boss_kill")))


@settings(max_examples=200)
@given(st.sampled_from(READ), st.data())
def test_whatever_comes_is_read_or_refused(type_: str, data: st.DataObject) -> None:
    """Any bytes, and what a producer wrote with some of them changed."""
    sound = next(each for each in (kill(assist_id="cid"), ended(), boss(), gift()) if each.type == type_)
    value = bytearray(sound.data.value)
    for position in data.draw(st.lists(st.integers(0, len(value) - 1), max_size=4)):
        value[position] = data.draw(st.integers(0, 255))
    sound.data.value = bytes(value) if data.draw(st.booleans()) else data.draw(st.binary(max_size=40))
    try:
        found = earned(sound)
    except InvalidArgument as error:
        assert error.reason == "EVENT_MALFORMED"
    else:
        assert len({each.character_id for each in found}) == len(found)
        for each in found:
            assert re.fullmatch("[A-Za-z0-9_.:@-]{1,64}", each.player_id)
            assert re.fullmatch("[A-Za-z0-9_.:@-]{1,64}", each.character_id)
            assert bool(each.roles) != (each.given is not None)


# -- paying -------------------------------------------------------------------------------------------


async def test_one_event_is_one_command_with_its_id() -> None:
    paid = Paid()
    await hear(paid, kill(assist_id="cid"))
    (command,) = paid.commands
    assert (command.event, command.actor, command.character_ids) == ("e1", "event:e1", ("ann", "cid"))
    assert command.key is None
    for name, role in (("ann", "killer"), ("cid", "assist")):
        gain = DEFAULT.gain("combat.kill", role)
        character = paid.characters[name]
        assert character.player_id == name
        assert character.base_experience == gain.experience > 0
        assert character.mastery == dict(gain.mastery)


async def test_a_winner_has_all_that_their_roles_give() -> None:
    paid = Paid()
    await hear(paid, ended())
    for name, roles in {"ann": ("player", "winner", "place_1"), "ben": ("player", "place_2")}.items():
        assert paid.characters[name].base_experience == sum(
            DEFAULT.awards["combat.session_ended"][role].experience for role in roles
        )


async def test_a_character_is_paid_by_its_own_definition() -> None:
    other = replace(DEFAULT, name="other-1", awards={"combat.kill": {"killer": Gain(7)}})
    paid = Paid()
    paid.characters["ann"] = applied(None, "ann", Enrolled("ann", "other-1"), NOW)
    await hear(paid, kill(assist_id="cid"), Definitions(DEFAULT, INSTALLED | {"other-1": other}))
    assert paid.characters["ann"].base_experience == 7
    assert paid.characters["cid"].base_experience == DEFAULT.gain("combat.kill", "assist").experience


async def test_a_boss_far_above_is_worth_less_than_one_at_hand() -> None:
    given = []
    for level in (1, 70):
        paid = Paid()
        await hear(paid, boss(boss_level=level))
        (awarded,) = (event for event in paid.events if isinstance(event, ExperienceAwarded))
        assert [each.name for each in awarded.multipliers] == ["level_difference"]
        given.append(awarded.experience)
    assert given[0] == DEFAULT.gain("liveops.boss_kill", "killer").experience > given[1] > 0


async def test_who_gets_nothing_does_not_begin() -> None:
    paid = Paid()
    await hear(paid, ended(), Definitions(replace(DEFAULT, awards={}), INSTALLED))
    assert paid.characters == {}
    assert len(paid.commands) == 1, "it is noted all the same"


async def test_one_who_cannot_take_it_keeps_it_from_nobody_else() -> None:
    paid = Paid()
    paid.characters["ben"] = applied(None, "ben", Enrolled("somebody-else", "default-1"), NOW)
    refused = PROGRESSION_AWARDS_REFUSED.labels("CHARACTER_OWNER_DIFFERS")._value
    before = refused.get()
    await hear(paid, ended())
    assert refused.get() == before + 1
    assert paid.characters["ben"].version == 1
    assert {name for name, one in paid.characters.items() if one.base_experience} == {"ann", "cid"}


async def test_nobody_can_take_it() -> None:
    paid = Paid()
    paid.characters["ann"] = applied(None, "ann", Enrolled("somebody-else", "default-1"), NOW)
    with pytest.raises(FailedPrecondition) as caught:
        await hear(paid, kill())
    assert caught.value.reason == "CHARACTER_OWNER_DIFFERS"


async def test_unknown_mastery_is_an_error_that_names_the_known_ones() -> None:
    data = liveops_pb2.LiveopsProgression(player_id="ann", mastery_type="knitting", mastery_experience=1)
    with pytest.raises(DomainError, match="exploration"):
        await hear(Paid(), said("liveops.progression", data))


async def test_what_is_no_envelope_is_an_error() -> None:
    heard = Heard(cast(Ledger, Paid()), DEFINITIONS)
    with pytest.raises(InvalidArgument) as caught:
        await heard.handle(Message("e1", "s", b"\xff"))
    assert caught.value.reason == "EVENT_MALFORMED"


async def test_the_decision_is_the_same_when_it_is_made_again() -> None:
    paid = Paid()
    await hear(paid, kill())
    (command,) = paid.commands
    first = list(command.decide({"ann": None}, NOW))
    assert list(command.decide({"ann": None}, NOW)) == first
    events: list[Event] = [event for _, event in first]
    assert [type(event) for event in events] == [Enrolled, ExperienceAwarded]

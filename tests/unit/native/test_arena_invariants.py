"""What holds whatever players send."""

from __future__ import annotations

from functools import cache

from arenamesh.combat.v1 import play_pb2, verdict_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from native.ruleset import Ruleset
from tests.support.arenas import Match, at, make_rules
from tests.support.draw import Draw, draws

PLAYERS = 4
WEAPONS = ("rifle", "shotgun", "sniper", "knife", "medic_beam")
SPAWNS = [at(0), at(1.5), at(4), at(8)]
Step = tuple[str, int, int, int]


@cache
def rules() -> Ruleset:
    """Nothing that heals or wounds between commands, so that verdicts tell all."""
    return make_rules(weapons__knife__lifesteal=0, modes__deathmatch__respawn_s=0.1)


def step_of(draw: Draw) -> Step:
    kind = draw.choice(("shot", "hurt", "heal", "wait", "repeat", "move"))
    return kind, draw.randrange(PLAYERS), draw.randrange(PLAYERS), draw.whole(0, 200)


def command_of(match: Match, step: Step) -> play_pb2.Command:
    kind, slot, other, amount = step
    if kind == "shot":
        target = other if other != slot else (slot + 1) % PLAYERS
        weapon = WEAPONS[amount % len(WEAPONS)]
        return match.aim(slot, target, weapon, height=0.2 + amount % 16 * 0.1)
    if kind == "hurt":
        return match.hurt(slot, other, 0.001 + amount / 3, bypass=amount % 2 == 0)
    if kind == "heal":
        return match.aim(slot, slot, "medic_beam", height=30.0)
    x, y, z = match.feet(slot)
    return match.move(slot, (x, y + amount * 0.001, z))


@settings(max_examples=2_000)
@given(draws)
def test_health_stays_in_bounds_and_verdicts_tell_every_change(draw: Draw) -> None:
    match = Match(rules(), players=[f"p{i}" for i in range(PLAYERS)], spawns=SPAWNS)
    match.run(0.02)
    match.events()
    health = dict.fromkeys(range(PLAYERS), 100_000)
    dealt = dict.fromkeys(range(PLAYERS), 0)
    deaths = 0
    last: play_pb2.Command | None = None
    for _ in range(draw.randint(1, 24)):
        step = step_of(draw)
        if step[0] == "wait":
            match.run((20 + step[3]) / 1000)
            for event in match.events():
                if event.WhichOneof("kind") == "spawn":
                    health[event.spawn.slot] = 100_000
            for slot, points in health.items():
                assert match.health(slot) == points
            continue
        repeated = step[0] == "repeat" and last is not None
        command = last if repeated and last else command_of(match, step)
        (verdict,) = match.send(command).verdicts
        assert (verdict.slot, verdict.sequence) == (command.slot, command.sequence)
        assert verdict.repeated == repeated
        last = command
        if verdict.repeated:
            continue
        assert verdict.outcome != verdict_pb2.OUTCOME_ACCEPTED or verdict.reason == 0
        assert verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED or not verdict.hits
        for hit in verdict.hits:
            if hit.reason:
                assert hit.dealt_milli == hit.healed_milli == 0
                continue
            assert hit.health_milli == health[hit.slot] - hit.dealt_milli + hit.healed_milli
            assert 0 <= hit.health_milli <= 100_000
            assert hit.lethal == (hit.health_milli == 0)
            health[hit.slot] = hit.health_milli
            deaths += hit.lethal
            if hit.slot != verdict.slot:
                dealt[verdict.slot] += hit.dealt_milli
    rows = match.arena.results()
    assert [row[6] for row in rows] == list(dealt.values())
    assert sum(row[4] for row in rows) == deaths
    assert sum(row[3] for row in rows) <= deaths


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_bytes_come_the_arena_goes_on(frames: list[bytes]) -> None:
    match = Match(rules())
    for frame in frames:
        try:
            answer = play_pb2.PlayResponse.FromString(match.arena.judge(0, frame, 0))
            request = play_pb2.PlayRequest.FromString(frame)
        except ValueError:
            continue
        assert len(answer.verdicts) == len(request.commands)
        for verdict, command in zip(answer.verdicts, request.commands, strict=True):
            assert (verdict.slot, verdict.sequence) == (command.slot, command.sequence)
            assert verdict.outcome
    assert match.judge(match.aim(0, 1, sequence=4_000_000_000)).outcome == verdict_pb2.OUTCOME_ACCEPTED

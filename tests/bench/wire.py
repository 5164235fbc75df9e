"""What reading a command and writing a verdict costs, beside protobuf's own runtime on the same bytes.

The runtime (upb) is asked twice: to parse only, and to parse and hand every value to Python, which is what
a judge written in Python would need. The native figures include both passes and the range checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from arenamesh.combat.v1 import play_pb2, verdict_pb2

from native import probe
from native.reference.wire import Hit, Verdict
from tests.bench.report import Row

COMMANDS = 20_000  # read natively in one sample: under a millisecond, so that some sample is undisturbed
REPEATS = 100
BATCHES = (1, 16, 256)
VERDICT = Verdict(
    slot=37,
    sequence=1042,
    outcome=verdict_pb2.OUTCOME_ACCEPTED,
    journal_sequence=123_456,
    rewind_us=98_765,
    ammo=20,
    hits=(
        Hit(slot=5, region=verdict_pb2.REGION_HEAD, distance_m=23.4, dealt_milli=80_000, health_milli=20_000),
    ),
)


def run() -> list[Row]:
    rows = []
    for batch in BATCHES:
        for name, command in (("shot", shot), ("move", move)):
            rows += decoding(name, batch, command)
    return rows + encoding()


def shot(i: int) -> play_pb2.Command:
    aim = play_pb2.Shot(weapon=2, direction_x=0.3, direction_y=-0.4, direction_z=0.01)
    aim.origin_x, aim.origin_y, aim.origin_z = 1.5, 2.0 + i, 1.7
    return play_pb2.Command(slot=i % 64, sequence=1000 + i, shot=aim)


def move(i: int) -> play_pb2.Command:
    pose = play_pb2.Move(x=1.5, y=2.0 + i, z=1.7, yaw=0.3, pitch=-0.4, client_time_us=123_456_789)
    pose.mode = play_pb2.MOVE_MODE_WALK
    return play_pb2.Command(slot=i % 64, sequence=1000 + i, move=pose)


def decoding(name: str, batch: int, make: Callable[[int], play_pb2.Command]) -> list[Row]:
    request = play_pb2.PlayRequest(frame=7, view_tick=1000, view_fraction=3000, acked_snapshot=999)
    request.commands.extend(make(i) for i in range(batch))
    data = request.SerializeToString()
    rounds = COMMANDS // batch
    parses = max(1, rounds // 20)

    def native() -> None:
        if probe.spin_decode(data, rounds) != rounds * batch:
            raise AssertionError("a command of the bench was refused")

    def runtime() -> None:
        for _ in range(parses):
            play_pb2.PlayRequest.FromString(data)

    def values() -> None:
        for _ in range(parses):
            for command in play_pb2.PlayRequest.FromString(data).commands:
                read_values(name, command)

    case = f"{name} x {batch}"
    return [
        row(f"{case}, native", "decode a command", nanoseconds(native) / (rounds * batch)),
        row(f"{case}, protobuf parse", "decode a command", nanoseconds(runtime) / (parses * batch)),
        row(f"{case}, protobuf parse and read", "decode a command", nanoseconds(values) / (parses * batch)),
    ]


def read_values(name: str, command: play_pb2.Command) -> object:
    if name == "shot":
        one = command.shot
        aim = (one.direction_x, one.direction_y, one.direction_z)
        return command.slot, command.sequence, one.weapon, one.origin_x, one.origin_y, one.origin_z, aim
    pose = command.move
    view = (pose.yaw, pose.pitch, pose.mode, pose.client_time_us)
    return command.slot, command.sequence, pose.x, pose.y, pose.z, view


def encoding() -> list[Row]:
    writer = probe.Writer(1024)
    writer.verdict(5, VERDICT)
    parsed = play_pb2.PlayResponse.FromString(writer.value()).verdicts[0]

    def native() -> None:
        probe.spin_verdict(VERDICT, COMMANDS)

    def runtime() -> None:
        for _ in range(COMMANDS // 20):
            parsed.SerializeToString()

    return [
        row("verdict of one hit, native", "encode a verdict", nanoseconds(native) / COMMANDS),
        row("verdict of one hit, protobuf", "encode a verdict", nanoseconds(runtime) / (COMMANDS // 20)),
    ]


def nanoseconds(work: Callable[[], None]) -> float:
    """The best of several: what the machine can do when nothing disturbs it."""
    samples = []
    for _ in range(REPEATS):
        started = time.perf_counter_ns()
        work()
        samples.append(time.perf_counter_ns() - started)
    return float(min(samples))


def row(case: str, metric: str, value: float) -> Row:
    return Row(case=case, metric=metric, value=value, unit="ns")

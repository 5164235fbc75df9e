"""The child of `scripts/fuzz`: frames through whatever build of `native` comes first on the path."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from native import probe
from tests.fuzz import answers, frames
from tests.fuzz.oracle import check, is_refused, outcome

COMPARE_EVERY = 20
WRITE_EVERY = 16
# Of the frames, before growth is measured: caches fill up first.
WARM_UP = 0.2
# What the heap may grow by in the rest: noise of the interpreter, far below a byte a frame.
GROWTH_MOST = 20_000


def main() -> int:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    heap_bytes = heap_meter()
    if sanitized() and b"__asan_report_" not in Path(probe.__file__).read_bytes():
        print(f"{probe.__file__} is not the checked build")
        return 1
    print(f"seed {seed}, {count:,} frames, AddressSanitizer {'on' if sanitized() else 'off'}", flush=True)
    position = os.open(sys.argv[3], os.O_WRONLY)
    started = time.perf_counter()
    accepted = compared = base = 0
    step = max(1, count // 100)
    for at in range(count):
        if at == int(count * WARM_UP):
            base = heap_bytes()
        os.pwrite(position, at.to_bytes(8, "little"), 0)
        data = frames.numbered(seed, at)
        refused = isinstance(outcome(probe.decode, data), str)
        accepted += not refused
        if at % COMPARE_EVERY == 0 or refused != is_refused(data):
            compared += 1
            if not agrees(data, seed, at):
                return 1
        if at % WRITE_EVERY == 0:
            write(random.Random(seed ^ at))
        if at % step == 0:
            progress(at, count, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    growth = heap_bytes() - base
    print(f"\n{count:,} frames in {seconds:,.0f} s, {count / seconds:,.0f} frames/s (making them included)")
    print(f"{accepted:,} read, {count - accepted:,} refused, {compared:,} compared with twin and protobuf")
    print(f"heap growth after {WARM_UP:.0%} of them: {growth:,} bytes")
    if growth > GROWTH_MOST:
        print("LEAK: the heap grew by more than the interpreter's own noise")
        return 1
    print("no crash, no difference, no leak")
    return 0


def agrees(data: bytes, seed: int, at: int) -> bool:
    try:
        check(data)
    except AssertionError as error:
        print(f"\nDIFFERENCE at frame {at} of seed {seed}: {data.hex()}\n{error}")
        return False
    return True


def write(rng: random.Random) -> None:
    """A verdict and a snapshot into a buffer of any size."""
    writer = probe.Writer(rng.choice((0, rng.randrange(64), rng.randrange(2048))))
    writer.verdict(5, answers.verdict(rng))
    slots = rng.randint(1, 12)
    album = probe.Album(rng.randint(1, 4), slots)
    for tick, row in enumerate(answers.match(rng, slots), 1):
        album.put(tick, row)
    album.write(writer, 6, *answers.view(rng, slots))


def progress(at: int, count: int, seconds: float) -> None:
    terminal = sys.stdout.isatty()
    if terminal or at % max(1, count // 10) == 0:
        line = f"{at:>12,} of {count:,} frames, {at / max(seconds, 1e-9):>9,.0f} a second"
        print(f"\r{line}" if terminal else line, end="" if terminal else "\n", flush=True)


def sanitized() -> bool:
    return hasattr(ctypes.CDLL(None), "__asan_init")


def heap_meter() -> Callable[[], int]:
    """Bytes on the C heap that are in use: the sanitizer's count, or glibc's."""
    libc = ctypes.CDLL(None)
    if sanitized():
        count = libc.__sanitizer_get_current_allocated_bytes
        count.restype = ctypes.c_size_t
        return lambda: (gc.collect(), int(count()))[1]

    class MallInfo2(ctypes.Structure):
        """`struct mallinfo2` of glibc 2.33 and later; `uordblks` is what is in use."""

        _fields_ = [
            *((f"other_{i}", ctypes.c_size_t) for i in range(7)),
            ("uordblks", ctypes.c_size_t),
            *((f"last_{i}", ctypes.c_size_t) for i in range(2)),
        ]

    libc.mallinfo2.restype = MallInfo2
    return lambda: (gc.collect(), int(libc.mallinfo2().uordblks))[1]


if __name__ == "__main__":
    sys.exit(main())

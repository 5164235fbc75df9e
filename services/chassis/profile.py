"""A sampling profile of the event loop's thread, as collapsed stacks that flame graph tools read."""

import asyncio
import sys
import threading
from collections import Counter
from types import FrameType

_INTERVAL_S = 0.005
MAX_SECONDS = 60.0


async def sample(seconds: float) -> str:
    """Watches the calling thread for `seconds` and returns `outer;...;inner count` lines, commonest first."""
    watched = threading.get_ident()
    stacks: Counter[str] = Counter()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_INTERVAL_S):
            frame = sys._current_frames().get(watched)
            stacks[_collapsed(frame)] += 1

    thread = threading.Thread(target=watch, name="profile", daemon=True)
    thread.start()
    try:
        await asyncio.sleep(min(seconds, MAX_SECONDS))
    finally:
        stop.set()
        thread.join()
    return "".join(f"{stack} {count}\n" for stack, count in stacks.most_common())


def _collapsed(frame: FrameType | None) -> str:
    names = []
    while frame is not None:
        names.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))

"""Cancellations that clients lose."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[None]:
    """A client whose own time limit is `asyncio.wait_for` loses, in Python 3.11, a cancellation that comes
    with its answer. Here it is found again."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    if failure:
        raise failure

"""What can keep a mesh from starting."""

from __future__ import annotations


class StartError(Exception):
    """A part did not start: what happened, and what the reader can do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

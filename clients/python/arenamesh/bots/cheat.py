"""What a bot may do that no honest player does: for seeing that it is found out."""

from enum import Enum


class Cheat(Enum):
    AIM = "aim"
    """Sees no delay, turns at once, and always meets the head."""
    SPEED = "speed"
    """Moves faster than the rules allow."""

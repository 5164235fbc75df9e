"""The Python door to the counter-based generator; for tests and for reading a journal's draws again."""

def draw(key: int, a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    """Philox4x32-10 of a 64-bit key and the counter (a, b, c, d) = (shooter, command sequence, pellet,
    purpose): four numbers of 32 bits. Raises OverflowError for a number that does not fit."""

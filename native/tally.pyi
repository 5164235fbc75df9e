"""Statistics, counted from the journal alone."""

from native.scores import PlayerTally

class Tally:
    """Folds the segments of one session's journal, from its first record on. Not thread-safe."""

    def __init__(self, weapons: int) -> None:
        """`weapons`: how many the ruleset has. Raises ValueError for more than 32."""
    @property
    def weapons(self) -> int: ...
    @property
    def sequence(self) -> int:
        """Of the last record counted; 0: none."""
    @property
    def tick(self) -> int:
        """Of the arena after the last record, as far as records tell."""
    @property
    def time_us(self) -> int:
        """Session clock of the last record."""
    def feed(self, segment: bytes) -> None:
        """Counts a JournalSegment that goes on where the last one ended, wherever it is cut. Raises
        ValueError, and counts nothing, when it does not, cannot be read, or names what this session cannot
        have."""
    def players(self) -> list[PlayerTally]:
        """Everybody who ever had a seat, in order of joining."""
    def results(self) -> list[tuple[int, str, int, int, int, int, int]]:
        """As `Arena.results`."""
    def save(self) -> bytes:
        """All of it, for `restore`."""
    @staticmethod
    def restore(data: bytes) -> Tally:
        """Raises ValueError when `data` was cut or altered, or has another build's format."""

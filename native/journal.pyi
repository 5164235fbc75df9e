"""Journal records, found without reading what is in them."""

def split(segment: bytes) -> list[tuple[int, int, int]]:
    """(sequence, offset, size) of each record of a JournalSegment, in its order: the bytes of a JournalRecord
    are `segment[offset : offset + size]`. Raises ValueError when the segment cannot be read."""

"""Journal records, found without making messages of them. Every function raises ValueError, naming the byte,
when the segment cannot be read; what is inside commands, evidence, hits and events is not looked at."""

def index(segment: bytes) -> list[tuple[int, int, int, int, bool, int, int]]:
    """(sequence, time_us, kind, slot, eventful, offset, size) of each record of a JournalSegment, in order.

    `kind`: field number of JournalRecord.input (3 join, 4 leave, 5 start, 6 tick, 7 command, 8 end). `slot`:
    the seat of a join, leave or command, else -1. `eventful`: spawns, kills or the session's end came of it.
    The bytes of the JournalRecord are `segment[offset : offset + size]`."""

def ticks(segment: bytes) -> list[tuple[int, int]]:
    """(tick, end) of each step: `segment[previous_end:end]` are the records up to it and it, a JournalSegment
    too. What comes after the last `end` belongs to a later step."""

def verdicts(segment: bytes, after: int, slot: int) -> bytes:
    """The verdicts of the commands of a seat (ALL_SLOTS: of all) in records after the sequence `after`, as
    they were answered, in order: field 5 of PlayResponse. Raises ValueError too when `slot` is neither."""

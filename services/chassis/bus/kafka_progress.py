"""How far a group is in a partition on Kafka: its committed offset, and what that leaves unsaid.

The offset is that of the oldest event that the group needs; the metadata beside it says how far was read, and
which of those in between are not done.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

# What a broker keeps beside an offset unless it is told otherwise (offset.metadata.max.bytes).
METADATA_BYTES = 4096


@dataclass(slots=True)
class Progress:
    """`read`: behind the newest that was read. `open`: what was read and is not done, and how often it was
    handed out to a member that did not give it back; 0: it is to be read again."""

    read: int
    open: dict[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, offset: int, metadata: str) -> "Progress":
        """Of an operator who moved the group there is no metadata: it reads on from the offset."""
        read, *entries = metadata.split() or ["0"]
        opened = [entry.partition("x") for entry in entries]
        return cls(offset + int(read), {offset + int(behind): int(times or 1) for behind, _, times in opened})

    @property
    def needed(self) -> int:
        """The oldest offset that the group needs."""
        return min(self.open, default=self.read)

    def metadata(self, limit: int = METADATA_BYTES) -> str:
        """What does not fit will be read again."""
        begin, read, entries, left = self.needed, self.read, [], limit - len(str(self.read))
        for offset, times in sorted(self.open.items()):
            entry = f"{offset - begin}" if times == 1 else f"{offset - begin}x{times}"
            left -= 1 + len(entry)
            if left < 0:
                read = offset
                break
            entries.append(entry)
        return " ".join([str(read - begin), *entries])

    def wants(self, offset: int) -> bool:
        return offset >= self.read or offset in self.open

    def unread(self, offset: int) -> bool:
        return offset >= self.read or self.open.get(offset) == 0

    def pending(self) -> list[tuple[int, int]]:
        """What a member had that is gone: offsets, and how often it was handed out."""
        return sorted((offset, times) for offset, times in self.open.items() if times)

    def hand_out(self, offset: int) -> None:
        self.open[offset] = self.open.get(offset, 0) + 1
        self.read = max(self.read, offset + 1)

    def skip_to(self, begin: int) -> None:
        """What is older is no longer there."""
        self.finish([offset for offset in self.open if offset < begin])
        self.read = max(self.read, begin)

    def take_back(self, offset: int) -> None:
        """Nobody has died of it."""
        self.open[offset] -= 1

    def finish(self, offsets: Iterable[int]) -> None:
        for offset in offsets:
            self.open.pop(offset, None)

"""What a member of a group needs of a bus that keeps a log for each partition: reading, remembering what was
read and not acknowledged, and dividing partitions among members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.chassis.bus.port import Message


class GroupLost(Exception):
    """The bus has forgotten the group, with everything: it was flushed, or restarted without its data."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as a log has it. None: it was trimmed away while it was pending."""

    id: bytes
    message: Message | None


class Log(Protocol):
    """`key`: of a partition of a topic; `shared`: of what the members of a group share. Every method that
    waits raises Unavailable (BUS_UNAVAILABLE) when the bus does not answer."""

    def key(self, topic: str, partition: int) -> str: ...

    def shared(self, topic: str, group: str) -> str: ...

    # -- reading

    async def create_group(self, key: str, group: str, member: str) -> None:
        """From the oldest entry on, if it is not there. The member has just begun to hold the partition: from
        now on nobody who held it before reads anything new."""

    async def read(
        self, shared: str, member: str, group: str, keys: Mapping[int, str], count: int
    ) -> dict[int, tuple[bytes, list[Entry]]]:
        """New entries, up to `count` of each partition that the member holds, and how far it has looked. What
        was read is pending until it is acknowledged. Does not wait. Raises GroupLost."""

    async def wait(self, looked: Mapping[str, bytes], block_s: float) -> None:
        """Until there may be something behind that, by key, or for `block_s`."""

    async def pending(self, key: str, group: str, after: bytes, count: int) -> list[tuple[bytes, int]]:
        """Entries that were read and are not acknowledged, after an id: (id, how often handed out). Raises
        GroupLost."""

    async def claim(self, key: str, group: str, entry_id: bytes) -> Entry:
        """Hands out a pending entry once more, and counts that. Raises GroupLost."""

    async def acknowledge(self, key: str, group: str, entry_ids: Sequence[bytes]) -> None: ...

    async def lag(self, keys: Sequence[str], group: str) -> int:
        """Entries there that the group has not acknowledged."""

    # -- sharing

    async def beat(self, shared: str, member: str, lease_s: float) -> tuple[set[int], set[int]]:
        """Says that the member lives. The partitions that it holds, and those of them that are its share."""

    async def rest(self, seconds: float) -> None:
        """Until the next beat: for so long, or less when what the member holds has changed."""

    async def release(self, shared: str, member: str, partitions: Sequence[int]) -> None: ...

    async def leave(self, shared: str, member: str) -> None:
        """The others take the member's partitions at their next beat."""

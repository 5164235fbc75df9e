"""One match as a pure state machine: inputs with times in, verdicts, events, snapshots and records out.

No clock, no randomness but Philox keyed by `key`: the same inputs give the same bytes. Times are
microseconds of the session clock, which starts at `start`; one that runs backwards is read as standing
still. Not thread-safe; one owner calls it.
"""

from collections.abc import Collection

from native.differences import ReplayError as ReplayError
from native.ruleset import Ruleset
from native.world import World

ALL_SLOTS: int
"""`binding` of a game server's stream: it speaks for every seat, and is trusted."""

class FrameError(ValueError):
    """A frame that cannot be read at all; nothing of it was judged.

    `reason`: TRUNCATED, BAD_TAG, BAD_TEXT, TOO_MANY, TOO_LONG, TOO_DEEP.
    """

    reason: str
    def __init__(self, reason: str) -> None: ...

class Refused(Exception):
    """A join or start that is not possible.

    `reason`: FULL, TEAM_FULL, BAD_TEAM, ROSTER_FULL (too many different people), ENDED,
    ACTIVE (a second start).
    """

    reason: str
    def __init__(self, reason: str) -> None: ...

class Arena:
    def __init__(
        self,
        ruleset: Ruleset,
        world: World,
        *,
        key: int,
        mode: str,
        max_players: int,
        tick_rate: int,
        journal: bool = True,
        max_commands: int = 1024,
        volatile_kinds: Collection[str] = ("move",),
    ) -> None:
        """`key`: 64-bit secret of the session. `volatile_kinds`: kinds of command (move, shot, action,
        damage) whose verdicts need not wait for the journal, unless they touched somebody else. Raises
        ValueError naming what is out of range."""
    # -- life ---------------------------------------------------------------------------------
    def start(self, now_us: int) -> None:
        """Spawns everybody who sits. Raises Refused, and ValueError for a time beyond 0..2^40."""
    def end(self, now_us: int, reason: int) -> None:
        """`reason`: EndReason of the contract. Again: no effect."""
    @property
    def active(self) -> bool: ...
    @property
    def ended(self) -> int:
        """EndReason once over (score or time limit, last side standing, or `end`), else 0."""
    @property
    def tick(self) -> int: ...
    @property
    def sequence(self) -> int:
        """Journal sequence of the last record."""
    @property
    def now_us(self) -> int:
        """Session clock of the last record."""
    @property
    def barrier(self) -> int:
        """Sequence of the newest record whose outcome, events included, may be told only once it is durable:
        all but volatile commands and ticks in which nothing happened. 0 after `restore` and `replay`."""
    @property
    def awaits(self) -> int:
        """Sequence of the record that the answer to the last judged frame must wait for; 0: none."""
    def join(self, now_us: int, player_id: str, team: int = 0) -> int:
        """Takes the lowest free seat and returns it. `team`: plus one, 0 for the smallest. A player who
        has a seat gets the same one. Who joins a running match spawns at once, or where nobody comes
        back never. Raises Refused, and ValueError for an id that is empty or over 64 bytes."""
    def leave(self, now_us: int, slot: int, reason: int) -> None:
        """`reason`: LeaveReason of the contract. Raises ValueError when nobody has the seat."""
    def connected(self, slot: int, connected: bool) -> None:
        """Only shown in snapshots (flag 128); not part of the judged state."""
    def seat(self, player_id: str) -> int:
        """The player's seat, or -1."""
    def player(self, slot: int) -> str:
        """The player in a seat, or ''."""
    def team(self, slot: int) -> int: ...
    @property
    def players(self) -> int: ...
    def last_sequence(self, slot: int) -> int:
        """Highest command sequence judged for the seat."""
    # -- the hot path -------------------------------------------------------------------------
    def judge(self, now_us: int, frame: bytes, binding: int) -> bytes:
        """Judges every command of a PlayRequest, in order, and returns a PlayResponse (tick, time,
        acknowledged frame, verdicts, pong). `binding`: the stream's seat, or ALL_SLOTS. Raises FrameError.

        A verdict without `journal_sequence` was refused before it could have any effect (foreign or unknown
        seat, bad sequence, match not running): it is not in the journal. What the answer has to wait for is
        then in `awaits`."""
    def advance(self, now_us: int) -> int:
        """Steps every tick that is due by `now_us`; returns how many."""
    def take_events(self) -> bytes:
        """Events since the last call, as field 7 of PlayResponse; b'' when none."""
    def snapshot(self, viewer: int, baseline: int) -> bytes:
        """The newest tick for a seat (-1: everything), as fields 2, 3 and 6 of PlayResponse, as a
        difference to the snapshot of tick `baseline` (0: full)."""
    def acked(self, slot: int) -> int:
        """Newest snapshot tick the seat's frames acknowledged; 0: none. ALL_SLOTS: what the last frame
        judged with that binding acknowledged."""
    def results(self) -> list[tuple[int, str, int, int, int, int, int]]:
        """(slot, player_id, team, kills, deaths, assists, damage_dealt_milli) of everybody who ever
        had a seat, in order of joining."""
    @property
    def winner(self) -> int:
        """Team plus one, or seat plus one; 0: a draw or not over."""
    # -- remembering --------------------------------------------------------------------------
    def take_journal(self) -> bytes:
        """Records since the last call, as a JournalSegment."""
    def save(self) -> bytes:
        """The whole match, for `restore`: everything judged, and what viewers need for their differences.
        Not in it: events and records not taken yet, and counters. Only for the build that wrote it."""
    def restore(self, data: bytes) -> None:
        """Puts a saved match in the place of this one; what comes next is judged to the same bytes as where
        it was saved. Counters go on from where they are.

        Raises ValueError, and changes nothing, when `data` was cut or altered, when it was saved by another
        build or with another ruleset, map, mode, max_players, tick_rate or key (it says which), and while
        records wait to be taken."""
    def replay(self, segment: bytes, *, events: bool = False) -> None:
        """Feeds the inputs of a JournalSegment and compares what comes of them with its records. No records
        of it remain to be taken, and no events; with `events` those wait for `take_events`, as they did where
        it was played (their buffer is made for a step or two: `journal.ticks` tells where to cut).

        Raises ReplayError naming the first record whose outcome differs, that is missing, cannot be read or
        is not taken by the arena, which is of no use then; and ValueError while records wait to be taken."""
    def state_hash(self) -> int:
        """64-bit hash of the whole judged state."""
    @property
    def counters(self) -> dict[str, int]:
        """Monotone counts for the metrics: commands, accepted, corrected, rejected, repeated, shots, hits,
        kills, frames, bad_frames, ticks, moves, actions, damage, events_dropped; of shots, how many looked
        back how far (rewind_le_25000 ... rewind_le_inf: microseconds, each in one of them; rewind_sum_us),
        and which bound moved the claimed view (clamped_max_rewind ... clamped_future)."""

"""What a combat worker is told, beside what every service is."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.chassis.settings import Settings


class CombatSettings(Settings):
    data_dir: Path = Path(__file__).parent / "data"
    """Holds `maps/` and `rulesets/`."""

    database_pool: int = Field(default=8, ge=1, le=48)
    """Connections of this process, beside one for commits and one for its presence. All processes together
    must fit the server's `max_connections`. Over it: callers wait."""

    max_sessions: int = Field(default=1000, ge=1)
    """Live sessions of this worker. Over it: RESOURCE_EXHAUSTED on CreateSession."""
    reconnect_seconds: float = Field(default=30, gt=0)
    """How long a seat is kept after its stream dropped. Over it: the player leaves (TIMED_OUT)."""
    max_empty_seconds: float = Field(default=120, gt=0)
    """How long a session without players lives. Over it: it ends (EMPTY)."""
    max_server_streams: int = Field(default=16, ge=1)
    """Game servers' streams of one session. Over it: RESOURCE_EXHAUSTED."""
    max_spectators: int = Field(default=200, ge=0)
    """Of one session. Over it: RESOURCE_EXHAUSTED."""

    max_playbacks: int = Field(default=64, ge=1)
    """Matches judged again at once in this worker: replays, proofs, delayed spectating (one for each delay,
    however many watch). Over it: RESOURCE_EXHAUSTED."""
    spectate_poll_s: float = Field(default=0.2, gt=0)
    """How often delayed spectating looks for newly committed records."""
    player_spectate_delay_s: int = Field(default=30, ge=0)
    """Least spectator delay of a session with which its own players may watch it while it runs. Below it:
    PERMISSION_DENIED."""
    verdict_scan: int = Field(default=20_000, ge=100)
    """Records that one page of ListVerdicts looks at. Over it: a shorter page, with a token for the rest."""
    verify_timeout_s: float = Field(default=120, gt=0)
    """How long VerifyReplay may take. Over it: DEADLINE_EXCEEDED."""

    hello_timeout_s: float = Field(default=5, gt=0)
    """How long a new Play stream may wait with its first frame. Over it: DEADLINE_EXCEEDED."""
    pending_bytes: int = Field(default=262_144, ge=1024)
    """Waiting for one reader. Over it for `slow_s`, or 16 times over it: the stream ends,
    RESOURCE_EXHAUSTED, notice SLOW_READER."""
    pending_messages: int = Field(default=4096, ge=16)
    """As `pending_bytes`."""
    slow_s: float = Field(default=0.5, ge=0)
    """How long more than that may wait: a commit that was late brings much at once."""
    write_timeout_s: float = Field(default=5, gt=0)
    """How long one write to a reader may take. Over it: the stream ends likewise."""
    close_timeout_s: float = Field(default=1, gt=0)
    """How long the last words of a stream may take to leave. Over it: only the status is sent."""

    journal_pending_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Of the journal, taken from the arenas and not yet committed. Over it: as after `commit_wait_s`."""
    journal_days: int = Field(default=30, ge=1)
    """How long a finished session's journal is kept, in whole days. Over it: its partition is dropped."""
    volatile_commands: frozenset[Literal["move", "shot", "action", "damage"]] = frozenset({"move"})
    """Kinds of command that are answered before they are durable, unless they touched somebody else. All
    others are answered after the commit of their record."""
    flush_seconds: float = Field(default=0.25, gt=0)
    """How often records that nobody waits for are committed: what a crash may lose of volatile commands."""
    commit_wait_s: float = Field(default=2.0, gt=0)
    """How long a commit may go without an answer. Over it: matches stand still, their streams end and new
    calls are refused, UNAVAILABLE (JOURNAL_UNAVAILABLE), until a commit goes through again."""
    save_records: int = Field(default=20_000, ge=1)
    """Records between two saves of a whole arena: what a restore has to replay at most, about 20 ms. A save
    stands still for a millisecond or two."""
    held_replies: int = Field(default=1024, ge=1)
    """Answers of one stream that wait for the journal; in bytes, half of `pending_bytes`. Over it: the
    stream is not read further until some have left."""
    resume_records: int = Field(default=100_000, ge=0)
    """How far behind the journal a stream may ask to resume. Over it: FAILED_PRECONDITION
    (RESUME_TOO_OLD)."""

    heartbeat_s: float = Field(default=0.25, gt=0)
    """How often the worker shows that it lives."""
    lease_s: float = Field(default=1.5, gt=0)
    """How long it may fail to. Over it: others take its sessions, and it refuses calls until it has checked
    which are still its own."""
    residence_s: float = Field(default=1.0, ge=0)
    """How long a session stays with a worker that has taken it over, whoever asks."""
    handover_wait_s: float = Field(default=1.0, ge=0)
    """How long a call waits for a session that another worker has. Over it: UNAVAILABLE
    (SESSION_NOT_HERE)."""
    orphan_s: float = Field(default=3.0, ge=0)
    """How long a session has nobody before a worker takes it without being called."""
    sweep_s: float = Field(default=1.0, gt=0)
    """How often workers look for such sessions."""

    projection_poll_s: float = Field(default=0.5, gt=0)
    """How often the projector looks for records to count."""
    projection_sessions: int = Field(default=256, ge=1)
    """Looked at in one turn. More wait for the next one, and go before those."""
    projection_parallel: int = Field(default=4, ge=1)
    """Sessions counted at once, each with a connection of `database_pool`. The others wait."""
    projection_share: float = Field(default=0.5, gt=0, le=1)
    """How much of the time each of them may take; the rest of it is rest, for the others on the machine. What
    is recorded faster is counted later."""
    projection_rest_s: float = Field(default=2, ge=0)
    """The longest rest. On a full machine a step takes long because it waits itself; what is told of a kill,
    such as its experience, must not come several times as late for it."""
    projection_segments: int = Field(default=256, ge=1)
    """Of one session, counted in one step. More wait until the other sessions have had theirs."""
    projection_bytes: int = Field(default=1 << 20, ge=1)
    """As `projection_segments`: their payloads together. One segment is always taken."""
    projection_retry_s: float = Field(default=60, gt=0)
    """How long a session is left alone whose journal cannot be counted."""

    persist_seconds: float = Field(default=1, gt=0)
    """How often changed player counts are written, and a failed write of a session's end is tried again."""

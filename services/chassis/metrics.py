"""Every metric of the mesh, named here and nowhere else."""

from bisect import bisect_left
from collections import Counter as TotalsByName
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

# From a fast unary call (100 us) to the longest a caller waits.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# From a quiet tick (tens of us) to one that misses its slot at 10 Hz.
_TICK_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
_COUNTS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
_BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304)
_MESSAGE_BYTES = (15, 63, 255, 1023, 4095, 16383, 65535, 262143, 1048575, 4194303)


class LoopHistogram(Collector):
    """A histogram for the hot path: two additions for each value, where a `Histogram` takes locks and two
    microseconds. Belongs to the event loop."""

    def __init__(self, name: str, text: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        REGISTRY.register(self)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterable[Metric]:
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        totals = map(float, accumulate(self._counts))
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric((), list(zip(bounds, totals, strict=True)), self._sum)
        yield family


_RPC = ("grpc_type", "grpc_service", "grpc_method")
GRPC_STARTED = Counter("grpc_server_started", "RPCs started.", _RPC)
GRPC_HANDLED = Counter("grpc_server_handled", "RPCs completed, by code.", (*_RPC, "grpc_code"))
GRPC_HANDLING_SECONDS = Histogram("grpc_server_handling_seconds", "RPC duration.", _RPC, buckets=_SECONDS)

DATABASE_WAIT_SECONDS = Histogram("database_wait_seconds", "Wait for a connection.", buckets=_SECONDS)
DATABASE_SECONDS = Histogram(
    "database_transaction_seconds", "Transaction, retries included.", buckets=_SECONDS
)
DATABASE_SHED = Counter("database_shed", "Callers refused because too many waited for a connection.")
# Of the pool that callers share, and of the connection that some processes keep for their commits.
DATABASE_BREAKER = Gauge(
    "database_breaker_state", "The database circuit: 0 closed, 1 half-open, 2 open.", ("pool",)
)
DATABASE_BREAKER_OPENED = Counter(
    "database_breaker_opened", "Times that the database circuit opened.", ("pool",)
)
DATABASE_RETRIES = Counter("database_retries", "Transactions tried again, by SQLSTATE.", ("sqlstate",))

OUTBOX_WAITING = Gauge(
    "outbox_waiting_events", "Events that wait for the bus, as the relay sees them.", ("schema",)
)
OUTBOX_OLDEST_SECONDS = Gauge("outbox_oldest_seconds", "How long the oldest of them waits.", ("schema",))
OUTBOX_RELAYED = Counter("outbox_relayed", "Events that the bus has taken.", ("schema",))
BUS_HANDLED = Counter(
    "bus_handled",
    "Attempts to handle an event, by outcome: handled, failed, dead.",
    ("topic", "group", "outcome"),
)
BUS_HANDLING_SECONDS = Histogram(
    "bus_handling_seconds", "One attempt to handle an event.", ("topic", "group"), buckets=_SECONDS
)
BUS_LAG = Gauge(
    "bus_lag_events",
    "Events that a group has not handled, of the partitions that this process holds.",
    ("topic", "group"),
)

COMBAT_SESSIONS_CREATED = Counter("combat_sessions_created", "Sessions created.", ("type",))
COMBAT_STREAMS = Gauge("combat_streams", "Open streams, by kind.", ("kind",))
COMBAT_REQUEST_SECONDS = Histogram(
    "combat_request_duration_seconds", "Call duration; streams: their life.", ("method",), buckets=_SECONDS
)
COMBAT_ERRORS = Counter("combat_errors", "Calls that ended with an error.", ("method", "code"))
COMBAT_TICK_SECONDS = LoopHistogram(
    "combat_tick_seconds", "One tick: simulate and hand out.", buckets=_TICK_SECONDS
)
COMBAT_TICK_LATE_SECONDS = LoopHistogram(
    "combat_tick_late_seconds", "How late a tick began.", buckets=_TICK_SECONDS
)
COMBAT_STREAM_ENDS = Counter(
    "combat_stream_ends", "Play streams ended by the server, by reason.", ("reason",)
)
COMBAT_COMMIT_SECONDS = LoopHistogram(
    "combat_commit_seconds", "One commit of the journal, repetitions included.", buckets=_SECONDS
)
COMBAT_COMMIT_SEGMENTS = LoopHistogram("combat_commit_segments", "Sessions in one commit.", buckets=_COUNTS)
COMBAT_COMMIT_RECORDS = LoopHistogram("combat_commit_records", "Records in one commit.", buckets=_COUNTS)
COMBAT_COMMIT_BYTES = LoopHistogram("combat_commit_bytes", "Journal and saves in one commit.", buckets=_BYTES)
COMBAT_DURABLE_WAIT_SECONDS = LoopHistogram(
    "combat_durable_wait_seconds",
    "From judged to durable: of each commit, the reply that waited longest.",
    buckets=_SECONDS,
)
COMBAT_QUEUE_BYTES = LoopHistogram(
    "combat_queue_bytes", "Size of one message to a player, after joining.", buckets=_MESSAGE_BYTES
)
COMBAT_JOURNAL_PENDING_BYTES = Gauge("combat_journal_pending_bytes", "Taken and not yet committed.")
COMBAT_JOURNAL_STALLED = Gauge("combat_journal_stalled", "1 while commits have no answer.")
COMBAT_FENCED = Counter("combat_fenced", "Sessions found to be another worker's.")

COMBAT_PROJECTED = Counter("combat_projected_records", "Journal records counted.")
COMBAT_PROJECTION_LAG = Gauge("combat_projection_lag_records", "Journal records committed and not counted.")
COMBAT_PROJECTION_LAG_SECONDS = Gauge(
    "combat_projection_lag_seconds", "Session clock not counted, of the session most behind."
)
COMBAT_PROJECTION_PARKED = Gauge("combat_projection_parked", "Sessions whose journal cannot be counted.")
COMBAT_EVENTS = Counter("combat_events", "Integration events written to the outbox.", ("type",))

PROGRESSION_REQUEST_SECONDS = Histogram(
    "progression_request_duration_seconds",
    "Call duration; streams: their life.",
    ("method",),
    buckets=_SECONDS,
)
PROGRESSION_ERRORS = Counter("progression_errors", "Calls that ended with an error.", ("method", "code"))
PROGRESSION_CACHE_READS = Counter(
    "progression_cache_reads", "Characters asked of Redis, by outcome: hit, miss, away.", ("outcome",)
)
PROGRESSION_CACHE_TRUSTED = Gauge(
    "progression_cache_trusted", "1 while reads may be answered from Redis, 0 while it is away."
)
PROGRESSION_WATCHERS = Gauge("progression_watchers", "Open WatchProgress streams.")
PROGRESSION_WATCH_EVENTS = Counter("progression_watch_events", "Events told to watchers.")
PROGRESSION_WATCH_ENDS = Counter(
    "progression_watch_ends", "WatchProgress streams ended by the server, by reason.", ("reason",)
)

PROGRESSION_AWARDS_REFUSED = Counter(
    "progression_awards_refused", "Awards of events that a character could not take, by reason.", ("reason",)
)

PROGRESSION_COMMIT_SECONDS = Histogram(
    "progression_commit_seconds", "One transaction of the ledger, reruns included.", buckets=_SECONDS
)
PROGRESSION_COMMIT_COMMANDS = Histogram(
    "progression_commit_commands", "Commands in one transaction.", buckets=_COUNTS
)
PROGRESSION_LEDGER_WAITING = Gauge("progression_ledger_waiting", "Commands that wait for a transaction.")
PROGRESSION_LEDGER_RERUNS = Counter(
    "progression_ledger_reruns", "Transactions that another process was faster than, by table.", ("table",)
)

GAMIFICATION_REQUEST_SECONDS = Histogram(
    "gamification_request_duration_seconds",
    "Call duration; streams: their life.",
    ("method",),
    buckets=_SECONDS,
)
GAMIFICATION_ERRORS = Counter("gamification_errors", "Calls that ended with an error.", ("method", "code"))
GAMIFICATION_CACHE_READS = Counter(
    "gamification_cache_reads", "Players asked of Redis, by outcome: hit, miss, away.", ("outcome",)
)
GAMIFICATION_CACHE_TRUSTED = Gauge(
    "gamification_cache_trusted", "1 while reads may be answered from Redis, 0 while it is away."
)
GAMIFICATION_RECORDS = Counter("gamification_records", "Records of RecordMetrics, by outcome.", ("outcome",))

GAMIFICATION_COMMIT_SECONDS = Histogram(
    "gamification_commit_seconds", "One transaction of the committer, reruns included.", buckets=_SECONDS
)
GAMIFICATION_COMMIT_COMMANDS = Histogram(
    "gamification_commit_commands", "Commands in one transaction.", buckets=_COUNTS
)
GAMIFICATION_COMMITS_WAITING = Gauge("gamification_commits_waiting", "Commands that wait for a transaction.")
GAMIFICATION_COMMIT_RERUNS = Counter(
    "gamification_commit_reruns", "Transactions that another process was faster than, by table.", ("table",)
)
GAMIFICATION_PLAYERS = Counter(
    "gamification_players",
    "Players that a transaction needed, by where they were: remembered, read, new.",
    ("where",),
)
GAMIFICATION_OBSERVED = Counter(
    "gamification_observed", "What events of the bus said of players, by what came of it.", ("outcome",)
)
GAMIFICATION_STREAMS = Gauge("gamification_streams", "Open Subscribe streams.")
GAMIFICATION_NOTIFICATIONS_SENT = Counter(
    "gamification_notifications_sent", "Notifications that went to streams."
)
GAMIFICATION_STREAM_ENDS = Counter(
    "gamification_stream_ends", "Subscribe streams ended by the server, by reason.", ("reason",)
)
GAMIFICATION_SWEPT = Counter(
    "gamification_swept",
    "What time alone brought about, by kind: closings, quests, grants, accumulators, notifications.",
    ("kind",),
)

INGEST_REQUEST_SECONDS = Histogram(
    "ingest_request_duration_seconds", "Call duration; streams: their life.", ("method",), buckets=_SECONDS
)
INGEST_ERRORS = Counter("ingest_errors", "Calls that ended with an error.", ("method", "code"))
INGEST_EVENTS = Counter(
    "ingest_events", "Events by outcome; an error of a single one is in ingest_errors only.", ("outcome",)
)
DROPPED_EVENTS = Counter(
    "dropped_events", "Events of players that fairness blocked, or that were too many.", ("reason",)
)
INGEST_COMMIT_SECONDS = Histogram(
    "ingest_commit_seconds", "One transaction of the committer, reruns included.", buckets=_SECONDS
)
INGEST_COMMIT_REQUESTS = Histogram("ingest_commit_requests", "Requests in one transaction.", buckets=_COUNTS)
INGEST_COMMITS_WAITING = Gauge("ingest_commits_waiting", "Requests that wait for a transaction.")
INGEST_COMMIT_RERUNS = Counter(
    "ingest_commit_reruns", "Transactions that another process was faster than, by table.", ("table",)
)

LEADERBOARD_REQUEST_SECONDS = Histogram(
    "leaderboard_request_duration_seconds",
    "Call duration; streams: their life.",
    ("method",),
    buckets=_SECONDS,
)
LEADERBOARD_ERRORS = Counter("leaderboard_errors", "Calls that ended with an error.", ("method", "code"))
LEADERBOARD_SCORES = Counter(
    "leaderboard_scores", "Scores by where they came from (submitted, heard) and outcome.", ("via", "outcome")
)
LEADERBOARD_COMMIT_SECONDS = Histogram(
    "leaderboard_commit_seconds", "One transaction of the committer, reruns included.", buckets=_SECONDS
)
LEADERBOARD_COMMIT_COMMANDS = Histogram(
    "leaderboard_commit_commands", "Commands in one transaction.", buckets=_COUNTS
)
LEADERBOARD_COMMITS_WAITING = Gauge("leaderboard_commits_waiting", "Commands that wait for a transaction.")
LEADERBOARD_COMMIT_RERUNS = Counter(
    "leaderboard_commit_reruns", "Transactions that another process was faster than, by table.", ("table",)
)
LEADERBOARD_READS = Counter(
    "leaderboard_reads",
    "Reads of entries, by outcome: redis, or from PostgreSQL because Redis is away or the place is unbuilt "
    "there.",
    ("outcome",),
)
LEADERBOARD_STANDINGS_TRUSTED = Gauge(
    "leaderboard_standings_trusted", "1 while reads may be answered from Redis, 0 while it is away."
)
LEADERBOARD_REBUILT = Counter("leaderboard_rebuilt", "Places whose order was put into Redis anew.")
LEADERBOARD_FINALISED = Counter("leaderboard_finalised", "Periods that were made final.")
LEADERBOARD_STREAMS = Gauge("leaderboard_streams", "Open WatchLeaderboard streams.")
LEADERBOARD_TOPS_SENT = Counter("leaderboard_tops_sent", "Answers that went to streams.")
LEADERBOARD_STREAM_ENDS = Counter(
    "leaderboard_stream_ends", "WatchLeaderboard streams ended by the server, by reason.", ("reason",)
)

FAIRNESS_REQUEST_SECONDS = Histogram(
    "fairness_request_duration_seconds", "Call duration.", ("method",), buckets=_SECONDS
)
FAIRNESS_ERRORS = Counter("fairness_errors", "Calls that ended with an error.", ("method", "code"))
FAIRNESS_OBSERVATIONS = Counter("fairness_observations", "Events that said something of a player.")
FAIRNESS_FLAGS = Counter("anomaly_flags", "Flags raised, by detector and its mode.", ("detector", "mode"))
FAIRNESS_COMMIT_SECONDS = Histogram(
    "fairness_commit_seconds", "One transaction of the committer, reruns included.", buckets=_SECONDS
)
FAIRNESS_COMMIT_COMMANDS = Histogram(
    "fairness_commit_commands", "Commands in one transaction.", buckets=_COUNTS
)
FAIRNESS_COMMITS_WAITING = Gauge("fairness_commits_waiting", "Commands that wait for a transaction.")
FAIRNESS_COMMIT_RERUNS = Counter(
    "fairness_commit_reruns", "Transactions that another process was faster than, by table.", ("table",)
)
FAIRNESS_SWEPT = Counter(
    "fairness_swept", "What time alone brought about, by kind: sanctions, observations, peers.", ("kind",)
)


# What the native arenas count, read when the metrics are scraped.
_NATIVE: Mapping[str, tuple[str, str]] = {
    "commands": ("combat_commands", "Commands judged."),
    "accepted": ("combat_commands_accepted", "Commands that happened."),
    "corrected": ("combat_commands_corrected", "Moves answered with a correction."),
    "rejected": ("combat_commands_rejected", "Commands refused."),
    "repeated": ("combat_commands_repeated", "Commands sent again and answered from memory."),
    "damage": ("combat_damage_events", "Times that damage was dealt."),
    "shots": ("combat_shots", "Shots judged."),
    "hits": ("combat_hits", "Targets hit."),
    "kills": ("combat_kills", "Kills."),
    "moves": ("combat_moves", "Moves judged."),
    "actions": ("combat_actions", "Actions judged."),
    "frames": ("combat_frames", "Frames read."),
    "bad_frames": ("combat_frames_malformed", "Frames that could not be read."),
    "ticks": ("combat_ticks", "Simulation steps."),
}
_REWIND = "rewind_le_"
_CLAMPED = "clamped_"
_NOW: Mapping[str, tuple[str, str]] = {
    "sessions": ("combat_active_sessions", "Sessions this worker plays."),
    "players": ("combat_players", "Seats taken in the sessions of this worker."),
}


Totals = Callable[[], Mapping[str, int]]


class ArenaMetrics(Collector):
    """Shows the arenas' own counters. A source returns monotone sums by the arenas' counter names, and
    `sessions` and `players` as they are now; several sources are added up."""

    def __init__(self) -> None:
        self.sources: set[Totals] = set()

    def collect(self) -> Iterable[Metric]:
        totals: TotalsByName[str] = TotalsByName()
        for source in self.sources:
            totals.update(source())
        for key, (name, text) in _NATIVE.items():
            yield CounterMetricFamily(name, text, value=totals[key])
        for key, (name, text) in _NOW.items():
            yield GaugeMetricFamily(name, text, value=totals[key])
        yield _rewinds(totals)
        clamped = CounterMetricFamily(
            "combat_rewinds_clamped",
            "Shots whose claimed view time was bounded, by bound.",
            labels=("bound",),
        )
        for key in sorted(key for key in totals if key.startswith(_CLAMPED)):
            clamped.add_metric((key.removeprefix(_CLAMPED),), totals[key])
        yield clamped


def _rewinds(totals: Mapping[str, int]) -> HistogramMetricFamily:
    """The arenas count each shot in one bin, by microseconds; Prometheus sums them up, in seconds."""
    counts = {key.removeprefix(_REWIND): count for key, count in totals.items() if key.startswith(_REWIND)}
    shots = 0
    buckets = []
    for bound in sorted((bound for bound in counts if bound != "inf"), key=int):
        shots += counts[bound]
        buckets.append((str(int(bound) / 1e6), float(shots)))
    buckets.append(("+Inf", float(shots + counts.get("inf", 0))))
    family = HistogramMetricFamily("combat_rewind_seconds", "How far back shots were judged.")
    family.add_metric((), buckets, totals.get("rewind_sum_us", 0) / 1e6)
    return family


ARENAS = ArenaMetrics()
REGISTRY.register(ARENAS)


@dataclass(frozen=True, slots=True)
class ServiceMetrics:
    """A service's own request metrics: a histogram by method, a counter by method and code."""

    request_seconds: Histogram
    errors: Counter


@dataclass(frozen=True, slots=True)
class CommitMetrics:
    """Of one `GroupCommit`: a histogram of transactions, reruns included, one of commands in each, a gauge of
    those that wait, a counter of reruns by table."""

    seconds: Histogram
    commands: Histogram
    waiting: Gauge
    reruns: Counter


@dataclass(frozen=True, slots=True)
class CacheMetrics:
    """Of one `VersionedCache`: a counter of reads by outcome (hit, miss, away), a gauge that is 1 while it is
    trusted."""

    reads: Counter
    trusted: Gauge


COMBAT = ServiceMetrics(COMBAT_REQUEST_SECONDS, COMBAT_ERRORS)
PROGRESSION = ServiceMetrics(PROGRESSION_REQUEST_SECONDS, PROGRESSION_ERRORS)
PROGRESSION_COMMITS = CommitMetrics(
    PROGRESSION_COMMIT_SECONDS,
    PROGRESSION_COMMIT_COMMANDS,
    PROGRESSION_LEDGER_WAITING,
    PROGRESSION_LEDGER_RERUNS,
)
GAMIFICATION = ServiceMetrics(GAMIFICATION_REQUEST_SECONDS, GAMIFICATION_ERRORS)
GAMIFICATION_CACHE = CacheMetrics(GAMIFICATION_CACHE_READS, GAMIFICATION_CACHE_TRUSTED)
GAMIFICATION_COMMITS = CommitMetrics(
    GAMIFICATION_COMMIT_SECONDS,
    GAMIFICATION_COMMIT_COMMANDS,
    GAMIFICATION_COMMITS_WAITING,
    GAMIFICATION_COMMIT_RERUNS,
)
INGEST = ServiceMetrics(INGEST_REQUEST_SECONDS, INGEST_ERRORS)
INGEST_COMMITS = CommitMetrics(
    INGEST_COMMIT_SECONDS, INGEST_COMMIT_REQUESTS, INGEST_COMMITS_WAITING, INGEST_COMMIT_RERUNS
)
LEADERBOARD = ServiceMetrics(LEADERBOARD_REQUEST_SECONDS, LEADERBOARD_ERRORS)
LEADERBOARD_COMMITS = CommitMetrics(
    LEADERBOARD_COMMIT_SECONDS,
    LEADERBOARD_COMMIT_COMMANDS,
    LEADERBOARD_COMMITS_WAITING,
    LEADERBOARD_COMMIT_RERUNS,
)
FAIRNESS = ServiceMetrics(FAIRNESS_REQUEST_SECONDS, FAIRNESS_ERRORS)
FAIRNESS_COMMITS = CommitMetrics(
    FAIRNESS_COMMIT_SECONDS, FAIRNESS_COMMIT_COMMANDS, FAIRNESS_COMMITS_WAITING, FAIRNESS_COMMIT_RERUNS
)
PROGRESSION_CACHE = CacheMetrics(PROGRESSION_CACHE_READS, PROGRESSION_CACHE_TRUSTED)

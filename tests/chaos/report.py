"""The result of a run, for people and for programs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.chaos.checker import lives, pause, recovery
from tests.chaos.run import Outcome

# What the design promises, in seconds: (p50, p99) of the time to the next accepted command, or of the pause.
AIMS: dict[str, tuple[float | None, float]] = {
    "worker-kill": (0.5, 2.0),
    "worker-stop": (None, 3.0),
    "worker-drain": (None, 0.25),
    "postgres-kill": (None, 3.0),
}
_COUNTED_AS_PAUSE = "worker-drain"


def summary(outcome: Outcome) -> dict[str, Any]:
    """Everything, as it is printed with --json."""
    history = outcome.history
    found = lives(history)
    times: dict[str, list[float]] = defaultdict(list)
    faults: dict[str, int] = defaultdict(int)
    failed: dict[str, int] = defaultdict(int)
    for fault in history.faults:
        faults[fault.kind] += 1
        healed = fault.healed if fault.healed is not None else float("inf")
        # One second more: a call that was under way when the last part came back.
        failed[fault.kind] += sum(
            operation.result != "ok"
            and operation.ended is not None
            and fault.begun <= operation.ended <= healed + 1
            for operation in history.operations
        )
        for session in fault.sessions:
            life = found.get(session)
            if life is None:
                continue
            if fault.kind == _COUNTED_AS_PAUSE:
                measured = pause(life, fault.begun, healed)
            else:
                measured = recovery(life, fault)
            if measured is not None:
                times[fault.kind].append(measured)
    calls: dict[str, dict[str, int]] = defaultdict(lambda: {"ok": 0, "fail": 0, "info": 0})
    for operation in history.operations:
        calls[operation.call][operation.result] += 1
    return {
        "seed": outcome.plan.seed,
        "seconds": round(outcome.seconds, 1),
        "workers": outcome.plan.workers,
        "sessions": outcome.sessions,
        "acknowledged": outcome.acknowledged,
        "acknowledged_per_s": round(outcome.acknowledged / outcome.seconds),
        **outcome.findings.counts(),
        "faults": {
            kind: {
                "count": count,
                "samples": len(times[kind]),
                "p50_s": _quantile(times[kind], 0.50),
                "p99_s": _quantile(times[kind], 0.99),
                "most_s": _quantile(times[kind], 1.0),
                "failed": failed[kind],
            }
            for kind, count in sorted(faults.items())
        },
        "calls": dict(calls),
        "verified_sessions": outcome.audited.verified,
        "verified_records": outcome.audited.records,
        "counted_players": outcome.audited.counted,
        "catch_up_s": round(outcome.audited.catch_up_s, 2),
        "restarts": outcome.restarts,
        "findings": outcome.findings.sentences(),
    }


def table(result: dict[str, Any]) -> str:
    """`summary` in words."""
    lines = [
        f"seed {result['seed']}, {result['seconds']:.0f} s, {result['workers']} workers, "
        f"{result['sessions']} sessions",
        f"acknowledged durable commands   {result['acknowledged']:,} ({result['acknowledged_per_s']:,}/s)",
        "   ".join(f"{name} {result[name]}" for name in ("lost", "doubled", "forked", "stuck", "different")),
        f"verified {result['verified_sessions']} sessions, {result['verified_records']:,} records; "
        f"statistics of {result['counted_players']} players equal a recount "
        f"(caught up after {result['catch_up_s']:.1f} s)",
        "",
        f"{'fault':<30} {'count':>5} {'samples':>8} {'p50 s':>8} {'p99 s':>8} {'most s':>8} {'failed':>7}",
    ]
    for kind, row in result["faults"].items():
        times = " ".join(_seconds(row[name]) for name in ("p50_s", "p99_s", "most_s"))
        name = f"{kind} (pause)" if kind == _COUNTED_AS_PAUSE else kind
        lines.append(
            f"{name:<30} {row['count']:>5} {row['samples']:>8} {times} {row['failed']:>7}   {_aim(kind, row)}"
        )
    lines += ["", "Times: from the fault to the first answer to a command that was sent after it, a session."]
    lines += ["failed: calls and streams that gave up or were refused meanwhile.", ""]
    shown = result["findings"][:20]
    lines += shown
    if len(result["findings"]) > len(shown):
        lines.append(f"... and {len(result['findings']) - len(shown)} more")
    lines.append("GOOD" if not result["findings"] else "BAD")
    return "\n".join(lines)


def _aim(kind: str, row: dict[str, Any]) -> str:
    if kind not in AIMS or row["p99_s"] is None:
        return ""
    p50, p99 = AIMS[kind]
    met = row["p99_s"] <= p99 and (p50 is None or row["p50_s"] <= p50)
    wanted = (f"p50 {p50:g}, " if p50 else "") + f"p99 {p99:g}"
    return f"{wanted}: {'met' if met else 'MISSED'}"


def _seconds(value: float | None) -> str:
    return f"{value:8.3f}" if value is not None else f"{'-':>8}"


def _quantile(values: list[float], part: float) -> float | None:
    """Nearest rank."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 4)

"""What an honest client does not do, read from a command's record."""

from arenamesh.combat.v1 import journal_pb2, verdict_pb2

# What an honest client's view may miss a bound by: links and renderers are not that regular.
HONEST_VIEW_US = 100_000
# Nobody can have heard of a correction sooner: what a stalled link brings at once is one violation.
CORRECTED_US = 100_000
# Bounds that only somebody who lies about time meets by more than that, from either side: it saw what had not
# been sent yet, or looks back behind what it says it has. Not MAX_REWIND, which a slow link meets, nor
# MONOTONE, which follows another bound.
_LIES = {
    verdict_pb2.CLAMP_ACKED_SNAPSHOT,
    verdict_pb2.CLAMP_NEWEST_SNAPSHOT,
    verdict_pb2.CLAMP_FUTURE,
}
# Rejections of a move that say nothing about the move.
_NOT_MOVED = {verdict_pb2.REASON_DEAD, verdict_pb2.REASON_STUNNED}


def violation(record: journal_pb2.CommandRecord) -> str | None:
    """Name of what an honest client does not do, or None."""
    verdict = record.verdict
    if record.command.HasField("move"):
        rejected = verdict.outcome == verdict_pb2.OUTCOME_REJECTED and verdict.reason not in _NOT_MOVED
        if rejected or verdict.outcome == verdict_pb2.OUTCOME_CORRECTED:
            return plain(verdict_pb2.Reason.Name(verdict.reason), "REASON_")
        return None
    # Like the statistics, of shots that were fired: one that is refused has no effect to lie for.
    if verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED and _lies(verdict.clamp, record.evidence):
        return plain(verdict_pb2.Clamp.Name(verdict.clamp), "CLAMP_")
    return None


def _lies(clamp: int, evidence: journal_pb2.Evidence) -> bool:
    ahead_us = evidence.claimed_view_us - evidence.used_view_us
    if clamp == verdict_pb2.CLAMP_ROUND_TRIP:
        # Nobody is ahead of its own link. Behind it is whoever stalled for a moment, as under load.
        return ahead_us > HONEST_VIEW_US
    return clamp in _LIES and abs(ahead_us) > HONEST_VIEW_US


def plain(name: str, prefix: str) -> str:
    """A name of the contract as events have it."""
    return name.removeprefix(prefix).lower()

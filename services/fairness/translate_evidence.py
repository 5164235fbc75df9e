"""Evidence as it is kept: the contract's own message, to the domain and back."""

import json
from datetime import UTC

from arenamesh.liveops.v1 import flag_pb2

from services.chassis.times import stamp
from services.fairness import translate_out
from services.fairness.domain.evidence import Evidence
from services.fairness.domain.finding import Finding, Input, Peers, Reading
from services.fairness.domain.summary import summary
from services.fairness.translate_in import to_detector


def to_message(found: Evidence) -> flag_pb2.Evidence:
    """With a sentence for people."""
    return flag_pb2.Evidence(
        detector=translate_out.detector(found.detector),
        statistic_micro=found.finding.statistic_micro,
        threshold_micro=found.finding.threshold_micro,
        inputs=map(_input, found.inputs),
        carried=json.dumps(dict(found.carried), sort_keys=True) if found.carried else "",
        peers=None if found.peers is None else _peers(found.peers),
        digest=found.digest,
        summary=summary(found),
    )


def encode(found: Evidence) -> bytes:
    """As it is kept."""
    return to_message(found).SerializeToString(deterministic=True)


def of_message(message: flag_pb2.Evidence) -> Evidence:
    """Which group of peers each input was of is not kept: a rule is told whom to compare it with."""
    return Evidence(
        detector=to_detector(message.detector, message.detector.version),
        inputs=tuple(
            Input(each.event_id, each.at.ToDatetime(UTC), Reading(each.value, each.of))
            for each in message.inputs
        ),
        carried=json.loads(message.carried) if message.carried else None,
        finding=Finding(message.statistic_micro, message.threshold_micro, _peers_of(message)),
        digest=message.digest,
    )


def _input(found: Input) -> flag_pb2.Input:
    at, reading = stamp(found.at), found.reading
    return flag_pb2.Input(event_id=found.event, at=at, value=reading.value, of=reading.of)


def _peers(found: Peers) -> flag_pb2.Peers:
    return flag_pb2.Peers(
        group=found.group,
        observations=found.observations,
        median=found.median,
        mad=found.mad,
        buckets=found.buckets,
    )


def _peers_of(message: flag_pb2.Evidence) -> Peers | None:
    if not message.HasField("peers"):
        return None
    found = message.peers
    return Peers(found.group, found.observations, found.median, found.mad, dict(found.buckets))

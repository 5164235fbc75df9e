"""Events for tests of the outbox, the bus and the inbox."""

from __future__ import annotations

from arenamesh.events.v1.envelope_pb2 import Envelope


def envelope(event_id: str, subject: str = "s") -> Envelope:
    return Envelope(id=event_id, source="arenamesh/test", type="test.happened", subject=subject)

"""A message as bytes, for products whose headers take neither every letter nor every blank."""

import json

from services.chassis.bus.port import Message


def packed(message: Message) -> bytes:
    """A line of JSON, then the body."""
    return json.dumps([message.id, message.subject]).encode() + b"\n" + message.body


def unpacked(data: bytes) -> Message:
    line, _, body = data.partition(b"\n")
    event_id, subject = json.loads(line)
    return Message(event_id, subject, body)

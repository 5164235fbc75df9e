"""Streams of notifications: many over one connection, each of a user of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from arenamesh.gamification.v1 import notification_service_pb2

from tests.bench.http2 import DATA, END_STREAM, RESET, StreamEnded
from tests.bench.unary import Channel

PATH = "/arenamesh.gamification.v1.NotificationService/Subscribe"

Told = Callable[[str, notification_service_pb2.SubscribeResponse, float], None]
"""Takes the user, what its stream said, and when that arrived (`time.perf_counter`)."""


class Subscribers(Channel):
    """Use `subscribe`, not `call`."""

    def listen(self, told: Told) -> None:
        """Before the first of them."""
        self._told = told
        self._users: dict[int, str] = {}
        self._bodies: dict[int, bytearray] = {}

    def subscribe(self, user_id: str) -> None:
        """To all that there is, from the beginning."""
        asked = notification_service_pb2.SubscribeRequest(user_id=user_id, after_sequence=0)
        self._users[self._next] = user_id
        self._bodies[self._next] = bytearray()
        self.call(PATH, asked.SerializeToString(), self._over)

    def _over(self, code: int, answer: bytes) -> None:
        raise StreamEnded(f"a stream of notifications ended with {code}: {answer!r}")

    def _take_stream(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == RESET or flags & END_STREAM:
            raise StreamEnded(f"the stream of {self._users[stream]} ended: {payload!r}")
        if kind != DATA:
            return
        now = time.perf_counter()
        body = self._bodies[stream]
        body += payload
        while len(body) >= 5 and len(body) >= (end := 5 + int.from_bytes(body[1:5])):
            said = notification_service_pb2.SubscribeResponse.FromString(bytes(body[5:end]))
            del body[:end]
            self._told(self._users[stream], said, now)

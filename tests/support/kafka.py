"""A real Kafka broker for the tests: one node, its own controller, its data in a fresh directory."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import pytest

from tests.support.killable import Killable, started
from tests.support.maven import class_path

_START_S = 60.0
_JARS = Path(__file__).with_name("kafka.lock")
_JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    *("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote"),  # half of the time of a start
)
_CONFIG = """
process.roles=broker,controller
node.id=1
log.dirs={data}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=300
# One that was killed is taken for alive for so long, and its successor waits.
broker.session.timeout.ms=1200
broker.heartbeat.interval.ms=200
num.network.threads=1
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=65536
"""


class KafkaServer(Killable):
    """See `brokers.Broker`."""

    def __init__(self, jars: str, folder: Path) -> None:
        with (
            closing(socket.create_server(("127.0.0.1", 0))) as one,
            closing(socket.create_server(("127.0.0.1", 0))) as two,
        ):
            self._port, controller = one.getsockname()[1], two.getsockname()[1]
        self._log = folder / "log"
        config, data = folder / "server.properties", folder / "data"
        data.mkdir()
        config.write_text(_CONFIG.format(data=data, port=self._port, controller=controller))
        # As `kafka-storage.sh format` does, which is another JVM.
        cluster, directory = (urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode() for _ in range(2))
        (data / "meta.properties").write_text(
            f"version=1\nnode.id=1\ncluster.id={cluster}\ndirectory.id={directory}\n"
        )
        self._command = ["java", *_JAVA_OPTIONS, "-cp", jars, "kafka.Kafka", str(config)]

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it answers, which is when it says so."""
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        end = time.monotonic() + _START_S
        while "Kafka Server started" not in (said := self._log.read_text()):
            if "UnsupportedClassVersionError" in said:
                pytest.skip("Kafka needs Java 17 or later, and this is an older one")
            assert self._process.poll() is None and time.monotonic() < end, said
            time.sleep(0.02)

    def pause(self) -> None:
        super().pause()
        while not self._stopped():
            time.sleep(0.001)

    def _stopped(self) -> bool:
        """A process with many threads stops one by one."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
        return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)


def server() -> AbstractContextManager[KafkaServer]:
    """Starts a server; ends it and removes its directory at the end."""
    jars = class_path(_JARS)
    # It syncs a file or two for each partition that it makes; in memory that takes no time.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return started(partial(KafkaServer, jars), "arenamesh-kafka-", memory)

"""A real Kafka for tests: given by the environment, in a container, or started here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.components import containers
from tests.support.components.build_cache import cached
from tests.support.components.processes import kill
from tests.support.harness.engine_process import free_port

READY_S = 60.0
CONFIG = Path(__file__).parents[3] / "infra" / "deploy" / "components" / "kafka"


class Kafka:
    """One broker on a folder; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        """Choose ports, and format the folder; `start` starts it."""
        self.folder = folder
        self.port, controller = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        text = (CONFIG / "server.properties").read_text().partition("node.id")[2]
        filled = {
            "@PORT@": self.port,
            "@CONTROLLER@": controller,
            "@DATA@": folder / "data",
        }
        for name, value in filled.items():
            text = text.replace(name, str(value))
        (folder / "server.properties").write_text("node.id" + text)
        self._java(
            "kafka.tools.StorageTool", "format", "-t", "FlightlogTestCluster00",
            "--standalone", "-c", str(folder / "server.properties"),
        ).wait()  # fmt: skip

    @property
    def servers(self) -> str:
        """Return what clients connect to."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.process = self._java("kafka.Kafka", str(self.folder / "server.properties"))
        until = time.monotonic() + READY_S
        while not self._is_ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()[
                -2000:
            ]
            assert time.monotonic() < until, f"Kafka isn't ready after {READY_S} s"
            time.sleep(0.1)

    def _java(self, *args: str) -> subprocess.Popen[bytes]:
        home = cached("kafka-*/classes.jsa", "infra/deploy/components/kafka.sh").parent
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    "java", "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                    f"-XX:SharedArchiveFile={home / 'classes.jsa'}",
                    f"-Dlog4j2.configurationFile={CONFIG / 'log4j2.yaml'}",
                    "-cp", f"{home}/lib/*", *args,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _is_ready(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        kill(self.process)
        self.process = None


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Yield the servers of a Kafka: FLIGHTLOG_TEST_KAFKA, a container or a process."""
    given = os.environ.get("FLIGHTLOG_TEST_KAFKA")
    if given or containers.available():
        yield given or containers.kafka_servers()
        return
    server = Kafka(folder)
    server.start()
    try:
        yield server.servers
    finally:
        server.kill()

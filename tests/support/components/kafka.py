"""A real Kafka for tests: given by the environment, in a container, or started here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.support.components import containers
from tests.support.components.build_cache import cached
from tests.support.components.processes import kill
from tests.support.harness.engine_process import free_port

READY_S = 60.0
CONFIG = Path(__file__).parents[3] / "infra" / "deploy" / "components" / "kafka"


@dataclass(frozen=True, slots=True)
class Node:
    """A broker's place in its cluster: its number from 1, and its ports."""

    number: int = 1
    port: int = field(default_factory=free_port)
    controller: int = field(default_factory=free_port)


class Kafka:
    """One broker on a folder; may be killed and started again."""

    def __init__(
        self,
        folder: Path,
        node: Node | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Format the folder; `settings` are the broker's own, over those of the file.

        A broker of a cluster is given its voters; one alone is its own controller.
        """
        self.folder = folder
        self.node = node or Node()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._properties(settings))
        alone = () if "controller.quorum.voters" in settings else ("--standalone",)
        self._java(
            "kafka.tools.StorageTool", "format", "-t", "FlightlogTestCluster00",
            *alone, "-c", str(self._file),
        ).wait()  # fmt: skip

    @property
    def _file(self) -> Path:
        return self.folder / "server.properties"

    def _properties(self, settings: Mapping[str, str]) -> str:
        """Return the file of the settings; the last value of a name counts."""
        text = (CONFIG / "server.properties").read_text().partition("node.id")[2]
        filled = {
            "@PORT@": self.node.port,
            "@CONTROLLER@": self.node.controller,
            "@DATA@": self.folder / "data",
        }
        for name, value in filled.items():
            text = text.replace(name, str(value))
        own = "".join(f"{name}={value}\n" for name, value in settings.items())
        return f"node.id{text}\n{own}"

    @property
    def servers(self) -> str:
        """Return what clients connect to."""
        return f"127.0.0.1:{self.node.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it; `wait` tells when it takes connections."""
        self.process = self._java("kafka.Kafka", str(self._file))

    def wait(self) -> None:
        """Wait until it takes connections."""
        assert self.process is not None
        until = time.monotonic() + READY_S
        while not self._is_ready():
            assert self.process.poll() is None, self.tail()
            assert time.monotonic() < until, f"Kafka isn't ready after {READY_S} s"
            time.sleep(0.1)

    def tail(self) -> str:
        """Return the end of its log."""
        return (self.folder / "log").read_text()[-2000:]

    @property
    def is_running(self) -> bool:
        """Return whether its process runs."""
        return self.process is not None and self.process.poll() is None

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
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.node.port), 1),
        ):
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
    """Yield the servers of a Kafka: TESTS_KAFKA, a container or a process."""
    given = os.environ.get("TESTS_KAFKA")
    if given or containers.available():
        yield given or containers.kafka_servers()
        return
    server = Kafka(folder)
    server.start()
    try:
        yield server.servers
    finally:
        server.kill()

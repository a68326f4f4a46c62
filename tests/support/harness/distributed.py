"""An engine as separate processes for tests: roles on a real Kafka, Postgres and S3."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.eventlog.kafka import topics
from infra.setting_sections.storage import KafkaSettings, S3Settings
from tests.support.components.kafka import broker
from tests.support.components.kafka_cluster import KafkaCluster
from tests.support.components.minio import s3
from tests.support.components.postgres import empty_database
from tests.support.harness.engine_process import READY_S, free_port

STOP_S = 15.0
GATEWAY, PROPELLER, PROJECTOR, RUNNER = "gateway", "propeller", "projector", "runner"
ONE_OF_EACH = (GATEWAY, PROPELLER, PROJECTOR, RUNNER)
QUICK = {
    "FLIGHTLOG_KAFKA__SESSION_TIMEOUT_S": "3",
    "FLIGHTLOG_KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
    "FLIGHTLOG_KAFKA__TRANSACTION_TIMEOUT_S": "3",
    "FLIGHTLOG_RUNNER__HEARTBEAT_INTERVAL_S": "0.5",
    "FLIGHTLOG_PROCESS__CONCURRENCY": "4",
}
"""Settings by which others soon take over from a process that is killed or frozen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the roles stand on."""

    kafka: str
    postgres: str
    s3: S3Settings
    replicas: int = 1
    """Of each partition on Kafka."""


@dataclass(slots=True, eq=False)
class Role:
    """One process of a role; may be killed and started again.

    `packages` is a folder with another version's packages, that it runs.
    """

    role: str
    log: Path
    env: Mapping[str, str]
    packages: Path | None = None
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `wait` tells when it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "gateway.cli", "start", self.role,
                    "--http-port", str(self.http_port),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.packages,
                env={**os.environ, **self.env, **of_version(self.packages)},
            )  # fmt: skip

    def wait(self, limit_s: float = READY_S) -> None:
        """Wait until its health says that it serves."""
        url = f"http://127.0.0.1:{self.http_port}/healthz"
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"{self.role} ended: {self.tail()}")
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise AssertionError(f"{self.role} isn't ready: {self.tail()}")

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    @property
    def has_ended(self) -> bool:
        """Return whether its process was started and runs no longer."""
        return self.process is not None and self.process.poll() is not None

    def revive(self) -> None:
        """Restart it if it ended by itself, as a supervisor would."""
        if self.has_ended:
            self.start()
            self.wait()

    def stop(self) -> int:
        """Stop it as a supervisor would; return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            message = f"{self.role} didn't stop within {STOP_S:g} s: {self.tail()}"
            raise AssertionError(message) from None


def of_version(packages: Path | None) -> dict[str, str]:
    """Return the variable by which Python runs these packages."""
    return {} if packages is None else {"PYTHONPATH": str(packages)}


class Distributed:
    """One engine of many processes: topics and a bucket of its own."""

    def __init__(
        self,
        folder: Path,
        outside: Outside,
        roles: Iterable[str] = ONE_OF_EACH,
        **env: str,
    ) -> None:
        """Choose ports and names; `start` makes the topics and starts the roles."""
        self.data_dir = folder / "data"
        self.folder = folder
        self.grpc_port = free_port()
        self.outside = outside
        self.kafka = KafkaSettings(
            bootstrap_servers=outside.kafka,
            prefix=f"t{os.getpid()}-{time.time_ns()}.",
            replication_factor=outside.replicas,
        )
        self.env = self._environment() | env
        self.roles = [self.role(name, number) for number, name in enumerate(roles)]

    def _environment(self) -> dict[str, str]:
        s3 = self.outside.s3
        return {
            "FLIGHTLOG_DATA_DIR": str(self.data_dir),
            "FLIGHTLOG_GRPC_PORT": str(self.grpc_port),
            "FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "FLIGHTLOG_KAFKA__PREFIX": self.kafka.prefix,
            "FLIGHTLOG_KAFKA__REPLICATION_FACTOR": str(self.kafka.replication_factor),
            "FLIGHTLOG_POSTGRES": self.outside.postgres,
            "FLIGHTLOG_BLOBS": f"s3://flightlog-{time.time_ns()}/data",
            "FLIGHTLOG_S3__ENDPOINT": s3.endpoint,
            "FLIGHTLOG_S3__ACCESS_KEY": s3.access_key,
            "FLIGHTLOG_S3__SECRET_KEY": s3.secret_key,
        }

    def role(self, name: str, number: int) -> Role:
        """Return one more process of a role, not yet started."""
        env = self.env
        if name != RUNNER:
            instance = {"FLIGHTLOG_KAFKA__GROUP_INSTANCE_ID": f"{name}-{number}"}
            env = env | instance
        return Role(name, self.folder / f"{name}-{number}.log", env)

    @property
    def endpoint(self) -> str:
        """Return the gRPC endpoint."""
        return f"localhost:{self.grpc_port}"

    @property
    def http(self) -> str:
        """Return the base of HTTP addresses."""
        gateway = next(role for role in self.roles if role.role == GATEWAY)
        return f"http://127.0.0.1:{gateway.http_port}"

    def postgres(self) -> str:
        """Return the URL of its Postgres."""
        return self.outside.postgres

    def flightlog(
        self, *words: str, packages: Path | None = None, limit_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that finds the engine by the settings."""
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", *words],
            capture_output=True, text=True, timeout=limit_s, check=False, cwd=packages,
            env={**os.environ, **self.env, **of_version(packages)},
        )  # fmt: skip

    def of(self, name: str) -> list[Role]:
        """Return the processes of a role."""
        return [role for role in self.roles if role.role == name]

    def start(self) -> None:
        """Make the topics, start the roles, and wait until they are ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(topics.create(self.kafka))
        for role in self.roles:
            role.start()
        for role in self.roles:
            role.wait()

    def kill(self) -> None:
        """Kill every role as a power cut would."""
        for role in self.roles:
            role.kill()

    def stop(self) -> None:
        """Stop every role, as a supervisor would; one that takes too long is killed."""
        for role in self.roles:
            if role.process is not None and role.process.poll() is None:
                role.process.send_signal(signal.SIGTERM)
        late = list[Role]()
        for role in self.roles:
            if role.process is not None:
                try:
                    role.process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    role.kill()
                    late.append(role)
        if late:
            found = "\n".join(f"{role.role}: {role.tail()}" for role in late)
            raise AssertionError(f"Expected all to stop within {STOP_S:g} s: {found}")


@contextmanager
def distributed(
    roles: Iterable[str] = ONE_OF_EACH, **env: str
) -> Iterator[Distributed]:
    """Run an engine of many processes, with a broker, a database and an S3.

    In a folder apart from pytest's, which another session may take away.
    """
    with (
        _folder() as folder,
        broker(folder / "kafka") as servers,
        on_kafka(folder, servers, roles, **env) as engine,
    ):
        yield engine


@contextmanager
def replicated(roles: Iterable[str] = ONE_OF_EACH, **env: str) -> Iterator[Distributed]:
    """Run the same on three brokers, each of which has every partition."""
    with _folder() as folder:
        cluster = KafkaCluster([folder / f"kafka-{n}" for n in (1, 2, 3)])
        try:
            cluster.start()
            with on_kafka(folder, cluster.servers, roles, 3, **env) as engine:
                yield engine
        finally:
            cluster.kill()


@contextmanager
def on_kafka(
    folder: Path, servers: str, roles: Iterable[str], replicas: int = 1, **env: str
) -> Iterator[Distributed]:
    """Run the roles on a Kafka that runs already."""
    with s3(folder / "minio") as store:
        outside = Outside(
            kafka=servers, postgres=empty_database(), s3=store, replicas=replicas
        )
        engine = Distributed(folder, outside, roles, **env)
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(
        prefix="flightlog-roles-", ignore_cleanup_errors=True
    ) as found:
        yield Path(found)

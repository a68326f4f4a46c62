"""What a chaos run happens to: brokers, Postgres, S3 and roles, on three hosts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.postgres.embedded_server import PostgresServer
from tests.chaos.clock import Clock
from tests.chaos.disk import Disk, disk
from tests.support.components.kafka import Kafka
from tests.support.components.kafka_cluster import KafkaCluster
from tests.support.components.minio import s3
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    QUICK,
    RUNNER,
    Distributed,
    Outside,
    Role,
)
from tests.support.harness.unmeasured import UNMEASURED

PARTITIONS = 8
_HOSTS = (
    (GATEWAY, PROPELLER, PROJECTOR, RUNNER),
    (PROPELLER, PROJECTOR, RUNNER),
    (),
)
"""The roles of each host; each has a broker as well."""
_POSTGRES_MB = 3_000
_BROKER_MB = 6_000
_SETTINGS = {
    **UNMEASURED,
    **QUICK,
    "FLIGHTLOG_KAFKA__PARTITIONS": str(PARTITIONS),
    "FLIGHTLOG_PROPELLER__RUNNER_TIMEOUT_S": "5",
    "FLIGHTLOG_PROPELLER__REDISPATCHES": "1000",
    "FLIGHTLOG_PROPELLER__SYSTEM_RETRIES": "1000",
    "FLIGHTLOG_PROPELLER__BACKOFF_MAX_S": "1",
}


@dataclass(frozen=True, slots=True)
class Host:
    """A machine: what dies together."""

    broker: Kafka
    roles: list[Role]


@dataclass(slots=True, kw_only=True)
class Setting:
    """All that can be hit by a fault."""

    engine: Distributed
    cluster: KafkaCluster
    postgres: PostgresServer
    postgres_folder: Path
    hosts: list[Host]
    clocks: dict[Role, Clock]
    postgres_disk: Disk | None
    broker_disk: Disk | None
    """Of the last broker."""

    def clock(self, role: Role) -> Clock:
        """Return the clock of a role; one that is new here gets one."""
        if role not in self.clocks:
            clock = Clock(role.log.with_suffix(".clock"))
            role.env = {**role.env, **clock.environment()}
            self.clocks[role] = clock
        return self.clocks[role]

    def revive(self) -> None:
        """Start again whatever ended by itself, as supervisors would."""
        self.cluster.revive()
        if not self.postgres.is_running():
            self.postgres.start()
        ended = [role for role in self.engine.roles if role.has_ended]
        for role in ended:
            role.start()
        for role in ended:
            role.wait()


@contextmanager
def setting() -> Iterator[Setting]:
    """Start everything, and end it afterwards."""
    with ExitStack() as stack:
        found = stack.enter_context(
            tempfile.TemporaryDirectory(
                prefix="flightlog-chaos-", ignore_cleanup_errors=True
            )
        )
        folder = Path(found)
        folder.chmod(0o755)
        postgres_disk = stack.enter_context(disk(folder / "disk", _POSTGRES_MB))
        broker_disk = stack.enter_context(disk(folder / "kafka-3", _BROKER_MB))
        cluster = KafkaCluster([folder / f"kafka-{n}" for n in (1, 2, 3)])
        stack.callback(cluster.kill)
        cluster.start()
        postgres_folder = folder / "disk" / "postgres"
        postgres = PostgresServer(postgres_folder)
        stack.callback(postgres.stop)
        url = postgres.start()
        store = stack.enter_context(s3(folder / "minio"))
        outside = Outside(kafka=cluster.servers, postgres=url, s3=store, replicas=3)
        roles = [role for host in _HOSTS for role in host]
        engine = Distributed(folder / "roles", outside, roles, **_SETTINGS)
        engine.kafka = engine.kafka.model_copy(update={"partitions": PARTITIONS})
        engine.folder.mkdir(parents=True)
        left = iter(engine.roles)
        hosts = [
            Host(broker, [next(left) for _ in names])
            for broker, names in zip(cluster.brokers, _HOSTS, strict=True)
        ]
        found_setting = Setting(
            engine=engine, cluster=cluster, postgres=postgres,
            postgres_folder=postgres_folder, hosts=hosts, clocks={},
            postgres_disk=postgres_disk, broker_disk=broker_disk,
        )  # fmt: skip
        for role in engine.roles:
            found_setting.clock(role)
        stack.callback(engine.stop)
        engine.start()
        yield found_setting

"""Roles without Kafka, Postgres or S3 for a while: they say so, and go on."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from infra.postgres.embedded_server import PostgresServer
from tests.endurance.duration import chosen
from tests.endurance.health_watch import SOON_S, HealthWatch
from tests.endurance.processes import postmaster, send, tree
from tests.support.components.kafka import Kafka
from tests.support.components.minio import Minio
from tests.support.harness.distributed import Distributed, Outside
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.raw import create, register_layers, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
AWAY_S = chosen(5, 60)
SETTLE_S = 8.0
"""A broker that is back elects leaders first; a role's loops connect again."""
_FORBIDDEN = ("Traceback", "never retrieved")
_LINES_MAX = 12


@dataclass(slots=True)
class Machine:
    """What the roles stand on, and the roles."""

    folder: Path
    kafka: Kafka
    postgres: PostgresServer
    minio: Minio
    roles: Distributed


@pytest.fixture
def machine() -> Iterator[Machine]:
    """One of each role, on a Kafka, a Postgres and an S3 of their own."""
    with ExitStack() as stack:
        found = tempfile.TemporaryDirectory(
            prefix="flightlog-outages-", ignore_cleanup_errors=True
        )
        folder = Path(stack.enter_context(found))
        folder.chmod(0o755)
        kafka, minio = Kafka(folder / "kafka"), Minio(folder / "minio")
        stack.callback(kafka.kill)
        kafka.start()
        postgres = PostgresServer(folder / "postgres")
        url = postgres.start()
        stack.callback(postgres.stop)
        minio.start()
        stack.callback(minio.kill)
        outside = Outside(kafka=kafka.servers, postgres=url, s3=minio.settings)
        roles = Distributed(folder / "roles", outside, **UNMEASURED)
        stack.callback(roles.stop)
        roles.start()
        yield Machine(folder, kafka, postgres, minio, roles)


def test_roles_wait_for_what_is_away(machine: Machine) -> None:
    """Each says what it waits for; one line when it goes, one when it is back."""
    roles = machine.roles
    client = SynchronousFlyteClient(
        PlatformConfig(endpoint=roles.endpoint, insecure=True)
    )
    register_layers(client, "layers", layers=60, width=1, sleep_s=0.5)
    name = create(client, "layers", "outlives")
    _lose(machine, "Kafka", machine.kafka.kill, machine.kafka.start)
    _lose(machine, "Postgres", *_paused(tree([postmaster(machine.folder)])))
    _lose(machine, "Postgres", machine.postgres.stop, machine.postgres.start)
    _lose(machine, "blob store", machine.minio.kill, machine.minio.start)
    assert wait(client, name, 180) == "SUCCEEDED"
    for role in roles.roles:
        assert role.process is not None
        assert role.process.poll() is None, role.tail()
        log = role.log.read_text()
        assert not [text for text in _FORBIDDEN if text in log], role.tail()
        lines = [x for x in log.splitlines() if "[warning" in x or "[error" in x]
        assert len(lines) <= _LINES_MAX, "\n".join(lines)


def _lose(
    machine: Machine, what: str, leave: Callable[[], object], back: Callable[[], object]
) -> None:
    with ExitStack() as stack:
        watches = [
            stack.enter_context(HealthWatch(role.http_port))
            for role in machine.roles.roles
        ]
        time.sleep(1)
        away_s = time.monotonic()
        leave()
        time.sleep(AWAY_S)
        back_s = time.monotonic()
        back()
        settled_s = time.monotonic() + SETTLE_S
        time.sleep(SETTLE_S + 1)
        for watch in watches:
            watch.expect_away(away_s, back_s, what)
            watch.expect_ready(settled_s - SOON_S, time.monotonic())


def _paused(pids: list[int]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what stops processes, and what wakes them."""
    return (
        lambda: send(pids, signal.SIGSTOP),
        lambda: send(reversed(pids), signal.SIGCONT),
    )

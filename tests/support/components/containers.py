"""Postgres, Kafka and MinIO in containers, where a Docker engine answers."""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
from functools import cache
from typing import Any

from infra.setting_sections.storage import S3Settings
from tests.support.harness.engine_process import free_port

POSTGRES = "postgres:15-bookworm"
KAFKA = "apache/kafka:4.4.0"
MINIO = "minio/minio:latest"
STANDINS = "standin/"
KEY, SECRET = "flightlog", "flightlog-secret"
READY_S = 120
_ENGINE_S = 10


@cache
def available() -> bool:
    """Tell if tests run on containers: an engine answers that has the images.

    TESTS_CONTAINERS=on fails without them, =off doesn't look. Without the
    official images, stand-ins that `infra/deploy/components/docker.sh` built are taken.
    """
    chosen = os.environ.get("TESTS_CONTAINERS", "auto")
    if chosen == "off":
        return False
    for prefix in (
        os.environ.get("TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX", ""),
        STANDINS,
    ):
        if all(_inspected(prefix + image) for image in (POSTGRES, KAFKA, MINIO)):
            _prefixed(prefix)
            return True
    assert chosen != "on", (
        "Expected a Docker engine with the images of Postgres, Kafka and MinIO,"
        " but there is none: run infra/deploy/components/docker.sh"
    )
    return False


def _inspected(image: str) -> bool:
    command = ["docker", "image", "inspect", image]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, timeout=_ENGINE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _prefixed(prefix: str) -> None:
    """Let testcontainers take images of a prefix; it reads this when it is imported."""
    if prefix:
        os.environ["TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX"] = prefix
        # Its reaper would be looked for under the prefix too, without end.
        os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"


def _started(container: Any) -> Any:
    """Start a container that is removed when the run ends."""
    container.start()

    def stop() -> None:
        logging.disable()  # what shows logs is gone by then
        container.stop()

    atexit.register(stop)
    return container


@cache
def postgres_url() -> str:
    """Start a Postgres, once a run; return the URL of its first database."""
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(POSTGRES, driver=None, dbname="postgres")
    container.with_command("postgres -c fsync=off -c max_connections=200")
    container.with_tmpfs_mount("/var/lib/postgresql/data")
    return f"{_started(container).get_connection_url()}?sslmode=disable"


@cache
def kafka_servers() -> str:
    """Start a broker, once a run; return what clients connect to."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()
    container = DockerContainer(KAFKA).with_bind_ports(9092, port)
    for name, value in {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,INTERNAL://:9094,CONTROLLER://:9093",
        # The broker asks itself about transactions: not by the port outside.
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port},INTERNAL://localhost:9094",
        "LISTENER_SECURITY_PROTOCOL_MAP": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT"
        ),
        "INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "OFFSETS_TOPIC_NUM_PARTITIONS": "8",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "TRANSACTION_STATE_LOG_NUM_PARTITIONS": "8",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
    }.items():
        container.with_env(f"KAFKA_{name}", value)
    ready = LogMessageWaitStrategy("Kafka Server started")
    container.waiting_for(ready.with_startup_timeout(READY_S).with_poll_interval(0.2))
    _started(container)
    return f"127.0.0.1:{port}"


@cache
def s3_settings() -> S3Settings:
    """Start a MinIO, once a run; return how to reach it."""
    from testcontainers.community.minio import MinioContainer

    container = MinioContainer(MINIO, access_key=KEY, secret_key=SECRET)
    endpoint = _started(container).get_config()["endpoint"]
    return S3Settings(endpoint=f"http://{endpoint}", access_key=KEY, secret_key=SECRET)

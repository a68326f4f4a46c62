"""The logs under contract: in memory, on a real Postgres, on a real Kafka.

The adapter of Kafka runs on a broker in memory as well: the same suite says that this
one does what the real one does. Tests marked `sole` hold what only a log with one
writer and one order promises.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError

from infra.eventlog.contract import Log
from infra.eventlog.kafka import topics
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.postgres.log import PostgresLog
from infra.setting_sections.storage import KafkaSettings, LogSettings
from tests.support.components.kafka import broker
from tests.support.components.postgres import empty_database
from tests.support.fakes import MemoryData, MemoryLog
from tests.support.memory_kafka.broker import Broker
from tests.support.memory_kafka.install import memory_broker

POLL_S = 0.2
LOCK_S = 0.3
PARTITIONS = 4
STREAMS = [f"execution/p/d/s{n}" for n in range(12)]


class MemoryKind:
    """Logs in memory on the same data."""

    def __init__(self) -> None:
        self.data = MemoryData()
        self.logs: list[Any] = []

    async def open(self, **settings: Any) -> Any:
        log = MemoryLog(self.data, poll_s=settings.get("poll_interval_s", POLL_S))
        await log.open()
        self.logs.append(log)
        return log

    def lose_next_answer(self, log: MemoryLog) -> None:
        log.lose_next_answer = True

    def end_sessions(self) -> None:
        self.data.holder = None


class PostgresKind:
    """Logs on one fresh database of a real Postgres."""

    def __init__(self) -> None:
        self.url = empty_database()
        self.logs: list[Any] = []

    async def open(self, **settings: Any) -> Any:
        chosen = {"poll_interval_s": POLL_S, "lock_timeout_s": LOCK_S} | settings
        log = PostgresLog(self.url, LogSettings(**chosen))
        self.logs.append(log)
        await log.open()
        return log

    def lose_next_answer(self, log: PostgresLog) -> None:
        """Let the next insert happen, and its answer get lost."""
        recorder = log._writer.recorder
        insert = recorder.insert

        def lost(*args: Any, **kwargs: Any) -> Any:
            recorder.insert = insert
            insert(*args, **kwargs)
            raise OperationalError("the connection was lost")

        recorder.insert = lost

    def end_sessions(self) -> None:
        """End every session on the database, as a restart of Postgres would."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


class KafkaKind:
    """Logs on fresh topics of one partition of a Kafka, a real one or one in memory."""

    def __init__(self, servers: str) -> None:
        self.settings = KafkaSettings(
            bootstrap_servers=servers,
            prefix=f"{secrets.token_hex(4)}.",
            partitions=1,
            session_timeout_s=2,
            heartbeat_interval_s=0.3,
            metadata_max_age_s=5,
            transaction_timeout_s=2,
        )
        self.logs: list[Any] = []

    async def open(self, **settings: Any) -> Any:
        if not self.logs:
            await topics.create(self.settings)
        poll_s = settings.get("poll_interval_s", 0.5)
        log = KafkaLog(self.settings, LogSettings(poll_interval_s=poll_s))
        self.logs.append(log)
        await log.open()
        return log


@pytest.fixture(scope="session")
def kafka_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The servers of a Kafka that lives as long as the tests."""
    with broker(tmp_path_factory.mktemp("kafka")) as servers:
        yield servers


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of log; on Kafka too, unless it is marked `sole`.

    What is for Kafka only runs on a real one; marked `both`, on one in memory too.
    """
    if "kafka" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both") is not None
        brokers = ["memory-kafka", "kafka"] if both else ["kafka"]
        metafunc.parametrize("kafka", brokers, indirect=True)
    if "kind" not in metafunc.fixturenames:
        return
    kinds: list[Any] = ["memory"]
    kinds.append(pytest.param("postgres", marks=pytest.mark.integration))
    if metafunc.definition.get_closest_marker("sole") is None:
        kinds.append("memory-kafka")
        kinds.append(pytest.param("kafka", marks=pytest.mark.integration))
    metafunc.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def broker_in_memory() -> Iterator[Broker]:
    """A broker in memory, to which all clients of Kafka talk."""
    with memory_broker() as found:
        yield found


def _kafka_kind(request: pytest.FixtureRequest) -> KafkaKind:
    if request.param == "kafka":
        return KafkaKind(request.getfixturevalue("kafka_servers"))
    found = KafkaKind(request.getfixturevalue("broker_in_memory").name)
    # Nothing is as slow as a broker here, but for a machine that is busy.
    long = {"session_timeout_s": 30, "transaction_timeout_s": 30}
    found.settings = found.settings.model_copy(update=long)
    return found


@pytest.fixture
async def kind(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """One kind of log; everything that was opened is closed."""
    if request.param in {"kafka", "memory-kafka"}:
        found: Any = _kafka_kind(request)
    else:
        found = MemoryKind() if request.param == "memory" else PostgresKind()
    yield found
    for log in found.logs:
        await log.close()


@pytest.fixture
async def log(kind: Any) -> Log:
    """An open log, empty."""
    return await kind.open()


@pytest.fixture
def postgres() -> Iterator[PostgresKind]:
    """Logs on Postgres, for what only it can do."""
    return PostgresKind()


@pytest.fixture
async def kafka(request: pytest.FixtureRequest) -> AsyncIterator[KafkaKind]:
    """Fresh topics of four partitions."""
    found = _kafka_kind(request)
    found.settings = found.settings.model_copy(update={"partitions": PARTITIONS})
    yield found
    for log in found.logs:
        await log.close()

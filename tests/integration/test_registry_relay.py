"""The registry on Kafka: relayed, and an empty Postgres comes back whole from it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
from psycopg.rows import dict_row
from typer.testing import CliRunner

from gateway.cli.main import app
from infra.errors import PermanentError
from infra.eventlog.event_store import EventStore
from infra.eventlog.kafka import topics as kafka_topics
from infra.eventlog.kafka.log import KafkaLog
from infra.postgres.pool import open_pool
from infra.setting_sections.storage import KafkaSettings, LogSettings
from projections.projector.projector import Projector
from schemas import topics
from tests.integration.test_publish import PLAN, PYTHON, Engine
from tests.support.components.kafka import broker
from tests.support.components.postgres import empty_database, migrated_database
from tests.support.harness.gateway_harness import run_gateway
from tests.support.harness.kafka_engine import engine_on
from tests.support.raw import register_layers
from workers.operations.registry_relay import RegistryRelay

pytestmark = pytest.mark.integration

TABLES = ("projects", "tasks", "workflows", "launch_plans")
VIEWS = ("executions", "node_executions", "task_executions", "journal")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The servers of a real broker."""
    with broker(tmp_path_factory.mktemp("kafka")) as found:
        yield found


@pytest.fixture
async def kafka(servers: str) -> KafkaSettings:
    """Fresh topics."""
    found = KafkaSettings(
        bootstrap_servers=servers,
        prefix=f"{secrets.token_hex(4)}.",
        partitions=2,
    )
    await kafka_topics.create(found)
    return found


@asynccontextmanager
async def relaying(kafka: KafkaSettings, url: str) -> AsyncIterator[RegistryRelay]:
    """A relay from a Postgres to a broker."""
    log, store = KafkaLog(kafka, LogSettings(poll_interval_s=0.2)), EventStore(url)
    await log.open()
    await store.open()
    try:
        yield RegistryRelay(store=store, log=log, poll_s=0.05)
    finally:
        await store.close()
        await log.close()


def register(url: str, folder: Path, name: str) -> None:
    """Register a chain of two tasks through the gateway."""
    with run_gateway(url, folder) as gateway:
        config = PlatformConfig(endpoint=gateway.endpoint, insecure=True)
        register_layers(SynchronousFlyteClient(config), name, layers=2, width=1)


def rows(url: str, *tables: str) -> dict[str, list[Any]]:
    """Return the rows of tables, in an order that doesn't depend on their making."""
    with psycopg.connect(url, row_factory=dict_row) as conn:
        return {
            table: sorted(map(str, conn.execute(f"SELECT * FROM {table}").fetchall()))
            for table in tables
        }


def replay(kafka: KafkaSettings, url: str, *detail: str) -> tuple[int, dict[str, Any]]:
    """Run `flightlog replay` on Kafka and a Postgres."""
    return told(kafka, url, "replay", *detail)


def told(kafka: KafkaSettings, url: str, *detail: str) -> tuple[int, dict[str, Any]]:
    """Run a command on Kafka and a Postgres; return what it says."""
    env = {
        "FLIGHTLOG_POSTGRES": url,
        "FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "FLIGHTLOG_KAFKA__PREFIX": kafka.prefix,
        "FLIGHTLOG_KAFKA__PARTITIONS": str(kafka.partitions),
    }
    result = CliRunner(env=env).invoke(app, [*detail, "--json"])
    assert result.stdout, result.output
    return result.exit_code, json.loads(result.stdout)


async def on_topic(relay: RegistryRelay) -> list[str]:
    """Return the ids on the registry's topic."""
    pages = relay.log.read_to_end(topics.REGISTRY, {}, 100)
    return [r.envelope.id async for page in pages for r in page]


async def test_events_are_relayed_once_each_and_in_order(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """A relay goes on where the one before it was; what comes later follows."""
    url = migrated_database()
    await asyncio.to_thread(register, url, tmp_path, "first")
    async with relaying(kafka, url) as relay:
        await relay.check()
        await relay.catch_up()
        first = await on_topic(relay)
    assert first[0] == "registry/project/flytesnacks/1"
    async with relaying(kafka, url) as relay:
        await relay.check()
        running = asyncio.create_task(relay.run())
        await asyncio.to_thread(register, url, tmp_path, "second")
        async with asyncio.timeout(20):
            while len(await on_topic(relay)) < 2 * len(first) - 1:
                await asyncio.sleep(0.1)
        running.cancel()
        found = await on_topic(relay)
    assert len(found) == len(set(found))
    assert found[: len(first)] == first


async def test_an_empty_postgres_comes_back_whole(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """Registry and views are what they were, and what is registered can be run."""
    url, other = migrated_database(), empty_database()
    await asyncio.to_thread(register, url, tmp_path, "chain")
    async with relaying(kafka, url) as relay:
        await relay.catch_up()
    engine = Engine(kafka)
    async with engine_on(kafka, url, tmp_path):
        for number in range(3):
            inputs = json.dumps({"a": number})
            code, said = await engine.publish(PLAN, inputs, program=PYTHON)
            assert code == 0, said
    await project(kafka, url)

    code, found = await asyncio.to_thread(replay, kafka, other)
    assert (code, found["same"], found["registry"]) == (1, False, 4)
    code, found = await asyncio.to_thread(replay, kafka, other, "--swap")
    assert (code, found["swapped"], found["registry"]) == (0, True, 4)
    assert rows(other, *TABLES) == rows(url, *TABLES)
    assert rows(other, *VIEWS) == rows(url, *VIEWS)
    assert len(rows(other, "executions")["executions"]) == 3
    for which in (url, other):
        code, found = await asyncio.to_thread(replay, kafka, which)
        assert (code, found["same"], found["registry"]) == (0, True, 0)
    for time, known in (("2000-01-01", found["events"]), ("2099-01-01", 0)):
        code, part = await asyncio.to_thread(replay, kafka, other, "--from", time)
        assert (code, part["same"]) == (0, True)
        assert (part["events"] > 0) == (known > 0)
    async with relaying(kafka, other) as relay:
        await relay.check()
        before = await on_topic(relay)
        await relay.catch_up()
        assert await on_topic(relay) == before
    async with engine_on(kafka, other, tmp_path):
        code, said = await engine.publish(PLAN, '{"a": 7}', program=PYTHON)
        assert code == 0, said
    await project(kafka, other)
    assert len(rows(other, "executions")["executions"]) == 4


async def test_a_backup_goes_to_another_cluster(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """On other topics with other partitions, and another Postgres, everything runs."""
    url, other, file = migrated_database(), empty_database(), str(tmp_path / "log.avro")
    await asyncio.to_thread(register, url, tmp_path, "chain")
    async with engine_on(kafka, url, tmp_path):
        for number in range(2):
            inputs = json.dumps({"a": number})
            code, said = await Engine(kafka).publish(PLAN, inputs, program=PYTHON)
            assert code == 0, said
    code, here = await asyncio.to_thread(told, kafka, url, "log", "export", file)
    assert code == 0
    assert here["records"]["flightlog.registry"] == 4

    there = kafka.model_copy(
        update={"prefix": f"there-{kafka.prefix}", "partitions": 3}
    )
    await kafka_topics.create(there)
    code, found = await asyncio.to_thread(told, there, other, "log", "import", file)
    assert (code, found["records"]) == (0, here["records"])
    await project(kafka, url)
    await project(there, other)
    assert rows(other, *TABLES, *VIEWS) == rows(url, *TABLES, *VIEWS)
    code, found = await asyncio.to_thread(told, there, other, "verify")
    assert (code, found["streams"]) == (0, 2)
    async with relaying(there, other) as relay:
        await relay.check()
        await relay.catch_up()
        assert len(await on_topic(relay)) == 4
    async with engine_on(there, other, tmp_path):
        code, said = await Engine(there).publish(PLAN, '{"a": 7}', program=PYTHON)
        assert code == 0, said


async def test_a_registry_beside_a_log_that_has_events_is_refused(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """What is registered in an empty Postgres would contradict what was."""
    url = migrated_database()
    await asyncio.to_thread(register, url, tmp_path, "chain")
    async with relaying(kafka, url) as relay:
        await relay.catch_up()
    async with relaying(kafka, empty_database()) as relay:
        with pytest.raises(PermanentError, match="run `flightlog replay --swap`"):
            await relay.check()


async def project(kafka: KafkaSettings, url: str) -> None:
    """Project what is on the broker into the read models."""
    log = KafkaLog(kafka, LogSettings(poll_interval_s=0.5))
    await log.open()
    pool = await open_pool(url, size=2)
    await Projector(log, pool).catch_up()
    await pool.close()
    await log.close()

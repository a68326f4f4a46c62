"""A backup: another cluster goes on where this one was, on each kind of log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import PermanentError
from infra.eventlog import avro_file
from infra.eventlog.contract import Record
from infra.eventlog.event_store import EventStore
from projections.queries import registry
from schemas import topics
from schemas.messages import execution_events as e
from schemas.messages import registry_events as r
from tests.contract.conftest import KafkaKind
from tests.support.components.postgres import migrated_database
from tests.support.engine import success
from tests.support.harness.propeller_harness import Harness
from workers.operations import backup

NOTHING = lambda _: None  # noqa: E731


@pytest.fixture
async def twin(kind: Any) -> AsyncIterator[Any]:
    """Another log of the same kind, empty."""
    if isinstance(kind, KafkaKind):
        found: Any = KafkaKind(kind.settings.bootstrap_servers)
    else:
        found = type(kind)()
    yield await found.open()
    for log in found.logs:
        await log.close()


@pytest.fixture
async def stores() -> AsyncIterator[tuple[EventStore, EventStore]]:
    """Two registries: one with a project, and an empty one."""
    found = EventStore(migrated_database()), EventStore(migrated_database())
    for store in found:
        await store.open()
    project = r.ProjectRegistered(
        occurred_at_us=1, project_id="mine", project=b"\n\x04mine"
    )
    await found[0].append(
        "registry/project/mine",
        0,
        [project],
        actor="me",
        also=registry.writer([project]),
    )
    yield found
    for store in found:
        await store.close()


async def export(log: Any, store: EventStore, path: Path) -> None:
    """Write a log's backup."""
    with avro_file.open_writer(path, {}) as file:
        async for records in backup.backup_pages(log, store):
            file.write(records)


@pytest.mark.integration
async def test_another_cluster_goes_on(
    log: Any, twin: Any, stores: tuple[EventStore, EventStore], tmp_path: Path
) -> None:
    """Events are the same; what nobody had handled is handled there, the rest isn't."""
    here, path = Harness(log), tmp_path / "log.avro"
    async with here.propeller():
        stream = await here.create("one")
        run = await here.run_of(stream, "n0")
        await here.create("boom")
        await here.until_dead_letters(1)
    async with log.consume("runner", topics.DISPATCHES) as consumer:
        taken = await consumer.read(10)
        await consumer.commit({taken[-1].partition: taken[-1].position})
    await here.send(stream, success(run))
    await export(log, stores[0], path)

    pages = avro_file.read_pages(path, 10)
    count = await backup.restore_backup(pages, twin, stores[1], NOTHING)
    there = Harness(twin)
    assert await there.events(stream) == await here.events(stream)
    assert await there.dead_letters() == await here.dead_letters()
    assert await stores[1].load("registry/project/mine") == await stores[0].load(
        "registry/project/mine"
    )
    events = len(await here.read(topics.EVENTS))
    assert count == events + len(["report", "letter", "project"])
    async with there.propeller():
        second = await there.run_of(stream, "n1")
        await there.send(stream, success(second))
        await there.until_events(stream, e.ExecutionSucceeded)
    dispatches = await there.read(topics.DISPATCHES)
    assert len(dispatches) == 1, "what was carried out isn't carried out again"


@pytest.mark.integration
async def test_only_an_empty_log_takes_a_backup(
    log: Any, twin: Any, stores: tuple[EventStore, EventStore]
) -> None:
    """Whatever it holds, or its registry, nothing is added to it."""
    harness = Harness(log)
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionStarted)
    records: list[Record] = []
    with pytest.raises(
        PermanentError, match=r"Expected an empty log, but flightlog\.events"
    ):
        await backup.restore_backup([(records, 0)], log, stores[1], NOTHING)
    with pytest.raises(PermanentError, match="Expected an empty registry"):
        await backup.restore_backup([(records, 0)], twin, stores[0], NOTHING)
    kept = await log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
    assert any(kept.values())

"""The sweeper on a real Postgres and plain files: what came to nothing goes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from infra.blobs.files import PARTS, FileBlobs
from infra.eventlog.contract import Positions, Received, Record
from infra.postgres.pool import Pool, open_pool
from infra.setting_sections.executions import RetentionSettings
from schemas.ids import ParentNode, execution_stream, raw_output_prefix
from schemas.messages.commands import DeleteExecution, ReportChild, TerminateExecution
from schemas.messages.execution_events import (
    ExecutionAborted,
    ExecutionCreated,
    ExecutionDeleted,
    ExecutionEvent,
)
from schemas.messages.node_events import CacheLookedUp
from tests.support import memory_log
from tests.support.cache_lookups import KEY, SOURCE
from tests.support.clocks import TickingClock
from tests.support.components.postgres import migrated_database
from tests.support.engine import CREATE, STREAM, Engine, created
from tests.support.fakes import MemoryLog
from tests.support.graphs import definition, launch_plan_node, task_node
from tests.support.harness.read_models import ReadModels
from workers.operations.retention import REQUESTS, Sweeper

pytestmark = pytest.mark.integration
NOW_US = 1_900_000_000_000_000
DAY_S = 86_400
OTHER = "execution/p/d/main-2"


class Streaming(memory_log.MemoryLog):
    """The read models' log, which also returns the events of one stream."""

    def __init__(self) -> None:
        """Begin with commands that were all handled."""
        super().__init__()
        self.appended: list[Record] = []
        self.handled = 0

    async def stream(self, stream: str) -> Sequence[Received]:
        """Return the events of a stream."""
        return [r for r in self.records if r.envelope.stream == stream]

    async def append(self, records: Sequence[Record]) -> None:
        """Store commands."""
        self.appended += records

    async def positions(self, group: str, topic: str) -> Positions:
        """Return how far commands were handled."""
        del group, topic
        return {0: self.handled}


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Open a pool on a database whose views are empty."""
    pool = await open_pool(migrated_database(), size=2)
    yield pool
    await pool.close()


@pytest.fixture
async def sweeper(pool: Pool, tmp_path: Path) -> Sweeper:
    """Return a sweeper of an empty store."""
    log, clock = MemoryLog(), TickingClock(now=0)
    await log.open()
    clock.now = NOW_US
    return Sweeper(
        log=log, pool=pool, blobs=FileBlobs(tmp_path / "blobs"), clock=clock,
        settings=RetentionSettings(orphan_ttl_s=DAY_S),
    )  # fmt: skip


def _aged(path: Path, days: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    at_s = NOW_US / 1_000_000 - days * DAY_S
    os.utime(path, (at_s, at_s))
    return path


def _deleted() -> Engine:
    """Return an execution of one task that has ended, and was deleted."""
    engine = Engine(definition([task_node("a")], "a"), created())
    engine.begin()
    engine.succeed("a")
    engine.do(DeleteExecution())
    return engine


async def test_requests_and_uploads_that_came_to_nothing_go(sweeper: Sweeper) -> None:
    """What is younger than a day, or lies elsewhere, stays."""
    root = Path(sweeper.blobs.root)
    old = [_aged(root / REQUESTS / "p/d/old", 2), _aged(root / PARTS / "old", 2)]
    kept = [
        _aged(root / REQUESTS / "p/d/young", 0),
        _aged(root / PARTS / "young", 0),
        _aged(root / "metadata/p/d/run/inputs", 2),
    ]

    await sweeper.round()

    assert [path for path in old if path.exists()] == []
    assert [path for path in kept if path.exists()] == kept


async def test_reservations_that_nobody_holds_go(sweeper: Sweeper) -> None:
    """One that has long expired is forgotten, one in force isn't."""
    add = (
        "INSERT INTO catalog_reservations VALUES "
        "('p', 'd', 't', '1', %s, 'o', now() + make_interval(hours => %s))"
    )
    async with sweeper.pool.connection() as conn:
        for tag, hours in (("dead", -3), ("living", 1)):
            await conn.execute(add, (tag, hours))

    await sweeper.round()

    async with sweeper.pool.connection() as conn:
        rows = await conn.execute("SELECT tag FROM catalog_reservations")
        assert [row["tag"] for row in await rows.fetchall()] == ["living"]


async def test_nothing_is_swept_while_views_are_behind(
    sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may not know yet of a recovery that uses the blobs."""
    monkeypatch.setattr("workers.operations.retention._POLLS", 2)
    engine = _deleted()
    read_models = ReadModels(sweeper.pool, Streaming())
    read_models.log.add(STREAM, *engine.events)
    await read_models.follow()
    sweeper.log = read_models.log  # type: ignore[assignment]
    kept = _aged(Path(sweeper.blobs.root) / "metadata/p/d/main-1/inputs", 2)
    read_models.log.add(OTHER, engine.events[0])

    await sweeper.round()
    assert kept.exists()
    await read_models.follow()
    await sweeper.round()
    assert not kept.exists()
    assert sweeper.swept == 1


async def test_folders_of_another_of_the_same_name_are_left(sweeper: Sweeper) -> None:
    """Tasks write below the execution's name, whatever its project: both do so."""
    engine = _deleted()
    first = engine.events[0]
    assert isinstance(first, ExecutionCreated)
    there = replace(first.execution, domain="other")
    read_models = ReadModels(sweeper.pool, Streaming())
    read_models.log.add(STREAM, *engine.events)
    read_models.log.add(execution_stream(there), replace(first, execution=there))
    await read_models.follow()
    sweeper.log = read_models.log  # type: ignore[assignment]
    root = Path(sweeper.blobs.root)
    own = _aged(root / "metadata/p/d/main-1/inputs", 2)
    prefix = raw_output_prefix("raw", engine.run_of("a").generated_name)
    shared = _aged(root / prefix / "0/x", 2)

    await sweeper.round()

    assert not own.exists()
    assert shared.exists()


async def test_an_execution_with_folders_of_its_own_leaves_nothing(
    sweeper: Sweeper,
) -> None:
    """Another of its name, in another domain, keeps what it has."""
    engine = _deleted()
    first = engine.events[0]
    assert isinstance(first, ExecutionCreated)
    there = Engine(
        engine.definition,
        replace(first, execution=replace(first.execution, domain="other")),
    )
    there.do(replace(CREATE, domain="other"), command_id="create")
    read_models = ReadModels(sweeper.pool, Streaming())
    read_models.log.add(STREAM, *engine.events)
    read_models.log.add(there.stream, *there.events)
    await read_models.follow()
    sweeper.log = read_models.log  # type: ignore[assignment]
    root = Path(sweeper.blobs.root)
    runs = engine.run_of("a"), there.run_of("a")
    swept, kept = (
        [
            _aged(root / run.raw_output_prefix / "0/x", 2),
            _aged(root / run.input_path, 2),
        ]
        for run in runs
    )

    await sweeper.round()

    assert [path for path in swept if path.exists()] == []
    assert [path for path in kept if path.exists()] == kept


async def test_blobs_of_outputs_that_another_reuses_stay(sweeper: Sweeper) -> None:
    """They go once that one is swept, too."""
    engine = _deleted()
    first = engine.events[0]
    assert isinstance(first, ExecutionCreated)
    there = replace(first.execution, name="main-2")
    source = replace(SOURCE, execution=first.execution, node_id="a")
    reuse = CacheLookedUp(
        occurred_at_us=first.occurred_at_us, node_id="a", status="HIT", key=KEY,
        source=source,
    )  # fmt: skip
    read_models = ReadModels(sweeper.pool, Streaming())
    read_models.log.add(OTHER, replace(first, execution=there), reuse)
    read_models.log.add(STREAM, *engine.events)
    await read_models.follow()
    sweeper.log = read_models.log  # type: ignore[assignment]
    kept = _aged(Path(sweeper.blobs.root) / "metadata/p/d/main-1/outputs", 2)

    await sweeper.round()
    assert kept.exists()
    read_models.log.add(OTHER, engine.events[-1])
    await read_models.follow()
    await sweeper.round()
    await sweeper.round()
    assert not kept.exists()
    assert sweeper.swept == 2


CHILD = "execution/p/d/main-1-n0-0"


def _parent(*, reported: bool) -> Engine:
    """Return an aborted and deleted parent, whose child may have been reported."""
    engine = Engine(definition([launch_plan_node("n0")], "n0"), created())
    engine.begin()
    if reported:
        name = CHILD.removeprefix("execution/")
        engine.do(ReportChild(node_id="n0", attempt=0, child=name, phase="QUEUED"))
    engine.do(TerminateExecution(cause="enough"))
    engine.do(DeleteExecution())
    return engine


def _child(engine: Engine) -> Sequence[ExecutionEvent]:
    """Return the events of the parent's child, aborted with it."""
    first = engine.events[0]
    assert isinstance(first, ExecutionCreated)
    ref = replace(first.execution, name="main-1-n0-0")
    parent = ParentNode(stream=STREAM, node_id="n0", attempt=0)
    aborted = ExecutionAborted(
        occurred_at_us=first.occurred_at_us, cause="x", principal=""
    )
    return replace(first, execution=ref, parent=parent), aborted


@pytest.mark.parametrize("reported", [True, False])
async def test_a_child_is_deleted_with_its_parent(
    sweeper: Sweeper, reported: bool
) -> None:
    """Also one whose creation its parent had not heard of when it was aborted."""
    engine = _parent(reported=reported)
    read_models = ReadModels(sweeper.pool, log := Streaming())
    log.add(STREAM, *engine.events)
    log.add(CHILD, *_child(engine))
    await read_models.follow()
    sweeper.log = log  # type: ignore[assignment]
    kept = _aged(Path(sweeper.blobs.root) / "metadata/p/d/main-1/inputs", 2)

    await sweeper.round()
    assert [record.envelope.stream for record in log.appended] == [CHILD]
    assert kept.exists()
    at_us = engine.events[-1].occurred_at_us
    log.add(
        CHILD, ExecutionDeleted(occurred_at_us=at_us, principal="", phase="ABORTED")
    )
    await read_models.follow()
    await sweeper.round()
    assert not kept.exists()


async def test_a_child_that_may_still_be_created_is_waited_for(
    sweeper: Sweeper,
) -> None:
    """Once all commands of then were handled, there is one, or there never will be."""
    engine = _parent(reported=False)
    read_models = ReadModels(sweeper.pool, log := Streaming())
    log.add(STREAM, *engine.events)
    await read_models.follow()
    sweeper.log = log  # type: ignore[assignment]
    kept = _aged(Path(sweeper.blobs.root) / "metadata/p/d/main-1/inputs", 2)

    await sweeper.round()
    assert kept.exists()
    log.handled = 10**6
    await sweeper.round()
    assert not kept.exists()


async def test_one_that_cannot_be_swept_costs_no_other(sweeper: Sweeper) -> None:
    """Its blobs stay until the next process tries."""
    sweeper.settings = RetentionSettings(batch_max=1)
    engine = _deleted()
    first = engine.events[0]
    assert isinstance(first, ExecutionCreated)
    there = replace(first.execution, name="main-2")
    read_models = ReadModels(sweeper.pool, log := Streaming())
    log.add(STREAM, *engine.events)
    log.add(OTHER, replace(first, execution=there), *engine.events[1:])
    await read_models.follow()
    sweeper.log = log  # type: ignore[assignment]
    log.records[1] = replace(log.records[1], body=b"garbage")
    root = Path(sweeper.blobs.root)
    kept = _aged(root / "metadata/p/d/main-1/inputs", 2)
    gone = _aged(root / "metadata/p/d/main-2/inputs", 2)

    for _ in range(2):
        await sweeper.round()
    assert kept.exists()
    assert not gone.exists()


async def test_what_is_passed_over_keeps_only_what_it_uses(sweeper: Sweeper) -> None:
    """Its events say so; all others are swept."""
    engine = _deleted()
    first = engine.events[0]
    assert isinstance(first, ExecutionCreated)
    there = replace(first.execution, name="main-2")
    passed = replace(
        first, execution=replace(there, name="passed"), recovers=first.execution
    )
    read_models = ReadModels(sweeper.pool, log := Streaming())
    log.add(STREAM, *engine.events)
    log.add(OTHER, replace(first, execution=there), *engine.events[1:])
    await read_models.follow()
    log.add("execution/p/d/passed", passed)
    async with sweeper.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO passed_over (stream, sequence, error) VALUES (%s, 1, '')",
            ("execution/p/d/passed",),
        )
    await read_models.follow()
    sweeper.log = log  # type: ignore[assignment]
    root = Path(sweeper.blobs.root)
    kept = _aged(root / "metadata/p/d/main-1/inputs", 2)
    gone = _aged(root / "metadata/p/d/main-2/inputs", 2)

    await sweeper.round()
    assert kept.exists()
    assert not gone.exists()


async def test_nothing_that_fails_ends_the_sweeper(sweeper: Sweeper) -> None:
    """An outage is waited for; a defect costs its round."""
    failures = iter([psycopg.OperationalError("full"), ValueError("a defect")])
    done = asyncio.Event()

    class Failing(Sweeper):
        async def round(self) -> None:
            """Fail at first."""
            for error in failures:
                raise error
            done.set()

    sweeping = Failing(
        log=sweeper.log, pool=sweeper.pool, blobs=sweeper.blobs, clock=_Hasty(),
        settings=sweeper.settings,
    )  # fmt: skip
    running = asyncio.create_task(sweeping.run())
    async with asyncio.timeout(5):
        await done.wait()
    running.cancel()


class _Hasty(TickingClock):
    async def sleep(self, delay_s: float) -> None:
        """Wait for a moment only."""
        del delay_s
        await asyncio.sleep(0.001)

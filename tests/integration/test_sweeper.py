"""The sweeper on a real Postgres and plain files: what came to nothing goes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from infra.blobs.files import PARTS, FileBlobs
from infra.eventlog.contract import Received
from infra.postgres.pool import Pool, open_pool
from infra.setting_sections import RetentionSettings
from schemas.ids import execution_stream, raw_output_prefix
from schemas.messages.commands import DeleteExecution
from schemas.messages.execution_events import ExecutionCreated
from schemas.messages.node_events import CacheLookedUp
from tests.support import memory_log
from tests.support.cache_lookups import KEY, SOURCE
from tests.support.clocks import TickingClock
from tests.support.components.postgres import migrated_database
from tests.support.engine import CREATE, STREAM, Engine, created
from tests.support.fakes import MemoryLog
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels
from workers.operations.retention import REQUESTS, Sweeper

pytestmark = pytest.mark.integration
NOW_US = 1_900_000_000_000_000
DAY_S = 86_400
OTHER = "execution/p/d/main-2"


class Streaming(memory_log.MemoryLog):
    """The read models' log, which also returns the events of one stream."""

    async def stream(self, stream: str) -> Sequence[Received]:
        """Return the events of a stream."""
        return [r for r in self.records if r.envelope.stream == stream]


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

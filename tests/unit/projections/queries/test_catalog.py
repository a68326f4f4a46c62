"""The catalog: folded from events, read by look-ups, evicted, reserved."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.literals.cache_keys import dataset_name
from infra.errors import TransientError
from infra.eventlog.contract import Pages, Positions
from infra.postgres.pool import Pool
from infra.setting_sections.executions import CacheSettings
from projections.projector.projector import rebuild
from projections.queries import registry
from projections.queries.catalog import Catalog, count_cached
from projections.queries.executions import list_nodes
from projections.queries.page import Page
from projections.views.catalog import owner_of
from schemas.ids import CatalogKey, ExecutionRef
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.registry_events import CacheEvicted
from schemas.values import Values
from tests.support.cache_lookups import KEY, hit, miss
from tests.support.engine import NOON_US, STREAM, Engine, created
from tests.support.graphs import cached_template, definition, task_node, values
from tests.support.harness.read_models import ReadModels
from tests.support.memory_log import MemoryLog
from tests.support.messages import example

SHORT = CacheSettings(reservation_ttl_s=0.1, lag_timeout_s=0.1)


def _engine() -> tuple[Engine, d.LookUpCache]:
    engine = Engine(
        definition([task_node("n0")], "n0", tasks=[cached_template()]), created()
    )
    engine.begin()
    return engine, next(m for m in engine.sent if isinstance(m, d.LookUpCache))


def _populated(o0: int = 5) -> Engine:
    engine, look_up = _engine()
    engine.do(miss(look_up, "ACQUIRED"))
    engine.succeed("n0", o0)
    return engine


def _catalog(read_models: ReadModels, **settings: Any) -> Catalog:
    return Catalog(read_models.pool, read_models.log, CacheSettings(**settings))


async def test_kept_outputs_are_found_with_their_source(
    read_models: ReadModels,
) -> None:
    """The node shows that it populated the cache; a rebuild gives the same."""
    await read_models.given(STREAM, *_populated().events)
    found = await _catalog(read_models).find(KEY)

    assert found is not None
    assert found.outputs == Values(inline=values(o0=5))
    assert found.source.execution.name == "main-1"
    assert (found.source.node_id, found.source.attempt) == ("n0", 0)
    (node,) = [
        r for r in await read_models.rows("node_executions") if r["node_id"] == "n0"
    ]
    assert node["cache_status"] == "POPULATED"
    once = await read_models.dump()
    await rebuild(read_models.log, read_models.pool)
    assert once == await read_models.dump()
    assert await count_cached(read_models.pool, "p", "d", "t") == 1


async def test_a_hit_shows(read_models: ReadModels) -> None:
    """A node that was hit is SUCCEEDED, with its key, its source and no attempt."""
    engine, look_up = _engine()
    engine.do(hit(look_up))
    await read_models.given(STREAM, *engine.events)

    (node,) = [
        r for r in await read_models.rows("node_executions") if r["node_id"] == "n0"
    ]
    assert (node["phase"], node["cache_status"]) == ("SUCCEEDED", "HIT")
    assert node["catalog_key"] is not None
    assert node["catalog_source"] is not None
    assert await read_models.rows("task_executions") == []
    for status, count in (("CACHE_HIT", 1), ("CACHE_MISS", 0)):
        page = Page(limit=9, filters=f"eq(cache_status,{status})")
        found: Any = await list_nodes(read_models.pool, created().execution, "", page)
        assert len(found) == count


@pytest.mark.parametrize("apart_us", [1000, 0])
@pytest.mark.parametrize("newest_first", [True, False])
async def test_the_newest_outputs_win_in_any_order(
    read_models: ReadModels, apart_us: int, newest_first: bool
) -> None:
    """Events of several streams come in any order: their own times and ids decide."""
    older, newer = _populated(1), _populated(2)
    newer.events[:] = [
        replace(event, occurred_at_us=event.occurred_at_us + apart_us)
        for event in newer.events
    ]
    given = [("execution/p/d/a", older), ("execution/p/d/b", newer)]
    for stream, engine in given[::-1] if newest_first else given:
        await read_models.given(stream, *engine.events)

    found = await _catalog(read_models).find(KEY)
    assert found is not None
    assert found.outputs == Values(inline=values(o0=2))


def _history(name: str, populated: list[tuple[str, int]], *, deleted: bool) -> Any:
    """Return what a stream does: it populates tags at times, and may be deleted."""
    ref = ExecutionRef(project="p", domain="d", name=name)
    events: list[Any] = [replace(created(), execution=ref)]
    for number, (tag, at) in enumerate(populated):
        key = replace(KEY, tag=tag)
        task = replace(example(ne.CachePopulated).task, name=name)
        outputs = Values(inline=f"{name}/{number}".encode())
        populate = ne.CachePopulated(
            occurred_at_us=NOON_US + at,
            node_id="n0",
            attempt=number,
            key=key,
            task=task,
            outputs=outputs,
        )
        events.append(populate)
    if deleted:
        end = NOON_US + 10**6
        last = e.ExecutionDeleted(occurred_at_us=end, principal="", phase="SUCCEEDED")
        events.append(last)
    return events


_HISTORIES = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(["t1", "t2"]), st.integers(0, 3)), max_size=3
        ),
        st.booleans(),
    ),
    min_size=2,
    max_size=3,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(histories=_HISTORIES, data=st.data())
async def test_the_order_of_partitions_does_not_matter(
    read_models: ReadModels, histories: list[Any], data: st.DataObject
) -> None:
    """Streams that populate the same keys, and are deleted, come in any order."""
    given_ = {
        f"execution/p/d/{name}": _history(name, populated, deleted=deleted)
        for name, (populated, deleted) in zip("abc", histories, strict=False)
    }
    turns = [stream for stream, events in given_.items() for _ in events]
    found = []
    for _ in range(2):
        read_models.log = MemoryLog()
        left = {stream: iter(events) for stream, events in given_.items()}
        for stream in data.draw(st.permutations(turns)):
            read_models.log.add(stream, next(left[stream]))
        size = data.draw(st.integers(1, 5))
        await rebuild(_Batches(read_models.log, size), read_models.pool)
        tables = ("catalog", "catalog_deletions")
        found.append([await read_models.rows(table) for table in tables])

    assert found[0] == found[1]


class _Batches:
    """A log whose events come in batches of one size."""

    def __init__(self, log: MemoryLog, size: int) -> None:
        self.log, self.size = log, size

    def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow it."""
        del limit
        return self.log.tail(topics, after, self.size)

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return its end."""
        return await self.log.end_positions(topics)


async def test_older_outputs_do_not_follow_deleted_ones(
    read_models: ReadModels,
) -> None:
    """Live they were replaced before the deletion; a replay may find them after it."""
    newer = _history("a", [("t", 2)], deleted=True)
    older = _history("b", [("t", 1)], deleted=False)
    for order in ((("b", older), ("a", newer)), (("a", newer), ("b", older))):
        read_models.log = MemoryLog()
        for name, events in order:
            read_models.log.add(f"execution/p/d/{name}", *events)
        await rebuild(_Batches(read_models.log, 1), read_models.pool)
        assert await read_models.rows("catalog") == []
    newest = _history("c", [("t", 3)], deleted=False)
    await read_models.given("execution/p/d/c", *newest)
    assert await read_models.rows("catalog_deletions") == []
    (row,) = await read_models.rows("catalog")
    assert row["source_id"] == "execution/p/d/c/n0/0"


async def test_old_outputs_do_not_count(read_models: ReadModels) -> None:
    """Where an age is set, what is older is a miss."""
    await read_models.given(STREAM, *_populated().events)

    assert await _catalog(read_models, max_age_s=1).find(KEY) is None
    assert await _catalog(read_models, max_age_s=10**9).find(KEY) is not None


async def test_outputs_of_long_keys_are_found(read_models: ReadModels) -> None:
    """A cache version of any length, and names that are as long as they may be."""
    name, version = secrets.token_hex(255), secrets.token_hex(5_000)
    key = CatalogKey(
        project=name, domain=name, name=dataset_name(name), version=version, tag=version
    )
    events = _history("a", [("t", 1)], deleted=False)
    await read_models.given(STREAM, events[0], replace(events[1], key=key))
    catalog = _catalog(read_models)

    assert await catalog.find(key) is not None
    assert await catalog.find(replace(key, version=version + "x")) is None
    assert await count_cached(read_models.pool, name, name, name) == 1
    assert await catalog.reserve(key, "one")
    assert not await catalog.reserve(key, "two")
    await catalog.release(key, "one")
    assert await catalog.reserve(key, "two")


async def test_evicted_outputs_do_not_count(
    read_models: ReadModels, pool: Pool
) -> None:
    """An eviction holds for what was kept until then, and for a rebuild too."""
    engine = _populated()
    await read_models.given(STREAM, *engine.events)

    def evict(at_us: int) -> None:
        event = CacheEvicted(occurred_at_us=at_us, project="p", domain="d", task="t")
        with psycopg.connect(pool.conninfo) as conn:  # type: ignore[arg-type]
            registry.apply_registry(conn.cursor(), event)

    evict(NOON_US - 1)
    assert await _catalog(read_models).find(KEY) is not None
    evict(engine.clock_us)
    assert await _catalog(read_models).find(KEY) is None
    assert await count_cached(pool, "p", "d", "t") == 0
    await rebuild(read_models.log, read_models.pool)
    assert await _catalog(read_models).find(KEY) is None


async def test_reservations_expire(read_models: ReadModels) -> None:
    """One owner at a time; without an extension a reservation expires."""
    catalog = Catalog(read_models.pool, read_models.log, SHORT)
    assert await catalog.reserve(KEY, "one")
    assert await catalog.reserve(KEY, "one")
    assert not await catalog.reserve(KEY, "two")
    for _ in range(4):
        await asyncio.sleep(0.05)
        await catalog.extend(["one"])
    assert not await catalog.reserve(KEY, "two")
    await asyncio.sleep(0.15)
    assert await catalog.reserve(KEY, "two")
    await catalog.release(KEY, "one")
    assert not await catalog.reserve(KEY, "one")
    await catalog.release(KEY, "two")
    assert await catalog.reserve(KEY, "one")


async def test_keeping_outputs_ends_the_reservation(read_models: ReadModels) -> None:
    """A waiting look-up finds the outputs as soon as it could reserve."""
    catalog = _catalog(read_models)
    assert await catalog.reserve(KEY, owner_of(STREAM, "n0"))
    assert not await catalog.reserve(KEY, "another")
    await read_models.given(STREAM, *_populated().events)

    assert await catalog.reserve(KEY, "another")


async def test_a_failed_owner_lets_go(read_models: ReadModels) -> None:
    """A waiting look-up needn't wait for the reservation to expire."""
    catalog = _catalog(read_models)
    assert await catalog.reserve(KEY, owner_of(STREAM, "n0"))
    engine, look_up = _engine()
    engine.do(miss(look_up, "ACQUIRED"))
    engine.fail("n0")
    await read_models.given(STREAM, *engine.events)

    assert await catalog.reserve(KEY, "another")


async def test_it_knows_whether_the_read_models_lag(read_models: ReadModels) -> None:
    """The wait for them is bounded."""
    catalog = Catalog(read_models.pool, read_models.log, SHORT)
    engine = _populated()
    read_models.log.add(STREAM, *engine.events)
    assert not await catalog.caught_up()
    await read_models.follow()
    assert await catalog.caught_up()


async def test_a_catalog_that_is_away_is_transient() -> None:
    """Nothing but Transient is raised while Postgres can't be reached."""
    from psycopg_pool import AsyncConnectionPool

    pool: Any = AsyncConnectionPool(
        "postgresql://nobody@127.0.0.1:1/none", open=False, timeout=0.2, min_size=1
    )
    await pool.open(wait=False)
    try:
        with pytest.raises(TransientError, match="Cannot reach Postgres"):
            await Catalog(pool, ReadModels(pool).log, SHORT).find(KEY)
    finally:
        await pool.close()

"""Queries: lists are filtered, sorted and paged as Flyte's are."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from flyteidl.admin import common_pb2, execution_pb2
from msgspec.structs import replace

from infra.eventlog.contract import StreamExtent
from projections.queries import executions, streams
from projections.queries.page import Page
from projections.queries.stream_extents import StreamExtentQuery
from projections.rows import ExecutionRow
from projections.views.apply import STREAM_PROJECTIONS
from schemas.ids import EntityRef, ExecutionRef, ParentNode, execution_stream
from schemas.messages import execution_events as e
from schemas.messages.rejections import Rejected
from schemas.values import Failure
from tests.support.engine import NOON_US, created
from tests.support.harness.read_models import ReadModels


def an_execution(name: str, at_s: int = 0, **changes: Any) -> e.ExecutionCreated:
    """Return the first event of an execution of this name."""
    execution = ExecutionRef(project="p", domain="d", name=name)
    at_us = NOON_US + at_s * 1_000_000
    return replace(created(), execution=execution, occurred_at_us=at_us, **changes)


async def create(read_models: ReadModels, *events: e.ExecutionCreated) -> None:
    """Let executions be created, each with a stream of its own."""
    for event in events:
        await read_models.given(execution_stream(event.execution), event)


async def names(read_models: ReadModels, **page: Any) -> list[str]:
    """Return the names of the executions on a page."""
    wanted = Page(**{"limit": 10, **page})
    rows = await executions.list_executions(read_models.pool, "p", "d", wanted)
    assert not isinstance(rows, Rejected), rows
    assert all(isinstance(row, ExecutionRow) for row in rows)
    return [row.execution_name for row in rows]


def labelled(**labels: str) -> bytes:
    """Return a spec with labels and the tag `nightly`."""
    spec = execution_pb2.ExecutionSpec(
        labels=common_pb2.Labels(values=labels), tags=["nightly"]
    )
    return bytes(spec.SerializeToString())


async def test_the_newest_comes_first(read_models: ReadModels) -> None:
    """Executions are listed from the newest on unless sorted."""
    await create(read_models, an_execution("a", 1), an_execution("b", 2))

    assert ["b", "a"] == await names(read_models)
    assert ["a", "b"] == await names(read_models, sort_key="created_at", ascending=True)


async def test_pages(read_models: ReadModels) -> None:
    """Limit and offset cut a page out of the whole."""
    await create(read_models, *(an_execution(f"e{i}", i) for i in range(5)))

    assert ["e2", "e1"] == await names(read_models, limit=2, offset=2)


async def test_phases_and_times_filter(read_models: ReadModels) -> None:
    """Phases are compared by name, times as RFC 3339."""
    await create(read_models, an_execution("a", 0), an_execution("b", 100))
    noon = "2023-11-14T22:14:00Z"

    assert ["b"] == await names(read_models, filters=f"gte(created_at,{noon})")
    assert ["b", "a"] == await names(
        read_models, filters="value_in(phase,QUEUED;RUNNING)"
    )
    assert [] == await names(read_models, filters="eq(phase,FAILED)+gt(duration,1s)")


async def test_labels_and_tags_filter(read_models: ReadModels) -> None:
    """Labels are tags with a value; both conditions hold for one tag."""
    await create(
        read_models,
        an_execution("a", 1, spec=labelled(**{"eager-exec": "x", "team": "y"})),
        an_execution("b", 2, spec=labelled(**{"eager-exec": "y"})),
    )
    eager = "value_in(execution_tag.key,eager-exec)+value_in(execution_tag.value,y)"

    assert ["b"] == await names(read_models, filters=eager)
    assert ["b", "a"] == await names(read_models, filters="eq(admin_tag.name,nightly)")


async def test_single_tasks_have_tags_too(read_models: ReadModels) -> None:
    """Flytekit finds by them what an eager task has started: mostly single tasks."""
    task = EntityRef(kind="TASK", project="p", domain="d", name="t", version="v")
    spec = labelled(**{"eager-exec": "main"})
    await create(read_models, an_execution("a", task=task, spec=spec))

    assert ["a"] == await names(read_models, filters="eq(launch_entity,task)")
    of_main = "eq(execution_tag.key,eager-exec)+eq(execution_tag.value,main)"
    assert ["a"] == await names(read_models, filters=of_main)
    main = ExecutionRef(project="p", domain="d", name="main")
    found = await executions.open_and_tagged(
        read_models.pool, main, "eager-exec", "main"
    )
    assert ["a"] == [ref.name for ref in found]
    assert [] == await executions.open_and_tagged(
        read_models.pool, main, "eager-exec", "a"
    )


async def test_bad_filters_are_refused(read_models: ReadModels) -> None:
    """A bad filter or sort is a refusal, never an error of the database."""
    for page in (Page(limit=1, filters="eq(name,x)"), Page(limit=1, sort_key="name")):
        assert isinstance(
            await executions.list_executions(read_models.pool, "p", "d", page), Rejected
        )


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "created_at",
        "node_execution_updated_at",
        "phase",
        "duration",
        "parent_id",
        "parent_node_execution_id",
        "parent_task_execution_id",
    ],
)
async def test_nodes_sort(read_models: ReadModels, name: str) -> None:
    """Every sort key of nodes that Flyte knows is taken by the database."""
    page = Page(limit=5, sort_key=name, filters="eq(execution.execution_name,x)")
    execution = ExecutionRef(project="p", domain="d", name="x")

    assert [] == await executions.list_nodes(read_models.pool, execution, "", page)


async def test_executions_are_found_by_what_they_came_from(
    read_models: ReadModels,
) -> None:
    """A child by its parent's execution and node, a relaunched one by the original."""
    at = execution_pb2.ExecutionSpec()
    at.metadata.reference_execution.name = "original"
    parent = ParentNode(stream="execution/p/d/parent", node_id="n3", attempt=0)
    await create(
        read_models,
        an_execution("a", spec=at.SerializeToString()),
        an_execution("b", parent=parent),
        an_execution("c"),
    )

    assert ["a"] == await names(read_models, filters="eq(source_execution_id,original)")
    assert ["b"] == await names(read_models, filters="eq(source_execution_id,parent)")
    assert ["b"] == await names(read_models, filters="eq(parent_node_execution_id,n3)")


async def test_what_is_under_way_is_counted_by_launch_plan(
    read_models: ReadModels,
) -> None:
    """By its whole name, in whatever version; what ended doesn't count."""
    plan = EntityRef(
        kind="LAUNCH_PLAN", project="p", domain="d", name="plan", version="1"
    )
    newer, other = replace(plan, version="2"), replace(plan, project="q")
    await create(
        read_models,
        an_execution("a", launch_plan=plan),
        an_execution("b", launch_plan=newer),
        an_execution("c", launch_plan=newer),
        an_execution("d", launch_plan=other),
    )
    ended = e.ExecutionFailed(
        occurred_at_us=NOON_US,
        failure=Failure(code="Error", message="no", kind="USER"),
    )
    await read_models.given("execution/p/d/c", ended)

    assert await executions.count_active(read_models.pool, "p", "d", "plan") == 2


async def test_attempts_filter(read_models: ReadModels) -> None:
    """Filters of attempts look into their node, task and execution."""
    filters = (
        "eq(task.type,x)+eq(node_execution.phase,RUNNING)+eq(execution.phase,RUNNING)"
        "+eq(project,p)+eq(retry_attempt,0)+eq(execution_domain,d)"
    )
    execution = ExecutionRef(project="p", domain="d", name="x")
    page = Page(limit=5, filters=filters)

    assert [] == await executions.list_task_executions(
        read_models.pool, execution, "n", page
    )


async def test_executions_are_found_by_name(read_models: ReadModels) -> None:
    """A bare name finds executions wherever they are; open ones are known."""
    await create(read_models, an_execution("a"), an_execution("b"))

    found = await executions.find_executions(read_models.pool, "a")

    assert ["p/d/a"] == [execution.text() for execution in found]
    expected = ["execution/p/d/a", "execution/p/d/b"]
    assert expected == await streams.open_streams(read_models.pool, STREAM_PROJECTIONS)
    assert {"QUEUED": 2} == await executions.execution_counts(read_models.pool)


async def test_where_an_execution_is_on_the_log_is_known(
    read_models: ReadModels,
) -> None:
    """When it began, and once it has ended the sequence of its last event."""
    stream, find = "execution/p/d/a", StreamExtentQuery(read_models.pool).find
    assert await find(stream) is None
    await create(read_models, an_execution("a"))
    assert await find(stream) == StreamExtent(NOON_US, None)

    failure = Failure(code="Boom", message="it broke", kind="USER")
    ended = e.ExecutionFailed(occurred_at_us=NOON_US + 1, failure=failure)
    await read_models.given(stream, ended)
    assert await find(stream) == StreamExtent(NOON_US, 2)

    noted = "INSERT INTO passed_over (stream, sequence, error) VALUES (%s, 3, '')"
    async with read_models.pool.connection() as conn:
        await conn.execute(noted, (stream,))
    assert await find(stream) == StreamExtent(NOON_US, None)  # more may follow


async def test_what_is_unknown_is_none(read_models: ReadModels) -> None:
    """Rows that don't exist are None."""
    nobody = ExecutionRef(project="p", domain="d", name="nobody")

    assert await executions.get_execution(read_models.pool, nobody) is None
    assert await executions.get_node(read_models.pool, nobody, "n") is None
    assert await executions.get_task_execution(read_models.pool, nobody, "n", 0) is None
    assert await executions.get_outcomes(read_models.pool, ["c"]) == []


async def test_a_newer_version_may_add_a_column_meanwhile(
    read_models: ReadModels,
) -> None:
    """Plans that Postgres cached for open connections are made again."""
    await create(read_models, an_execution("a"))
    ref = ExecutionRef(project="p", domain="d", name="a")
    for _ in range(10):
        assert await executions.get_execution(read_models.pool, ref) is not None
    other = await psycopg.AsyncConnection.connect(read_models.pool.conninfo)
    async with other:
        await other.execute("ALTER TABLE executions ADD COLUMN later text")

    found = await asyncio.gather(
        *(executions.get_execution(read_models.pool, ref) for _ in range(10))
    )
    assert [row.execution_name for row in found if row] == ["a"] * 10

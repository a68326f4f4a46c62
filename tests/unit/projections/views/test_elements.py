"""The read models of an array's elements."""

from __future__ import annotations

from msgspec.structs import replace

from domain.graph import Definition
from projections.queries import executions
from projections.queries.page import Page
from schemas.ids import ExecutionRef
from schemas.messages import dispatches as d
from schemas.values import Values
from tests.support.cache_lookups import hit, miss
from tests.support.engine import STREAM, Engine, created, failure, success
from tests.support.graphs import (
    array_node,
    cached_template,
    definition,
    lists,
    task_template,
)
from tests.support.harness.read_models import ReadModels

MAIN = ExecutionRef(project="p", domain="d", name="main-1")


def begun(graph: Definition, items: list[int]) -> Engine:
    """Return an execution whose array has these items."""
    engine = Engine(graph, replace(created(), inputs=Values(inline=lists(x=items))))
    engine.begin()
    return engine


def looked_up(engine: Engine) -> list[d.LookUpCache]:
    """Return every question to the catalog."""
    return [m for m in engine.sent if isinstance(m, d.LookUpCache)]


async def test_each_element_has_a_row_in_its_order(read_models: ReadModels) -> None:
    """Phases, attempts and what the catalog said are each element's own."""
    graph = definition(
        [array_node("a", "", parallelism=3)],
        "a",
        tasks=[cached_template("m", retries=1)],
    )
    engine = begun(graph, [5, 6, 7, 8])
    look_ups = looked_up(engine)
    engine.do(hit(look_ups[0]))
    engine.do(miss(look_ups[1]))
    engine.do(miss(look_ups[2]))
    first, second = engine.runs()
    engine.do(failure(first, recoverable=True))
    engine.do(success(second))
    await read_models.given(STREAM, *engine.events)
    found = await executions.list_elements(read_models.pool, MAIN, "a")

    assert [
        (e.element, e.phase, e.cache_status, e.task_phase, e.retry_attempt)
        for e in found
    ] == [
        (0, "SUCCEEDED", "HIT", None, None),
        (1, "RUNNING", "MISS", "QUEUED", 1),
        (2, "SUCCEEDED", "POPULATED", "SUCCEEDED", 0),
    ]


async def versions(read_models: ReadModels) -> list[int]:
    """Return the versions of the array's phase that filters find."""
    found = []
    for version in range(10):
        page = Page(limit=9, filters=f"eq(phase_version,{version})")
        rows = await executions.list_task_executions(read_models.pool, MAIN, "a", page)
        assert isinstance(rows, list)
        found += [version] * len(rows)
    return found


async def test_the_phase_of_an_array_has_versions(read_models: ReadModels) -> None:
    """A new one for each element that begins, is tried again, or ends."""
    tasks = [task_template("m", retries=1)]
    engine = begun(definition([array_node("a", "")], "a", tasks=tasks), [5, 6])
    await read_models.given(STREAM, *engine.events)
    begun_both = await versions(read_models)
    again = engine.do(failure(engine.run_of("a-0-n0"), recoverable=True))
    await read_models.given(STREAM, *again)
    tried_again = await versions(read_models)
    await read_models.given(STREAM, *engine.succeed("a-0-n0"))
    await read_models.given(STREAM, *engine.succeed("a-0-n1"))

    assert (begun_both, tried_again, await versions(read_models)) == ([2], [3], [5])


async def test_elements_are_not_among_the_nodes(read_models: ReadModels) -> None:
    """Lists of nodes and of children show the array alone."""
    graph = definition([array_node("a", "")], "a", tasks=[cached_template("m")])
    engine = begun(graph, [5, 6])
    for look_up in looked_up(engine):
        engine.do(hit(look_up))
    await read_models.given(STREAM, *engine.events)
    page = Page(limit=9)
    all_nodes = await executions.list_nodes(read_models.pool, MAIN, "", page)
    children = await executions.list_nodes(read_models.pool, MAIN, "a", page)

    assert isinstance(all_nodes, list)
    assert "a" in {node.node_id for node in all_nodes}
    assert not {node.node_id for node in all_nodes} & {"a-0-n0", "a-0-n1"}
    assert children == []

"""Dynamic nodes in the read models, across attempts, in any batches."""

from __future__ import annotations

from typing import Any

import pytest

from projections.projector.projector import rebuild
from projections.queries import executions
from projections.queries.page import Page
from schemas.ids import ExecutionRef
from schemas.messages import commands as c
from tests.support.engine import STREAM, Engine, created, expansion
from tests.support.graphs import definition, given_node, task_node, task_template
from tests.support.harness.read_models import ReadModels

MAIN = ExecutionRef(project="p", domain="d", name="main-1")


def made_twice() -> Engine:
    """Return a run whose first inside took too long; the second one runs."""
    template = task_template(retries=1)
    template.metadata.timeout.FromSeconds(10)
    graph = definition([task_node("n0")], "n0", tasks=[template])
    inside = definition([given_node("dn0")], "dn0")
    engine = Engine(graph, created())
    engine.insides = {"first": inside, "second": inside}
    engine.begin()
    engine.do(expansion(engine.run_of("n0"), "first"))
    node = engine.state.nodes["n0"]
    engine.clock_us = node.limits.deadline_us
    engine.do(c.TimeReached(timer_id=f"n0/0/{node.limits.deadline_us}"))
    engine.do(expansion(engine.run_of("n0"), "second"))
    return engine


async def test_the_phase_shown_never_goes_back(read_models: ReadModels) -> None:
    """A node that is tried again stays DYNAMIC_RUNNING, with what was made last."""
    phases: list[str] = []
    for event in made_twice().events:
        read_models.log.add(STREAM, event)
        await read_models.follow()
        node = await executions.get_node(read_models.pool, MAIN, "n0")
        phases += [node.phase] if node is not None else []
    row: Any = await executions.get_node(read_models.pool, MAIN, "n0")

    shown = ["QUEUED", "RUNNING", "DYNAMIC_RUNNING"]
    assert list(dict.fromkeys(phases)) == shown
    assert phases == sorted(phases, key=shown.index)
    assert row.dynamic_workflow.inside.uri == "second"
    assert row.attempt == 1


@pytest.mark.parametrize("batch_max", [1, 2, 3, 5])
async def test_batches_do_not_matter(read_models: ReadModels, batch_max: int) -> None:
    """Rows are the same whether events come one by one or all at once."""
    read_models.log.add(STREAM, *made_twice().events)
    await read_models.follow(batch_max)
    slowly = await read_models.dump()
    await rebuild(read_models.log, read_models.pool)

    assert slowly == await read_models.dump()


async def test_what_each_attempt_made_is_found(read_models: ReadModels) -> None:
    """By attempt; or by a filter on parents, which looks below the top."""
    read_models.log.add(STREAM, *made_twice().events)
    await read_models.follow()

    async def listed(filters: str) -> set[tuple[str, str]]:
        page = Page(limit=9, filters=filters)
        rows: Any = await executions.list_nodes(read_models.pool, MAIN, "", page)
        return {(row.spec_node_id, row.retry_group) for row in rows}

    for attempt in (0, 1):
        page = Page(limit=9)
        made: Any = await executions.list_dynamic_nodes(
            read_models.pool, MAIN, "n0", attempt, page
        )
        expected = {("start-node", str(attempt)), ("dn0", str(attempt))}
        assert expected <= {(row.spec_node_id, row.retry_group) for row in made}
        assert expected == await listed(f"eq(parent_task_execution_id,n0/{attempt})")
    assert {spec for spec, _ in await listed("eq(parent_node_execution_id,n0)")} == {
        "start-node",
        "dn0",
    }
    assert {"start-node", "n0"} == {spec for spec, _ in await listed("")}

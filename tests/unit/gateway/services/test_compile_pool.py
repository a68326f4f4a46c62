"""Compiling off the loop: small graphs in a thread, large ones in a process."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import identifier_pb2, workflow_pb2

from domain.graph import entity_ref
from gateway.services import compile_pool
from gateway.services.compile_pool import CompilePool, Sources
from gateway.services.errors import RpcError
from tests.support.graphs import INT, identifier, task_node, task_template


def a_chain(length: int) -> Any:
    """Return a workflow of tasks in a row."""
    template = workflow_pb2.WorkflowTemplate(
        id=identifier(identifier_pb2.WORKFLOW, "chain")
    )
    template.interface.inputs.variables["x"].type.CopyFrom(INT)
    template.nodes.append(task_node("n0"))
    template.nodes.extend(
        task_node(f"n{number}", f"n{number - 1}") for number in range(1, length)
    )
    return template


async def compiled(template: Any) -> Any:
    """Compile a workflow of the task t."""
    task = task_template()
    sources = Sources(
        template=template,
        sub_workflows=[],
        tasks={entity_ref(task.id): task},
        launch_plans={},
    )
    return await CompilePool().compile(sources)


async def test_thread_and_process_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a graph is compiled makes no difference to what comes out."""
    template = a_chain(5)
    here = await compiled(template)
    monkeypatch.setattr(compile_pool, "NODES_IN_THREAD_MAX", 4)
    there = await compiled(template)
    assert here == there
    assert 7 == len(there.closure.primary.template.nodes)


async def test_errors_come_back_from_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors in a graph are reported, wherever it was compiled."""
    template = a_chain(3)
    template.nodes[0].task_node.reference_id.name = "unknown"
    for limit in (1_000, 2):
        monkeypatch.setattr(compile_pool, "NODES_IN_THREAD_MAX", limit)
        with pytest.raises(RpcError, match=r"TaskReferenceNotFound.*n0"):
            await compiled(template)


async def test_a_compilation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that takes too long is refused, and its process ends."""
    monkeypatch.setattr(compile_pool, "NODES_IN_THREAD_MAX", 2)
    monkeypatch.setattr(compile_pool, "COMPILE_S_MAX", 0.01)
    with pytest.raises(RpcError, match="it takes longer"):
        await compiled(a_chain(3))

"""Compiling dynamic workflows: what they may refer to, which errors are reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import workflow_pb2
from flyteidl.core import dynamic_job_pb2

from infra.blobs.files import FileBlobs
from infra.postgres.pool import open_pool
from schemas.ids import EntityRef, ExecutionRef
from schemas.messages import dispatches as d
from schemas.values import NO_VALUES
from tests.support.components.postgres import migrated_database
from tests.support.graphs import given_node, promise, task_node, task_template
from workers.plugins.plugin import Expanded, Failed, Result, Succeeded, Work
from workers.runner.dynamic_compiler import BUILD_FAILED, DynamicCompiler

pytestmark = pytest.mark.integration


def spec_of(*nodes: Any, output: str, **more: Any) -> Any:
    """Return a spec whose output is a node's, with its task."""
    return dynamic_job_pb2.DynamicJobSpec(
        nodes=nodes,
        outputs=[promise("o0", output)],
        tasks=[task_template("t")],
        **more,
    )


async def expanded(folder: Path, spec: bytes) -> Result:
    """Return the result of compiling a spec."""
    blobs = FileBlobs(folder)
    uri = blobs.uri("out/futures.pb")
    await blobs.put(uri, spec)
    dispatch = d.RunTask(
        stream="execution/p/d/e",
        node_id="n0",
        attempt=0,
        dispatch_no=0,
        execution=ExecutionRef(project="p", domain="d", name="e"),
        task=EntityRef(kind="TASK", project="p", domain="d", name="t", version="v"),
        workflow=EntityRef(
            kind="WORKFLOW", project="p", domain="d", name="w", version="v"
        ),
        template=task_template("t").SerializeToString(),
        inputs=NO_VALUES,
        generated_name="e-n0-0",
        input_path="in",
        output_path="out",
        raw_output_prefix="raw",
        interruptible=False,
    )
    work = Work(
        dispatch=dispatch,
        input_uri="in",
        output_prefix="out",
        raw_output_prefix="raw",
        checkpoint="c",
    )
    pool = await open_pool(migrated_database())
    try:
        return await DynamicCompiler(pool, blobs, 1_000_000).compile_spec(work, uri)
    finally:
        await pool.close()


async def test_a_spec_is_compiled_and_stored(tmp_path: Path) -> None:
    """The closure is beside the spec; its outputs are those that the task declares."""
    spec = spec_of(given_node("dn0"), task_node("dn1", "dn0"), output="dn1")
    found = await expanded(tmp_path, spec.SerializeToString())

    assert isinstance(found, Expanded), found
    assert found.workflow.name == "dynamic_n0"
    data = await FileBlobs(tmp_path).get(found.closure.uri)
    closure = workflow_pb2.WorkflowClosure.FromString(data).compiled_workflow
    assert list(closure.primary.template.interface.outputs.variables) == ["o0"]
    assert [task.template.id.name for task in closure.tasks] == ["t"]


CYCLE = spec_of(
    given_node("s"), task_node("a", "b", after=["s"]), task_node("b", "a"), output="b"
)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (CYCLE, "CycleDetected"),
        (spec_of(task_node("a", task="gone"), output="a"), "TaskReferenceNotFound"),
        (spec_of(output="nowhere"), "NodeReferenceNotFound"),
    ],
)
async def test_what_cant_be_compiled_is_a_permanent_failure(
    tmp_path: Path, spec: Any, word: str
) -> None:
    """The user gets all errors; a retry wouldn't help."""
    found = await expanded(tmp_path, spec.SerializeToString())

    assert isinstance(found, Failed)
    assert not found.recoverable
    assert (found.failure.code, found.failure.kind) == (BUILD_FAILED, "USER")
    assert word in found.failure.message


async def test_an_empty_spec(tmp_path: Path) -> None:
    """Without nodes and outputs there is nothing to run."""
    found = await expanded(tmp_path, b"")
    assert found == Succeeded(outputs=NO_VALUES)


async def test_a_damaged_spec_is_a_system_failure(tmp_path: Path) -> None:
    """Another attempt may write it completely."""
    found = await expanded(tmp_path, b"\xff\xff")

    assert isinstance(found, Failed)
    assert found.recoverable

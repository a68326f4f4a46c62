"""Nodes over a real channel: listed, with what a task returned, and their times."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, identifier_pb2
from msgspec.structs import replace

from domain.graph import definition_of
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages import commands as c
from schemas.values import Blob
from tests.integration.conftest import refused
from tests.integration.test_archiving import forget_positions
from tests.support.engine import Engine, created, expansion, start
from tests.support.graphs import (
    given_node,
    launch_plan_node,
    task_node,
    task_template,
    workflow,
)
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.harness.read_models import ReadModels

pytestmark = pytest.mark.integration

RUN = ExecutionRef(project="p", domain="d", name="generates")
RUN_ID = identifier_pb2.WorkflowExecutionIdentifier(
    project="p", domain="d", name="generates"
)


def _node_id(node_id: str) -> Any:
    return identifier_pb2.NodeExecutionIdentifier(node_id=node_id, execution_id=RUN_ID)


def _closure(*nodes: Any, output: str, name: str) -> Any:
    closure = compiler_pb2.CompiledWorkflowClosure(
        primary=workflow(name, nodes, output)
    )
    closure.tasks.add().template.CopyFrom(task_template())
    return closure


def _stored(gateway: RunningGateway, closure: Any) -> Blob:
    """Store a closure as the registry and runners do."""
    data = workflow_pb2.WorkflowClosure(compiled_workflow=closure)
    blobs = gateway.services.blobs
    uri = blobs.uri(f"closures/{closure.primary.template.id.name}")
    blob: Blob = gateway.run(blobs.put(uri, data.SerializeToString()))
    return blob


@pytest.fixture(scope="module")
def generated(gateway: RunningGateway) -> Any:
    """Run n0, whose task returns a workflow of dn0, beside a child n1; return it."""
    inner = _closure(given_node("dn0"), output="dn0", name="inner")
    outer = _closure(task_node("n0"), launch_plan_node("n1"), output="n0", name="outer")
    first = replace(created(), execution=RUN, definition=_stored(gateway, outer))
    engine = Engine(definition_of(outer), first)
    engine.begin()
    engine.do(start(engine.run_of("n0")))
    stored = _stored(gateway, inner)
    engine.insides[stored.uri] = definition_of(inner)
    report = expansion(engine.run_of("n0"), stored.uri)
    engine.do(replace(report, inside=stored, spec_uri="/b/futures.pb"))
    engine.do(start(engine.run_of("n0-0-dn0")))
    engine.succeed("n0-0-dn0")
    for phase in ("QUEUED", "SUCCEEDED"):
        engine.do(
            c.ReportChild(node_id="n1", attempt=0, child="p/d/child", phase=phase)
        )
    gateway.run(forget_positions(gateway))
    read_models = ReadModels(gateway.services.pool)
    gateway.run(read_models.given(execution_stream(RUN), *engine.events))
    gateway.run(forget_positions(gateway))
    return inner


def _ids(found: Any) -> list[str]:
    return [node.id.node_id for node in found.node_executions]


@pytest.mark.usefixtures("generated")
def test_nodes_are_listed_by_parent(admin: Any) -> None:
    """At the top those of the workflow; below a node, what runs inside it."""
    request = node_execution_pb2.NodeExecutionListRequest(
        workflow_execution_id=RUN_ID, limit=10
    )
    assert _ids(admin.ListNodeExecutions(request)) == [
        "start-node", "n0", "n1", "end-node",
    ]  # fmt: skip
    request.unique_parent_id = "n0"
    inside = ["n0-0-start-node", "n0-0-dn0", "n0-0-end-node"]
    assert _ids(admin.ListNodeExecutions(request)) == inside
    request.filters = "eq(nothing,1)"
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        admin.ListNodeExecutions(request)


@pytest.mark.usefixtures("generated")
def test_the_nodes_that_an_attempt_generated_are_listed(admin: Any) -> None:
    """By the attempt's id; an attempt that generated nothing has none."""
    request = node_execution_pb2.NodeExecutionForTaskListRequest(limit=10)
    attempt = request.task_execution_id
    attempt.node_execution_id.CopyFrom(_node_id("n0"))
    found = admin.ListNodeExecutionsForTask(request)
    assert _ids(found) == ["n0-0-start-node", "n0-0-dn0", "n0-0-end-node"]
    assert found.node_executions[1].metadata.spec_node_id == "dn0"

    attempt.node_execution_id.CopyFrom(_node_id("n0-0-dn0"))
    assert not admin.ListNodeExecutionsForTask(request).node_executions
    attempt.retry_attempt = 7
    with refused(grpc.StatusCode.NOT_FOUND):
        admin.ListNodeExecutionsForTask(request)


def test_a_generated_workflow_is_returned(admin: Any, generated: Any) -> None:
    """By itself, and with the data of its node (ref §5.5)."""
    request = node_execution_pb2.GetDynamicNodeWorkflowRequest(id=_node_id("n0"))
    assert admin.GetDynamicNodeWorkflow(request).compiled_workflow == generated
    data = admin.GetNodeExecutionData(
        node_execution_pb2.NodeExecutionGetDataRequest(id=_node_id("n0"))
    ).dynamic_workflow
    assert data.compiled_workflow == generated
    assert data.dynamic_job_spec_uri == "/b/futures.pb"


@pytest.mark.usefixtures("generated")
def test_a_node_that_generated_nothing_has_no_workflow(admin: Any) -> None:
    """The error names the node."""
    request = node_execution_pb2.GetDynamicNodeWorkflowRequest(id=_node_id("n1"))
    with refused(grpc.StatusCode.NOT_FOUND, "p/d/generates/n1"):
        admin.GetDynamicNodeWorkflow(request)


def _spans(span: Any) -> list[str]:
    """Return the ids of a span's nodes, at every depth."""
    found = [span.node_id.node_id] if span.HasField("node_id") else []
    return [*found, *(node for inner in span.spans for node in _spans(inner))]


@pytest.mark.usefixtures("generated")
@pytest.mark.parametrize(
    ("depth", "expected"),
    [(0, set()), (1, {"n0", "n1"}), (-1, {"n0", "n0-0-dn0", "n1"})],
)
def test_times_are_shown_to_a_depth(admin: Any, depth: int, expected: set[str]) -> None:
    """The execution's alone, those of its nodes, or of all; a lost child has none."""
    request = execution_pb2.WorkflowExecutionGetMetricsRequest(id=RUN_ID, depth=depth)
    span = admin.GetExecutionMetrics(request).span
    found = {node for node in _spans(span) if "-node" not in node}

    assert span.workflow_id == RUN_ID
    assert found == expected

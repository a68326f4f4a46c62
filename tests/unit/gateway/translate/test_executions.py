"""Rows as clients see them: executions, nodes, attempts (ref §1.5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flyteidl.admin import execution_pb2
from flyteidl.core import catalog_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2

from gateway.translate import identifiers
from gateway.translate.executions import (
    blob_uri,
    to_execution,
    to_node_execution,
    to_task_execution,
)
from projections.rows import DynamicWorkflow, ExecutionRow, NodeRow, Reason, TaskRow
from schemas.ids import AttemptRef, CatalogKey, EntityRef, ExecutionRef
from schemas.phases import SHOWN_NODE, ExecutionPhase, TaskPhase
from schemas.values import Blob, Failure, TaskLog, Values

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STREAM = "execution/p/d/run"
FAILURE = Failure(code="E", message="ä" * 90, kind="USER", occurred_at_us=5)


def ref(kind: str) -> EntityRef:
    """Return a reference of this kind."""
    return EntityRef(kind=kind, project="p", domain="d", name="n", version="v")


def an_execution(**changes: Any) -> ExecutionRow:
    """Return an execution that runs."""
    fields: dict[str, Any] = {
        "stream": STREAM, "execution_project": "p", "execution_domain": "d",
        "execution_name": "run", "phase": "RUNNING", "launch_plan": ref("LAUNCH_PLAN"),
        "workflow": ref("WORKFLOW"), "task": None, "mode": 0, "user": "",
        "cluster": "flightlog", "state": 0, "spec": b"",
        "definition": Blob(uri="/b", digest="", size=0), "inputs": Values(inline=b""),
        "user_inputs": Values(inline=b""), "outputs": None, "error": None,
        "abort_cause": None, "abort_principal": None, "parent_stream": None,
        "parent_node_id": None, "parent_attempt": None, "launch_entity": "launch_plan",
        "max_parallelism": 25, "duration": None, "created_at": NOON,
        "updated_at": NOON, "started_at": NOON, "ended_at": None,
    }  # fmt: skip
    return ExecutionRow(**{**fields, **changes})


def a_node(**changes: Any) -> NodeRow:
    """Return a task node that is queued."""
    fields: dict[str, Any] = {
        "stream": STREAM, "node_id": "n0", "number": 1, "phase": "QUEUED",
        "spec_node_id": "n0", "kind": "task", "node_name": "", "parent_id": "",
        "retry_group": "0", "scope": "", "attempt": 0, "is_parent": False,
        "is_dynamic": False, "is_array": False, "cache_status": None,
        "catalog_key": None, "catalog_source": None, "reservation_status": None,
        "duration": None,
        "target": None, "input_path": "", "inputs": None, "outputs": None,
        "deck_uri": "", "error": None, "child": "", "chosen": "", "created_at": NOON,
        "updated_at": NOON, "started_at": None, "ended_at": None,
    }  # fmt: skip
    return NodeRow(**{**fields, **changes})


def an_attempt(**changes: Any) -> TaskRow:
    """Return an attempt that runs."""
    fields: dict[str, Any] = {
        "stream": STREAM, "node_id": "n0", "retry_attempt": 1, "phase": "RUNNING",
        "phase_version": 0, "task": ref("TASK"), "task_type": "python-task",
        "generated_name": "run-n0-1", "interruptible": False, "runner": "r",
        "incarnation": "i", "outputs": None, "deck_uri": "", "logs": (), "reasons": (),
        "duration": None, "error": None, "created_at": NOON, "updated_at": NOON,
        "started_at": NOON, "ended_at": None,
    }  # fmt: skip
    return TaskRow(**{**fields, **changes})


def test_what_is_not_known_yet_is_absent() -> None:
    """Times and results stay unset until there are any (ref §16.11)."""
    running = to_execution(an_execution()).closure
    assert running.HasField("started_at")
    assert not running.HasField("duration")
    assert running.WhichOneof("output_result") is None
    queued = to_node_execution(a_node(), root="/blobs")
    assert not queued.closure.HasField("started_at")
    assert queued.closure.WhichOneof("output_result") is None
    assert "" == queued.input_uri


@pytest.mark.parametrize(
    ("kind", "uri"),
    [("task", "/blobs/in.pb"), ("end", "/blobs/in.pb"), ("start", ""), ("branch", "")],
)
def test_where_inputs_lie(kind: str, uri: str) -> None:
    """Start nodes and branches have none, as in Flyte (ref §4.3)."""
    found = to_node_execution(a_node(kind=kind, input_path="in.pb"), root="/blobs")
    assert found.input_uri == uri


def test_an_execution_that_succeeded() -> None:
    """Ids, system metadata, duration and the outputs' address."""
    spec = execution_pb2.ExecutionSpec()
    spec.inputs.literals["a"].scalar.primitive.integer = 1
    found = to_execution(
        an_execution(
            phase="SUCCEEDED",
            spec=spec.SerializeToString(),
            ended_at=NOON + timedelta(seconds=2.5),
            outputs=Values(uri="/blobs/outputs.pb", size=9),
        ),
        in_list=True,
    )
    assert ("p", "d", "run") == (found.id.project, found.id.domain, found.id.name)
    assert "p-d" == found.spec.metadata.system_metadata.namespace
    assert "/blobs/outputs.pb" == found.closure.outputs.uri
    assert 2.5 == found.closure.duration.ToTimedelta().total_seconds()
    assert not found.spec.inputs.literals
    assert "n" == found.closure.workflow_id.name


def test_a_clock_that_ran_back_gives_no_negative_duration() -> None:
    """A duration is never below zero."""
    found = to_execution(an_execution(ended_at=NOON - timedelta(seconds=1)))
    assert 0 == found.closure.duration.ToTimedelta().total_seconds()


@pytest.mark.parametrize(("in_list", "characters"), [(False, 90), (True, 50)])
def test_lists_cut_errors(*, in_list: bool, characters: int) -> None:
    """Lists show 100 bytes of an error and never half a character."""
    row = an_execution(phase="FAILED", error=FAILURE)
    error = to_execution(row, in_list=in_list).closure.error
    assert "ä" * characters == error.message
    assert ("E", core_execution_pb2.ExecutionError.USER) == (error.code, error.kind)
    assert 5 == error.timestamp.ToMicroseconds()


def test_an_abort_wins_over_an_error() -> None:
    """Who terminated a failing execution sees its cause."""
    row = an_execution(
        phase="ABORTED", error=FAILURE, abort_cause="enough", abort_principal="me"
    )
    closure = to_execution(row).closure
    assert ("enough", "me") == (
        closure.abort_metadata.cause, closure.abort_metadata.principal,
    )  # fmt: skip


def test_an_unheard_of_kind_of_error_is_unknown() -> None:
    """What outsiders report can't make an execution unreadable."""
    found = identifiers.to_error(Failure(code="E", message="m", kind="WEIRD"))
    assert core_execution_pb2.ExecutionError.UNKNOWN == found.kind


def test_every_phase_has_its_flyte_name() -> None:
    """Each phase in a read model is one of flyteidl's."""
    for phase in ExecutionPhase:
        name = core_execution_pb2.WorkflowExecution.Phase.Name(
            to_execution(an_execution(phase=phase.value)).closure.phase
        )
        assert phase.value == name
    for shown in filter(None, SHOWN_NODE.values()):
        to_node_execution(a_node(phase=shown), root="")
    for task_phase in TaskPhase:
        to_task_execution(an_attempt(phase=task_phase.value), input_uri="")


def test_what_clients_build_on() -> None:
    """Parents, arrays and children are distinguished as flytekit needs (ref §1.5)."""
    parent = to_node_execution(a_node(is_parent=True, kind="workflow"), root="")
    assert parent.metadata.is_parent_node
    array = to_node_execution(a_node(is_parent=True, is_array=True), root="")
    assert array.metadata.is_array
    assert not array.metadata.is_parent_node
    child = to_node_execution(a_node(kind="launch_plan", child="p/d/child"), root="")
    assert "child" == child.closure.workflow_node_metadata.executionId.name
    assert not child.metadata.is_parent_node
    arm = to_node_execution(a_node(node_id="b-0-b-x", spec_node_id="b-x"), root="")
    assert ("b-0-b-x", "b-x") == (arm.id.node_id, arm.metadata.spec_node_id)


def test_an_attempt_tells_its_history() -> None:
    """Logs, reasons, names and the number of the attempt."""
    row = an_attempt(
        logs=(
            TaskLog(name="log", uri="http://x"),
            TaskLog(name="log", uri="/logs/p"),
        ),
        reasons=(
            Reason(reason="dispatched", occurred_at_us=1),
            Reason(reason="started", occurred_at_us=2),
        ),
        interruptible=True,
    )
    found = to_task_execution(row, input_uri="/in", link_base="https://g")
    assert ("/in", 1) == (found.input_uri, found.id.retry_attempt)
    assert "run-n0-1" == found.closure.metadata.generated_name
    assert ["dispatched", "started"] == [r.message for r in found.closure.reasons]
    assert "started" == found.closure.reason
    assert ["http://x", "https://g/logs/p"] == [log.uri for log in found.closure.logs]
    assert "python-task" == found.closure.task_type


def test_addresses() -> None:
    """Paths below the root become addresses; whole addresses pass."""
    assert "/blobs/a/b" == blob_uri("/blobs", "a/b")
    assert "/elsewhere/b" == blob_uri("/blobs", "/elsewhere/b")
    assert "s3://bucket/b" == blob_uri("/blobs", "s3://bucket/b")


def test_a_node_that_succeeded_has_its_outputs_address() -> None:
    """An error takes their place, in a list cut to a short text."""
    outputs = Values(uri="/blobs/out.pb")
    done = to_node_execution(a_node(outputs=outputs), root="/blobs").closure
    assert done.output_uri == "/blobs/out.pb"
    row = a_node(outputs=outputs, error=Failure(code="E", message="x" * 9000))
    whole = to_node_execution(row, root="/blobs").closure
    listed = to_node_execution(row, root="/blobs", in_list=True).closure
    assert whole.error.message == "x" * 9000
    assert len(listed.error.message) < 9000
    attempt = to_task_execution(an_attempt(outputs=outputs), input_uri="").closure
    assert attempt.output_uri == "/blobs/out.pb"


def test_a_dynamic_node_says_where_its_generated_workflow_is() -> None:
    """Clients read the closure of the workflow that the task returned (ref §5.5)."""
    generated = DynamicWorkflow(
        workflow=ref("WORKFLOW"),
        inside=Blob(uri="/b", digest="", size=0),
        spec_uri="/b/futures.pb",
    )
    row = a_node(is_dynamic=True, is_parent=True, dynamic_workflow=generated)
    found = to_node_execution(row, root="/blobs")
    assert found.metadata.is_dynamic
    assert found.metadata.is_parent_node
    assert found.closure.dynamic_job_spec_uri == "/b/futures.pb"


def test_a_cached_node_names_the_attempt_that_made_its_outputs() -> None:
    """The dataset, its tag, and where the outputs come from (ref §7)."""
    key = CatalogKey(project="p", domain="d", name="flyte_task-n", version="1", tag="t")
    source = AttemptRef(
        execution=ExecutionRef(project="p", domain="d", name="earlier"),
        node_id="n7",
        attempt=2,
        task=ref("TASK"),
    )
    row = a_node(cache_status="HIT", catalog_key=key, catalog_source=source)
    found = to_node_execution(row, root="/blobs").closure.task_node_metadata
    assert found.cache_status == catalog_pb2.CACHE_HIT
    catalog = found.catalog_key
    assert catalog.dataset_id.name == "flyte_task-n"
    assert catalog.artifact_tag.name == "t"
    assert catalog.artifact_tag.artifact_id == "p/d/earlier/n7/2"
    assert catalog.source_task_execution.node_execution_id.node_id == "n7"
    assert catalog.source_task_execution.retry_attempt == 2


def test_outputs_that_were_not_found_have_no_source() -> None:
    """A miss names the key only."""
    key = CatalogKey(project="p", domain="d", name="flyte_task-n", version="1", tag="t")
    row = a_node(cache_status="MISS", catalog_key=key)
    found = to_node_execution(row, root="/blobs").closure.task_node_metadata
    assert found.cache_status == catalog_pb2.CACHE_MISS
    assert not found.catalog_key.HasField("source_task_execution")

"""How long things took: rows of read models as Flyte's tree of spans (ref §14)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from domain.graph import END, START
from gateway.translate.execution_spans import ExecutionTiming, span_of
from tests.support.graphs import definition, task_node, workflow, workflow_node
from tests.unit.gateway.translate.test_executions import (
    NOON,
    a_node,
    an_attempt,
    an_execution,
)

Lines = list[tuple[int, str, float, float]]


def at(seconds: float) -> Any:
    """Return a time after noon."""
    return NOON + timedelta(seconds=seconds)


def node(node_id: str, begin: float, end: float, **changes: Any) -> Any:
    """Return a node that was there from one second to another."""
    return a_node(
        **{
            "node_id": node_id, "spec_node_id": node_id,
            "created_at": at(begin), "updated_at": at(end), "started_at": at(begin),
            **changes,
        }
    )  # fmt: skip


def attempt(number: int, begin: float, ran: float, ended: float, end: float) -> Any:
    """Return an attempt of n0 with the times of its life."""
    return an_attempt(
        retry_attempt=number, created_at=at(begin), started_at=at(ran),
        ended_at=at(ended), updated_at=at(end),
    )  # fmt: skip


def lines(span: Any, depth: int = 0) -> Lines:
    """Return a tree as lines: depth, name, and from when to when."""
    kind = span.WhichOneof("id")
    named = {
        "operation_id": lambda: span.operation_id,
        "node_id": lambda: span.node_id.node_id,
        "task_id": lambda: f"attempt {span.task_id.retry_attempt}",
        "workflow_id": lambda: span.workflow_id.name,
    }
    ends = [
        (t.ToDatetime(NOON.tzinfo) - NOON).total_seconds()
        for t in (span.start_time, span.end_time)
    ]
    found: Lines = [(depth, named[kind](), ends[0], ends[1])]
    for inner in span.spans:
        found += lines(inner, depth + 1)
    return found


def chain(**changes: Any) -> ExecutionTiming:
    """Return an execution of n0, whose task took two attempts, and n1 after it."""
    fields: dict[str, Any] = {
        "row": an_execution(updated_at=at(10)),
        "definition": definition([task_node("n0"), task_node("n1", "n0")], "n1"),
        "nodes": (node(START, 1, 1), node("n0", 1, 7), node("n1", 8, 9, kind="gate"),
                  node(END, 9, 9)),
        "attempts": {"n0": [attempt(0, 1, 2, 3, 3), attempt(1, 4, 5, 6, 7)]},
    }  # fmt: skip
    return ExecutionTiming(**{**fields, **changes})


def test_a_chain_with_a_retry() -> None:
    """Set-up, both attempts and the time between them, the way to the next node."""
    assert lines(span_of(chain(), -1)) == [
        (0, "run", 0, 10),
        (1, "WORKFLOW_SETUP", 0, 1),
        (1, "NODE_TRANSITION", 1, 1),
        (1, "n0", 1, 7),
        (2, "NODE_SETUP", 1, 1),
        (2, "attempt 0", 1, 3),
        (3, "TASK_SETUP", 1, 2),
        (3, "TASK_RUNTIME", 2, 3),
        (3, "TASK_TEARDOWN", 3, 3),
        (2, "NODE_RESET", 3, 4),
        (2, "attempt 1", 4, 7),
        (3, "TASK_SETUP", 4, 5),
        (3, "TASK_RUNTIME", 5, 6),
        (3, "TASK_TEARDOWN", 6, 7),
        (2, "NODE_TEARDOWN", 7, 7),
        (1, "NODE_TRANSITION", 7, 8),
        (1, "n1", 8, 9),
        (2, "NODE_SETUP", 8, 8),
        (2, "NODE_IDLE", 8, 9),
        (1, "WORKFLOW_TEARDOWN", 9, 10),
    ]


def test_depth_bounds_the_tree() -> None:
    """Nothing inside at 0, nodes without their inside at 1."""
    assert lines(span_of(chain(), 0)) == [(0, "run", 0, 10)]
    assert max(depth for depth, *_ in lines(span_of(chain(), 1))) == 1


def test_what_has_not_begun_is_being_set_up() -> None:
    """An execution without nodes, and a node without attempts."""
    early = chain(nodes=(), attempts={})
    assert lines(span_of(early, -1))[1:] == [(1, "WORKFLOW_SETUP", 0, 10)]
    queued = chain(nodes=(node(START, 1, 1), node("n0", 1, 4)), attempts={})
    assert (2, "NODE_SETUP", 1, 4) in lines(span_of(queued, -1))


def test_children_and_sub_workflows_lie_inside_their_nodes() -> None:
    """A child is a tree of its own; a sub-workflow's nodes hang off its node."""
    graphs = definition(
        [workflow_node("n0"), task_node("n1", "n0")], "n1",
        subs=[workflow("sub", [task_node("i")], "i")],
    )  # fmt: skip
    child = chain(row=an_execution(stream="execution/p/d/child", updated_at=at(8)))
    nodes = (
        node(START, 1, 1),
        node("n0", 1, 7, kind="workflow", target=graphs.primary.nodes["n0"].target),
        node("n0-0-s", 2, 2, parent_id="n0", scope="n0", spec_node_id=START),
        node("n0-0-i", 2, 6, parent_id="n0", scope="n0", spec_node_id="i"),
        node("n1", 7, 9, kind="launch_plan", child="p/d/child"),
    )
    timing = chain(definition=graphs, nodes=nodes, attempts={}, children={"n1": child})
    found = lines(span_of(timing, -1))

    assert found[3:8] == [
        (1, "n0", 1, 7),
        (2, "NODE_SETUP", 1, 2),
        (2, "NODE_TRANSITION", 2, 2),
        (2, "n0-0-i", 2, 6),
        (3, "NODE_SETUP", 2, 6),
    ]
    assert (2, "child", 0, 8) in found
    assert found[-2:] == [(2, "NODE_TEARDOWN", 8, 9), (1, "WORKFLOW_TEARDOWN", 9, 10)]


def test_what_a_dynamic_task_made_lies_behind_its_attempt() -> None:
    """Its nodes follow each other, in the sub-workflows that it made too."""
    made = definition(
        [task_node("a"), workflow_node("b", "a")], "b",
        subs=[workflow("sub", [task_node("i"), task_node("j", "i")], "j")],
    )  # fmt: skip
    outer = definition([task_node("n0")], "n0").with_dynamic_closure("n0", made)
    inside = {"parent_id": "n0", "scope": "n0"}
    deeper = {"parent_id": "n0-0-b", "scope": "n0-0-b"}
    nodes = (
        node(START, 1, 1),
        node("n0", 1, 9),
        node("n0-0-s", 3, 4, spec_node_id=START, **inside),
        node("n0-0-a", 4, 5, spec_node_id="a", **inside),
        node(
            "n0-0-b", 6, 8, spec_node_id="b", kind="workflow",
            target=made.primary.nodes["b"].target, **inside,
        ),
        node("n0-0-b-i", 6, 7, spec_node_id="i", **deeper),
        node("n0-0-b-j", 7.5, 8, spec_node_id="j", **deeper),
    )  # fmt: skip
    attempts = {"n0": [attempt(0, 1, 1, 2, 2)]}
    timing = chain(definition=outer, nodes=nodes, attempts=attempts)
    found = lines(span_of(timing, -1))

    below = [line for line in found if not line[1].startswith(("TASK", "NODE_SETUP"))]
    assert below[3:] == [
        (1, "n0", 1, 9),
        (2, "attempt 0", 1, 2),
        (2, "NODE_RESET", 2, 4),
        (2, "NODE_TRANSITION", 4, 4),
        (2, "n0-0-a", 4, 5),
        (2, "NODE_TRANSITION", 5, 6),
        (2, "n0-0-b", 6, 8),
        (3, "n0-0-b-i", 6, 7),
        (3, "NODE_TRANSITION", 7, 7.5),
        (3, "n0-0-b-j", 7.5, 8),
        (3, "NODE_TEARDOWN", 8, 8),
        (2, "NODE_TEARDOWN", 8, 9),
        (1, "WORKFLOW_TEARDOWN", 9, 10),
    ]

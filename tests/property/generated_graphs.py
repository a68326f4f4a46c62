"""Workflows drawn at random: nodes of all kinds, each after some earlier ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from domain.graph import Definition
from tests.support.graphs import (
    approve_node,
    array_of,
    branch_node,
    cached_template,
    definition,
    gate_node,
    given_node,
    launch_plan_node,
    task_node,
    task_template,
    workflow,
    workflow_node,
)


def _cleaning() -> Any:
    """Return a workflow of one task with a failure node."""
    made = workflow("sub", [task_node("n0")], "n0")
    made.template.failure_node.CopyFrom(task_node("fn0"))
    return made


INSIDE = definition(
    [given_node("dn0"), workflow_node("dn1", "dn0"), given_node("dn2")],
    "dn1",
    subs=[_cleaning()],
)
"""What any task may turn out to have made."""
LIMITED = definition(
    [given_node("dn0"), workflow_node("dn1", "dn0"), given_node("dn2")],
    "dn1",
    subs=[workflow("sub", [task_node("n0")], "n0")],
    tasks=[task_template(retries=1)],
)
"""The same, with nodes that may take too long."""
for _number in range(3):
    LIMITED.primary.nodes[f"dn{_number}"].spec.metadata.timeout.FromSeconds(2)


@st.composite
def graphs(
    draw: st.DrawFn, *, partly: bool = True, cleans_up: bool = True
) -> Definition:
    """Draw a workflow of a few nodes of all kinds, each after some earlier ones.

    `partly` also draws arrays that succeed though an element doesn't, and tasks that
    may take too long; `cleans_up` failure nodes, which what a task makes never has.
    """
    nodes: list[Any] = []
    for number in range(draw(st.integers(1, 7))):
        earlier = [node.id for node in nodes]
        offers = [n.id for n in nodes if not n.gate_node.HasField("sleep")]
        sources = draw(st.lists(st.sampled_from(["", *earlier]), max_size=3))
        sources = [draw(st.sampled_from(["", *offers])), *filter(None, sources)]
        nodes.append(_node(draw, f"n{number}", sources, partly=partly))
    offers = [node.id for node in nodes if not node.gate_node.HasField("sleep")]
    output = draw(st.sampled_from(offers or [""]))
    inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
    late = draw(st.booleans())
    template = draw(st.sampled_from([task_template, cached_template]))
    tasks = [template(retries=draw(st.integers(0, 2)))]
    if partly and draw(st.booleans()):
        tasks[0].metadata.timeout.FromSeconds(3)
    cleaners = [None, task_node("fn0"), workflow_node("fn0")]
    failure_node = draw(st.sampled_from(cleaners)) if cleans_up else None
    if failure_node is not None and draw(st.booleans()):
        inner.template.failure_node.CopyFrom(task_node("fn0"))
    return definition(
        nodes,
        output,
        subs=[inner],
        tasks=tasks,
        fail_late=late,
        failure_node=failure_node,
    )


def _node(draw: st.DrawFn, node_id: str, sources: list[str], *, partly: bool) -> Any:
    """Draw a node; `partly` also one that may take too long."""
    node = _any_node(draw, node_id, sources, partly=partly)
    if partly and node.WhichOneof("target") in {"workflow_node", "array_node"}:
        node.metadata.timeout.FromSeconds(draw(st.sampled_from([0, 0, 4])))
    return node


def _any_node(
    draw: st.DrawFn, node_id: str, sources: list[str], *, partly: bool
) -> Any:
    kind = draw(
        st.sampled_from(["task", "task", "sub", "plan", "branch", "array", "gate"])
    )
    if kind == "array":
        return _array(draw, node_id, sources, partly=partly)
    if kind == "sub":
        return workflow_node(node_id, *sources)
    if kind == "plan":
        return launch_plan_node(node_id, *sources)
    if kind == "gate":
        return _gate(draw, node_id, sources)
    if kind == "branch":
        then = task_node(f"{node_id}-a", *sources[-1:])
        other = task_node(f"{node_id}-b") if draw(st.booleans()) else None
        return branch_node(node_id, sources[0] if sources else "", then, other)
    return task_node(node_id, *sources)


def _array(draw: st.DrawFn, node_id: str, sources: list[str], *, partly: bool) -> Any:
    items = draw(st.lists(st.sampled_from(sources or [""]), max_size=4))
    plan = draw(st.sampled_from(["", "lp"]))
    settings_: dict[str, Any] = {"parallelism": draw(st.integers(0, 2))}
    if partly and draw(st.booleans()):
        settings_["min_success_ratio"] = draw(st.sampled_from([0.5, 1.0]))
    settings_["run_all_sub_nodes"] = draw(st.booleans())
    return array_of(node_id, items, task="t", launch_plan=plan, **settings_)


def _gate(draw: st.DrawFn, node_id: str, sources: list[str]) -> Any:
    kind = draw(st.sampled_from(["sleep", "signal", "approve"]))
    if kind == "sleep":
        return gate_node(node_id, *filter(None, sources))
    signal = draw(st.sampled_from(["s", "t"])) + kind
    if kind == "approve":
        node = approve_node(node_id, sources[0], signal=signal)
    else:
        node = gate_node(node_id, *filter(None, sources), signal=signal)
    node.metadata.timeout.FromSeconds(draw(st.integers(0, 9)))
    return node

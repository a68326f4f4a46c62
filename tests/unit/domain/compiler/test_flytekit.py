"""Everything that flytekit can write must compile."""

from __future__ import annotations

from typing import Any

import pytest

from domain.compiler.compile import CompileErrors
from domain.graph import END, START, definition_of
from tests.support.flytekit import workflows as written
from tests.support.flytekit.graphs import serialize


def _compiled(workflow: Any) -> Any:
    closure = serialize(workflow).compile()
    assert not isinstance(closure, CompileErrors), closure.text()
    return closure


def _name(workflow: Any) -> str:
    return str(workflow.name.rpartition(".")[2])


@pytest.mark.parametrize("workflow", written.ALL, ids=_name)
def test_compiles_what_flytekit_writes(workflow: Any) -> None:
    """A workflow that flytekit serializes compiles, and its graph can be indexed."""
    closure = _compiled(workflow)

    assert [node.id for node in closure.primary.template.nodes[:2]] == [START, END]
    assert definition_of(closure).node_count >= 3


def test_names_arms_after_their_branch() -> None:
    """Arms, also nested ones, carry their branch's id and only wait."""
    primary = _compiled(written.choose).primary
    branch = primary.template.nodes[3]
    block = branch.branch_node.if_else
    inner = block.else_node.branch_node.if_else

    assert block.case.then_node.id == "n1-n0"
    assert block.other[0].then_node.id == "n1-n1"
    assert inner.case.then_node.id == "n1-n2-n0"
    assert list(primary.connections.upstream["n1-n2-n0"].ids) == ["n0", START]
    assert not {i for i in primary.connections.downstream if i.startswith("n1-")}


def test_compiles_sub_workflows_once_each() -> None:
    """Sub-workflows of sub-workflows are compiled, each with connections of its own."""
    closure = _compiled(written.nested_subs)

    names = [sub.template.id.name.rpartition(".")[2] for sub in closure.sub_workflows]
    assert sorted(names) == ["chain", "one"]
    assert all(sub.connections.upstream[END].ids for sub in closure.sub_workflows)


def test_joins_the_failure_node_upstream_only() -> None:
    """A failure node waits for its inputs and nothing waits for it."""
    primary = _compiled(written.failing).primary
    failure = primary.template.failure_node

    assert list(primary.connections.upstream[failure.id].ids) == [START]
    assert failure.id not in primary.connections.downstream[START].ids

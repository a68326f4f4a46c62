"""Launch plan nodes: a child is created, followed and stopped."""

from __future__ import annotations

import pytest

from domain.decider import Send
from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.values import Failure, Values
from tests.support.engine import (
    STREAM,
    Engine,
    created,
    names,
)
from tests.support.graphs import (
    definition,
    launch_plan_node,
    values,
)


def test_a_launch_plan_node_follows_its_child() -> None:
    """The child is asked for by command, its outputs become the node's."""
    engine = Engine(definition([launch_plan_node("n0")], "n0"), created())
    engine.begin()
    sent = [m for m in engine.sent if isinstance(m, Send)]
    create = sent[0].command

    assert isinstance(create, c.CreateExecution)
    assert create.name == "main-1-n0-0"
    assert create.parent == ParentNode(stream=STREAM, node_id="n0", attempt=0)
    report = c.ReportChild(
        node_id="n0", attempt=0, child="p/d/main-1-n0-0", phase="QUEUED"
    )
    assert names(engine.do(report)) == ["ChildCreated"]
    ended = c.ReportChild(
        node_id="n0",
        attempt=0,
        child="p/d/main-1-n0-0",
        phase="SUCCEEDED",
        outputs=Values(inline=values(o0=6)),
    )
    engine.do(ended)
    assert engine.state.outputs == Values(inline=values(o0=6))


@pytest.mark.parametrize(
    ("phase", "refused", "code"),
    [
        ("FAILED", False, "Inner"),
        ("FAILED", True, "RuntimeExecutionError"),
        ("ABORTED", False, "RemoteChildWorkflowExecutionFailed"),
        ("TIMED_OUT", False, "Inner"),
    ],
)
def test_a_childs_bad_end_is_the_nodes(phase: str, refused: bool, code: str) -> None:
    """Each bad end of a child has Flyte's code."""
    engine = Engine(definition([launch_plan_node("n0")], "n0"), created())
    engine.begin()
    engine.do(
        c.ReportChild(
            node_id="n0",
            attempt=0,
            child="p/d/x",
            phase=phase,
            failure=Failure(code="Inner", message="m"),
            refused=refused,
        )
    )

    assert engine.state.failure is not None
    assert engine.state.failure.code == code

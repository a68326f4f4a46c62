"""Deleting executions: only what has ended goes, once, and children with parents."""

from __future__ import annotations

import pytest

from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected
from tests.support.engine import Engine, created
from tests.support.graphs import definition, task_node

DELETE = c.DeleteExecution(principal="somebody")


def running(parent: ParentNode | None = None) -> Engine:
    """Return an execution of one task, begun."""
    engine = Engine(definition([task_node("n0")], "n0"), created(parent=parent))
    engine.begin()
    return engine


def refusal(engine: Engine, command: c.ExecutionCommand = DELETE) -> Rejected:
    """Return why a command is refused."""
    found = engine.decide(command)
    assert isinstance(found, Rejected)
    return found


def test_an_ended_execution_is_deleted_once() -> None:
    """The tombstone tells who did it and how it had ended; again is without effect."""
    engine = running()
    engine.succeed("n0")

    (event,) = engine.do(DELETE)

    assert isinstance(event, e.ExecutionDeleted)
    assert (event.principal, event.phase) == ("somebody", "SUCCEEDED")
    assert engine.state.is_deleted
    assert engine.do(DELETE) == []


def test_what_runs_is_not_deleted() -> None:
    """A running execution must be terminated first."""
    found = refusal(running())

    assert found.reason is Reason.FAILED_PRECONDITION
    assert "it is RUNNING" in found.detail


def test_what_is_not_there_is_not_deleted() -> None:
    """An execution without events is told as missing."""
    engine = Engine(definition([task_node("n0")], "n0"), created())

    assert refusal(engine).reason is Reason.NOT_FOUND


def test_a_child_goes_with_its_parent_only() -> None:
    """A user's command is rejected, that of the parent's deletion accepted."""
    parent = ParentNode(stream="execution/p/d/above", node_id="n0", attempt=0)
    engine = running(parent)
    engine.succeed("n0")

    assert "child of 'p/d/above'" in refusal(engine).detail
    assert engine.do(c.DeleteExecution(with_parent=True))


@pytest.mark.parametrize("late", [c.TerminateExecution(cause="x"), DELETE])
def test_its_name_stays_taken(late: c.ExecutionCommand) -> None:
    """Nothing more comes of a deleted execution, nor of another creation of it."""
    engine = running()
    engine.succeed("n0")
    engine.do(DELETE)

    found = engine.decide(late)
    again = engine.decide(
        c.CreateExecution(
            project="p", domain="d", name="main-1", launch_plan=created().launch_plan
        )
    )

    assert isinstance(found, Rejected) or not found
    assert isinstance(again, Rejected)
    assert again.reason is Reason.ALREADY_EXISTS

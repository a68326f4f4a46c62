"""Parked executions, and refusals that concern somebody else."""

from __future__ import annotations

from domain.execution.decide import execution
from domain.execution.react import react_to_rejection
from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected
from schemas.values import ErrorKind
from tests.support.engine import CREATE, NOON_US, Engine, begun_chain, names, success

PARENT = ParentNode(stream="execution/p/d/above", node_id="n0", attempt=2)


def parked() -> Engine:
    """Return an execution one of whose commands could not be handled."""
    engine = begun_chain()
    event = e.StreamParked(
        occurred_at_us=NOON_US,
        command_id="c1",
        command_type="ReportTaskFailed",
        error="ValueError: odd",
    )
    engine.state = execution.evolve(engine.state, event)
    return engine


def test_a_parked_execution_refuses_commands() -> None:
    """Reports would be lost: the refusal says why, and where the command is stored."""
    engine = parked()
    refused = engine.decide(success(engine.run_of("n0")))

    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.FAILED_PRECONDITION
    assert refused.detail.startswith("Expected execution 'p/d/main-1' to take commands")
    assert "ReportTaskFailed could not be handled (ValueError: odd)" in refused.detail
    assert "dead letter" in refused.detail


def test_a_resumed_execution_continues() -> None:
    """What was refused before is decided on again."""
    engine = parked()
    resumed = engine.do(c.ResumeStream(principal="ann"))

    assert names(resumed) == ["StreamResumed"]
    assert "TaskSucceeded" in names(engine.succeed("n0"))


def test_resuming_an_execution_that_is_not_parked_does_nothing() -> None:
    """A second operator may resume the same execution."""
    assert begun_chain().do(c.ResumeStream(principal="ann")) == []


def test_an_ended_execution_cannot_be_resumed() -> None:
    """There is nothing to continue."""
    engine = begun_chain(1)
    engine.succeed("n0")
    refused = engine.decide(c.ResumeStream(principal="ann"))

    assert isinstance(refused, Rejected)
    assert "to resume execution 'p/d/main-1', but it is already" in refused.detail


def test_an_execution_that_is_not_admitted_does_not_begin() -> None:
    """The creation is refused with admission's own reason."""
    engine = begun_chain()
    new = Engine(engine.definition, engine.first)
    new.first = wrong = Rejected(Reason.NOT_FOUND, "missing entity")  # type: ignore[assignment]  # what admission found

    assert new.decide(CREATE) == wrong


def test_a_parent_is_told_that_its_child_was_refused() -> None:
    """It would wait for a report that no child will ever send (ref §5.4)."""
    command = c.CreateExecution(
        project="p",
        domain="d",
        name="child",
        launch_plan=CREATE.launch_plan,
        parent=PARENT,
    )
    (sent,) = react_to_rejection(command, Rejected(Reason.NOT_FOUND, "no such plan"))

    assert sent.stream == PARENT.stream
    report = sent.command
    assert isinstance(report, c.ReportChild)
    assert (report.node_id, report.attempt) == ("n0", 2)
    assert (report.child, report.phase, report.refused) == ("p/d/child", "FAILED", True)
    assert report.failure is not None
    assert report.failure.code == "NOT_FOUND"
    assert report.failure.message == "no such plan"
    assert report.failure.kind == ErrorKind.USER


def test_other_refusals_concern_nobody_else() -> None:
    """A client reads its refusal from the outcome of its command."""
    refused = Rejected(Reason.NOT_FOUND, "x")

    assert react_to_rejection(CREATE, refused) == ()
    assert react_to_rejection(c.TerminateExecution(cause="x"), refused) == ()

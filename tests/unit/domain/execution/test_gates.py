"""Gates, by the decider: sleep, wait for a value, wait for a yes (ref §5.6)."""

from __future__ import annotations

import pytest
from flyteidl.core import literals_pb2, types_pb2

from domain.execution.state.timers import timers_of
from schemas.messages import commands as c
from schemas.messages.rejections import Reason, Rejected
from schemas.values import Values
from tests.support.engine import NOON_US, Engine, created
from tests.support.graphs import (
    INT,
    approve_node,
    branch_node,
    definition,
    gate_node,
    integer,
    launch_plan_node,
    task_node,
    values,
    workflow,
    workflow_node,
)

ROUTE = [task_node("n0"), approve_node("n1", "n0", signal="ok"), task_node("n2", "n1")]


def begun(*nodes: object, output: str) -> Engine:
    """Return an execution of these nodes, begun."""
    engine = Engine(definition(nodes, output), created())
    engine.begin()
    return engine


def number(value: int, signal_id: str = "s") -> c.SetSignal:
    """Return a signal's setting to a number."""
    data = integer(value).SerializeToString()
    return c.SetSignal(signal_id=signal_id, value=data, principal="ann")


def verdict(*, approved: bool) -> c.SetSignal:
    """Return somebody's yes or no."""
    literal = literals_pb2.Literal()
    literal.scalar.primitive.boolean = approved
    return c.SetSignal(signal_id="ok", value=literal.SerializeToString())


def wake(engine: Engine) -> None:
    """Let the only timer come due."""
    (timer,) = timers_of(engine.state)
    engine.clock_us = timer.due_us
    engine.do(c.TimeReached(timer_id=timer.id))


def test_a_sleep_is_over_at_its_time_and_not_before() -> None:
    """Its timer is in the state, and an early or repeated wake-up yields nothing."""
    engine = begun(gate_node("n0"), task_node("n1", after=["n0"]), output="n1")
    (timer,) = timers_of(engine.state)

    assert engine.phase("n0") == "RUNNING"
    assert timer.due_us == NOON_US + 5_000_001
    assert engine.do(c.TimeReached(timer_id=timer.id)) == []
    wake(engine)
    assert engine.phase("n0") == "SUCCEEDED"
    assert engine.phase("n1") == "QUEUED"
    assert not list(timers_of(engine.state))


def test_a_value_that_is_waited_for_is_the_gates_output() -> None:
    """The node runs until the signal is set; the next node gets the value."""
    engine = begun(gate_node("n0", signal="s"), task_node("n1", "n0"), output="n1")

    assert engine.phase("n0") == "RUNNING"
    assert not engine.runs()
    engine.do(number(7))
    assert engine.run_of("n1").inputs == Values(inline=values(x=7))


def test_what_is_approved_is_handed_on() -> None:
    """A yes makes the gate's inputs its outputs."""
    engine = begun(*ROUTE, output="n2")
    engine.succeed("n0", 4)
    engine.do(verdict(approved=True))

    outputs = engine.state.nodes["n1"].outputs
    assert outputs == Values(inline=values(o0=4))


def test_what_is_rejected_fails_for_good() -> None:
    """A no is a permanent failure of the user's."""
    engine = begun(*ROUTE, output="n2")
    engine.succeed("n0", 4)
    engine.do(verdict(approved=False))

    failure = engine.state.failure
    assert failure is not None
    assert (failure.code, failure.kind) == ("ReceivedRejectSignal", "USER")
    assert engine.state.phase.value == "FAILED"


def test_a_signal_that_nobody_waits_for_is_refused() -> None:
    """Too early, or with a wrong name: the refusal says what is waited for."""
    engine = begun(*ROUTE, output="n2")
    refused = engine.decide(verdict(approved=True))

    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert refused.detail == (
        "Expected execution 'p/d/main-1' to wait for signal 'ok', "
        "but until now it waits for none"
    )


def test_a_value_of_another_type_is_refused() -> None:
    """The refusal says what was expected and what came."""
    engine = begun(gate_node("n0", signal="s"), output="n0")
    wrong = literals_pb2.Literal()
    wrong.scalar.primitive.string_value = "seven"
    refused = engine.decide(c.SetSignal(signal_id="s", value=wrong.SerializeToString()))

    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert refused.detail.startswith("Expected signal 's' to get ")
    assert "seven" in refused.detail


def test_a_signal_can_be_set_before_its_gate_is_reached() -> None:
    """Once a client has requested it; the last value counts, later ones are ignored."""
    nodes = [
        task_node("n0"),
        gate_node("n1", "n0", signal="s"),
        task_node("n2", "n1"),
    ]
    engine = begun(*nodes, output="n2")
    asked = c.RequestSignal(signal_id="s", type=INT.SerializeToString())
    engine.do(asked)
    assert engine.do(asked) == []
    engine.do(number(1))
    engine.do(number(2))
    engine.succeed("n0")

    assert engine.run_of("n2").inputs == Values(inline=values(x=2))
    engine.do(number(3))
    assert engine.run_of("n2").inputs == Values(inline=values(x=2))
    engine.succeed("n2")
    assert engine.do(number(4)) == []


def test_a_signal_has_one_type() -> None:
    """Asking for it with another one is refused."""
    engine = begun(gate_node("n0", signal="s"), output="n0")
    text = types_pb2.LiteralType(simple=types_pb2.STRING)
    refused = engine.decide(
        c.RequestSignal(signal_id="s", type=text.SerializeToString())
    )

    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.ALREADY_EXISTS


def test_one_signal_lets_go_on_all_that_wait_for_it() -> None:
    """Two gates may wait for the same signal."""
    gates = [gate_node("n0", signal="s"), gate_node("n1", signal="s")]
    engine = begun(*gates, output="n0")
    engine.do(number(7))

    assert engine.phase("n0") == engine.phase("n1") == "SUCCEEDED"
    assert engine.state.is_terminal


def test_a_gate_waits_no_longer_than_its_time_limit() -> None:
    """Its failure has the code of a task's that ran for too long (ref §4.6)."""
    gate = gate_node("n0", signal="s")
    gate.metadata.timeout.FromSeconds(6)
    engine = begun(gate, output="n0")
    wake(engine)

    failure = engine.state.failure
    assert failure is not None
    assert failure.code == "RetriesExhausted|TimeoutExpired"
    assert "[6s] expired" in failure.message


@pytest.mark.parametrize("kind", ["workflow", "launch_plan"])
def test_what_runs_inside_a_node_that_is_late_is_stopped(kind: str) -> None:
    """A sub-workflow's tasks and a launch plan's child are aborted."""
    late = workflow_node("n0") if kind == "workflow" else launch_plan_node("n0")
    late.metadata.timeout.FromSeconds(6)
    inner = workflow("sub", [task_node("m0")], "m0")
    engine = Engine(definition([late], "n0", subs=[inner]), created())
    engine.begin()
    wake(engine)

    failure = engine.state.failure
    assert failure is not None
    assert failure.code == "RetriesExhausted|TimeoutExpired"
    sent = [type(getattr(m, "command", m)).__name__ for m in engine.sent]
    stop = "AbortTask" if kind == "workflow" else "TerminateExecution"
    assert sent[-1] == stop


def test_what_nobody_waits_for_any_more_ends_with_the_execution() -> None:
    """A gate that only one arm needs ends once the other arm is chosen."""
    arms = task_node("n2-a", "n1"), task_node("n2-b")
    engine = begun(
        task_node("n0"),
        gate_node("n1", signal="s"),
        branch_node("n2", "n0", *arms),
        output="n0",
    )
    engine.succeed("n0", 1)
    engine.succeed("n2-0-n2-b")
    assert engine.state.phase.value == "SUCCEEDED"
    assert engine.phase("n1") == "ABORTED"
    assert not engine.state.active

"""The life of an execution: created, run, failed, terminated."""

from __future__ import annotations

from domain.decider import Send
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages.rejections import Reason, Rejected
from schemas.values import Values
from tests.support.engine import (
    CREATE,
    Engine,
    begun_chain,
    created,
    names,
    start,
)
from tests.support.graphs import (
    definition,
    launch_plan_node,
    task_node,
    values,
)


def test_creating_starts_the_first_node() -> None:
    """A created execution runs at once, up to the first task."""
    nodes = [task_node("n0")]
    engine = Engine(definition(nodes, "n0"), created())

    assert names(engine.begin()) == [
        "ExecutionCreated",
        "ExecutionStarted",
        "NodeQueued",
        "NodeSucceeded",
        "NodeQueued",
        "TaskQueued",
    ]
    assert engine.run_of("n0").inputs == Values(inline=values(x=1))


def test_creating_twice_is_refused_but_repeating_is_not() -> None:
    """The same command again yields no events; another one for the name is refused."""
    engine = begun_chain()

    assert engine.decide(CREATE, "create") == []
    refusal = engine.decide(CREATE, "another")
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.ALREADY_EXISTS


def test_a_chain_runs_to_its_outputs() -> None:
    """Each node's output is the next one's input; the last one's is the execution's."""
    engine = begun_chain(2)
    engine.succeed("n0", 7)

    assert engine.run_of("n1").inputs == Values(inline=values(x=7))
    ended = engine.succeed("n1", 8)

    assert names(ended)[-4:] == [
        "NodeQueued",
        "NodeSucceeded",
        "ExecutionSucceeding",
        "ExecutionSucceeded",
    ]
    assert engine.state.outputs == Values(inline=values(o0=8))
    assert not engine.state.active


def test_a_permanent_failure_stops_siblings() -> None:
    """Under FAIL_IMMEDIATELY running siblings are aborted, and runners told."""
    nodes = [task_node("n0"), task_node("n1"), task_node("n2", "n0", "n1")]
    engine = Engine(definition(nodes, "n2"), created())
    engine.begin()
    engine.do(start(engine.run_of("n1")))
    engine.fail("n0")

    assert engine.phase("n1") == "ABORTED"
    assert engine.phase("n2") == ""
    assert engine.state.phase.value == "FAILED"
    aborts = [m for m in engine.sent if isinstance(m, d.AbortTask)]
    assert [a.node_id for a in aborts] == ["n1"]


def test_fail_late_lets_the_others_end() -> None:
    """Dependants of a failure are skipped, the others run, then the failure counts."""
    nodes = [task_node("n0"), task_node("n1"), task_node("n2", "n0")]
    engine = Engine(definition(nodes, "n2", fail_late=True), created())
    engine.begin()
    engine.fail("n0")

    assert engine.phase("n2") == "SKIPPED"
    assert engine.state.phase.value == "RUNNING"
    engine.succeed("n1")
    assert engine.state.phase.value == "FAILED"
    assert engine.phase("end-node") == "SKIPPED"


def test_terminating_stops_everything_at_once() -> None:
    """Tasks are aborted by their runners, children by command."""
    nodes = [task_node("n0"), launch_plan_node("n1")]
    engine = Engine(definition(nodes, "n0"), created())
    engine.begin()
    ended = engine.do(c.TerminateExecution(cause="enough", principal="me"))

    assert names(ended) == [
        "ExecutionAborting",
        "TaskAborted",
        "NodeAborted",
        "NodeAborted",
        "ExecutionAborted",
    ]
    sent = [m.command for m in engine.sent if isinstance(m, Send)]
    assert isinstance(sent[-1], c.TerminateExecution)
    again = engine.decide(c.TerminateExecution(cause="x"))
    assert isinstance(again, Rejected)
    assert again.reason is Reason.FAILED_PRECONDITION


def test_max_parallelism_bounds_what_runs_and_starves_nobody() -> None:
    """At most two tasks are out; each end lets the next one begin."""
    nodes = [task_node(f"n{i}") for i in range(5)]
    engine = Engine(definition(nodes, "n0"), created(max_parallelism=2))
    engine.begin()

    assert [r.node_id for r in engine.runs()] == ["n0", "n1"]
    for i in range(5):
        engine.succeed(f"n{i}")
        assert engine.state.slots <= 2
    assert engine.state.phase.value == "SUCCEEDED"

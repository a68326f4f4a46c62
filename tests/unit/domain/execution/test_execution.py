"""The decider of an execution, one behaviour at a time."""

from __future__ import annotations

import pytest
from flyteidl.core import literals_pb2

from domain.decider import Send
from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.rejections import Reason, Rejected
from schemas.values import Failure, Values
from tests.support.engine import CREATE, STREAM, Engine, created, start, success
from tests.support.graphs import (
    branch_node,
    definition,
    launch_plan_node,
    promise,
    task_node,
    task_template,
    values,
    workflow,
    workflow_node,
)


def chain(length: int = 2) -> Engine:
    """Return an execution of n0 > n1 > …, begun."""
    nodes = [task_node(f"n{i}", f"n{i - 1}" if i else "") for i in range(length)]
    engine = Engine(definition(nodes, f"n{length - 1}"), created())
    engine.begin()
    return engine


def names(events: list[e.ExecutionEvent]) -> list[str]:
    """Return the events' names."""
    return [type(event).__name__ for event in events]


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
    engine = chain()

    assert engine.decide(CREATE, "create") == []
    refusal = engine.decide(CREATE, "another")
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.ALREADY_EXISTS


def test_a_chain_runs_to_its_outputs() -> None:
    """Each node's output is the next one's input; the last one's is the execution's."""
    engine = chain(2)
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


def test_a_slow_task_reports_its_start_once() -> None:
    """The first report takes the lease, a repeated one yields nothing."""
    engine = chain()
    run = engine.run_of("n0")

    assert names(engine.do(start(run))) == ["TaskStarted", "NodeStarted"]
    assert engine.do(start(run)) == []
    assert engine.phase("n0") == "RUNNING"


def test_only_the_runner_that_holds_the_lease_is_heard() -> None:
    """Of two runners on one dispatch, the second one's reports yield nothing."""
    engine = chain()
    run = engine.run_of("n0")
    engine.do(start(run))
    other = c.ReportTaskSucceeded(
        node_id="n0",
        attempt=0,
        dispatch_no=0,
        runner="r2",
        incarnation="i9",
        started_at_us=1,
        ended_at_us=2,
        outputs=Values(inline=values(o0=1)),
    )

    assert engine.do(other) == []


def test_a_lost_runner_hands_the_attempt_out_again() -> None:
    """After an expired lease a late report of the old dispatch yields nothing."""
    engine = chain()
    old = engine.run_of("n0")
    engine.do(start(old))
    lost = c.ExpireLease(node_id="n0", attempt=0, dispatch_no=0, reason="gone")

    assert names(engine.do(lost)) == ["TaskRedispatched"]
    assert engine.do(lost) == []
    assert engine.run_of("n0").dispatch_no == 1
    assert engine.do(success(old)) == []
    assert engine.succeed("n0")


def test_user_retries_are_used_up() -> None:
    """Two attempts are allowed: the second failure is final, in Flyte's words."""
    nodes = [task_node("n0")]
    tasks = [task_template(retries=1)]
    engine = Engine(definition(nodes, "n0", tasks=tasks), created())
    engine.begin()

    again = engine.fail("n0", recoverable=True)
    assert names(again)[-3:] == ["NodeRetryScheduled", "NodeRequeued", "TaskQueued"]
    assert engine.run_of("n0").attempt == 1
    engine.fail("n0", recoverable=True)

    failure = engine.state.failure
    assert failure is not None
    assert failure.code == "RetriesExhausted|Boom"
    assert failure.message == "[2/2] currentAttempt done. Last Error: USER::it broke"
    assert failure.kind == "USER"


def test_system_retries_have_a_budget_of_their_own() -> None:
    """Four attempts in all, although the user allowed one."""
    engine = chain(1)
    for _ in range(4):
        engine.fail("n0", kind="SYSTEM", recoverable=True)

    assert len(engine.runs()) == 4
    assert engine.state.phase.value == "FAILED"


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


def test_a_sub_workflow_runs_inside() -> None:
    """Its nodes have ids of their own, its end is the node's end."""
    sub = workflow("sub", [task_node("n0")], "n0")
    nodes = [workflow_node("n0"), task_node("n1", "n0")]
    engine = Engine(definition(nodes, "n1", subs=[sub]), created())
    engine.begin()

    assert engine.phase("n0") == "RUNNING"
    engine.succeed("n0-0-n0", 5)
    assert engine.phase("n0") == "SUCCEEDED"
    assert engine.run_of("n1").inputs == Values(inline=values(x=5))


def test_a_failure_inside_a_sub_workflow_fails_what_holds_it() -> None:
    """The inner failure carries up to the execution."""
    sub = workflow("sub", [task_node("n0"), task_node("n1")], "n0")
    engine = Engine(definition([workflow_node("n0")], "n0", subs=[sub]), created())
    engine.begin()
    engine.fail("n0-0-n1")

    assert engine.phase("n0-0-n0") == "ABORTED"
    assert engine.phase("n0") == "FAILED"
    assert engine.state.phase.value == "FAILED"


@pytest.mark.parametrize(("x", "arm"), [(9, "b-big"), (1, "b-small")])
def test_a_branch_runs_one_arm(x: int, arm: str) -> None:
    """The operands are recorded, the arm's outputs are the branch's."""
    node = branch_node("b", "", task_node("b-big"), task_node("b-small"))
    engine = Engine(definition([node], "b"), created(x))
    engine.begin()

    decided = [m for m in engine.events if isinstance(m, ne.BranchDecided)]
    assert [(m.chosen, m.operands) for m in decided] == [(arm, values(x=x))]
    engine.succeed(f"b-0-{arm}", 3)
    assert engine.phase("b") == "SUCCEEDED"
    assert engine.state.outputs == Values(inline=values(o0=3))


def test_an_arm_waits_for_its_own_upstream() -> None:
    """An arm that uses another node's output waits for that one after the decision."""
    arm = task_node("b-big", "n0")
    nodes = [task_node("n0"), branch_node("b", "", arm, None)]
    engine = Engine(definition(nodes, "b"), created(9))
    engine.begin()

    assert engine.phase("b") == "RUNNING"
    assert engine.phase("b-0-b-big") == ""
    engine.succeed("n0", 4)
    assert engine.run_of("b-0-b-big").inputs == Values(inline=values(x=4))


def test_a_branch_fails_with_what_its_arm_waits_for() -> None:
    """An arm that can't run any more ends its branch, so that nothing stays open."""
    nodes = [task_node("n0"), branch_node("b", "", task_node("b-big", "n0"), None)]
    engine = Engine(definition(nodes, "b", fail_late=True), created(9))
    engine.begin()
    engine.fail("n0")

    assert engine.phase("b-0-b-big") == "SKIPPED"
    assert engine.phase("b") == "FAILED"
    assert engine.state.phase.value == "FAILED"


def test_a_branch_without_a_fitting_arm_fails() -> None:
    """The author's own words are the error."""
    node = branch_node("b", "", task_node("b-big"), None)
    engine = Engine(definition([node], "b"), created(1))
    engine.begin()

    failure = engine.state.failure
    assert failure is not None
    assert (failure.code, failure.message) == ("UserProvidedError", "none fits")


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


def test_offloaded_outputs_are_resolved_outside() -> None:
    """A node that needs a value by reference isn't shown until it is resolved."""
    engine = chain(2)
    run = engine.run_of("n0")
    report = success(run)
    big = Values(uri="blob", digest="1", size=10**6)
    engine.do(c.ReportTaskSucceeded(**{**_fields(report), "outputs": big}))

    resolve = engine.sent[-1]
    assert isinstance(resolve, d.ResolveInputs)
    assert resolve.sources == (d.SourceValues(node_id="n0", values=big),)
    resolved = c.ReportInputsResolved(
        node_id="n1", attempt=0, inputs=Values(inline=values(x=2))
    )
    assert names(engine.do(resolved)) == ["NodeQueued", "TaskQueued"]
    assert engine.do(resolved) == []


def _fields(report: c.ReportTaskSucceeded) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__struct_fields__}


def test_inputs_that_cannot_be_resolved_fail_the_node() -> None:
    """The failure of the resolution is the node's."""
    engine = chain(2)
    report = success(engine.run_of("n0"))
    big = Values(uri="blob", digest="1", size=10**6)
    engine.do(c.ReportTaskSucceeded(**{**_fields(report), "outputs": big}))
    lost = Failure(code="BindingResolutionFailure", message="gone", kind="SYSTEM")
    engine.do(c.ReportResolutionFailed(node_id="n1", attempt=0, failure=lost))

    assert engine.state.failure == lost


def test_inputs_too_large_for_an_event_are_offloaded_by_a_runner() -> None:
    """Many small values make large inputs: those go by reference as well."""
    wide = task_node("n1", after=("n0",))
    del wide.inputs[:]
    items = wide.inputs.add(var="x").binding.collection.bindings
    for _ in range(40):
        items.add().promise.CopyFrom(promise("x", "n0").binding.promise)
    engine = Engine(definition([task_node("n0"), wide], "n1"), created())
    engine.begin()
    text = literals_pb2.LiteralMap()
    text.literals["o0"].scalar.primitive.string_value = "y" * 1000
    outputs = Values(inline=text.SerializeToString())
    report = {**_fields(success(engine.run_of("n0"))), "outputs": outputs}
    engine.do(c.ReportTaskSucceeded(**report))

    assert isinstance(engine.sent[-1], d.ResolveInputs)


def test_outputs_that_cannot_be_resolved_fail_late_executions_too() -> None:
    """Nothing comes after the end node: its failure ends the workflow at once."""
    engine = Engine(definition([task_node("n0")], "n0", fail_late=True), created())
    engine.begin()
    big = Values(uri="blob", digest="1", size=10**6)
    report = {**_fields(success(engine.run_of("n0"))), "outputs": big}
    engine.do(c.ReportTaskSucceeded(**report))
    lost = Failure(code="BindingResolutionFailure", message="gone", kind="SYSTEM")
    engine.do(c.ReportResolutionFailed(node_id="end-node", attempt=0, failure=lost))

    assert engine.state.phase.value == "FAILED"
    assert engine.state.failure == lost


def test_an_attempt_knows_where_the_one_before_kept_its_progress() -> None:
    """The first attempt has no checkpoint to read; the second has the first one's."""
    engine = chain()
    first = engine.run_of("n0")
    engine.fail("n0", kind="SYSTEM", recoverable=True)
    second = engine.run_of("n0")

    assert first.previous_checkpoint == ""
    assert second.attempt == 1
    assert second.previous_checkpoint == f"{first.raw_output_prefix}/_flytecheckpoints"

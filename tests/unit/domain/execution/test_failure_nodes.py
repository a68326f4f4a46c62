"""Failure nodes: what runs when a workflow fails, and what it is told (ref §4.1)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import compiler_pb2, literals_pb2, types_pb2

from domain.execution.decide import execution
from domain.execution.state.frontier import rebuild
from domain.execution.state.timers import timers_of
from domain.graph import definition_of
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Failure, Values
from tests.support.due_timers import wake
from tests.support.engine import Engine, created, names, start
from tests.support.graphs import (
    branch_node,
    promise,
    task_node,
    task_template,
    values,
    workflow,
    workflow_node,
)

ERROR = types_pb2.LiteralType(simple=types_pb2.ERROR)
NONE = types_pb2.LiteralType(simple=types_pb2.NONE)


def cleaner(name: str = "clean", retries: int = 0, timeout_s: int = 0) -> Any:
    """Return a task from x: int and err: FlyteError or None."""
    template = task_template(name, retries=retries)
    template.metadata.timeout.FromSeconds(timeout_s)
    template.interface.inputs.variables["err"].type.union_type.variants.extend(
        [ERROR, NONE]
    )
    return template


def failure_node(node_id: str = "fn0", task: str = "clean") -> Any:
    """Return a failure node as flytekit makes it: `err` is bound to None."""
    node = task_node(node_id, task=task)
    none = literals_pb2.Scalar(
        union={"value": {"scalar": {"none_type": {}}}, "type": NONE}
    )
    data = literals_pb2.BindingData(scalar=none)
    node.inputs.append(literals_pb2.Binding(var="err", binding=data))
    return node


def handled(name: str, nodes: list[Any], output: str, **options: Any) -> Any:
    """Return a compiled workflow with a failure node."""
    node = options.pop("node", None) or failure_node()
    compiled = workflow(name, nodes, output, **options)
    compiled.template.failure_node.CopyFrom(node)
    compiled.connections.upstream[node.id].ids.append("start-node")
    return compiled


def engine(primary: Any, *subs: Any, parallelism: int = 25, **options: Any) -> Engine:
    """Return an execution that has begun."""
    closure = compiler_pb2.CompiledWorkflowClosure(primary=primary, sub_workflows=subs)
    for template in (task_template(), cleaner(**options)):
        closure.tasks.add().template.CopyFrom(template)
    made = Engine(definition_of(closure), created(7, max_parallelism=parallelism))
    made.begin()
    return made


def err(run: d.RunTask) -> Any:
    """Return the error that a failure node was told."""
    given = literals_pb2.LiteralMap.FromString(run.inputs.inline or b"")
    assert given.literals["x"].scalar.primitive.integer == 7
    union = given.literals["err"].scalar.union
    assert union.type.simple == types_pb2.ERROR
    assert union.type.structure.tag == "FlyteError"
    return union.value.scalar.error


def test_it_runs_once_everything_else_was_stopped() -> None:
    """It gets the workflow's inputs and the node that failed; then all has FAILED."""
    made = engine(handled("main", [task_node("n0"), task_node("n1")], "n0"))
    made.fail("n1")

    assert made.state.phase.value == "FAILING"
    assert made.phase("n0") == "ABORTED"
    told = err(made.run_of("fn0"))
    assert (told.failed_node_id, told.message) == ("n1", "it broke")
    made.succeed("fn0")

    assert made.phase("fn0") == "SUCCEEDED"
    assert made.state.phase.value == "FAILED"
    assert made.state.failure == Failure(code="Boom", message="it broke", kind="USER")
    assert execution.fold(made.events) == made.state


def test_it_never_runs_in_a_workflow_that_succeeds() -> None:
    """Nothing leads from the start to it."""
    made = engine(handled("main", [task_node("n0")], "n0"))
    made.succeed("n0")

    assert made.state.phase.value == "SUCCEEDED"
    assert made.phase("fn0") == ""


def test_its_own_failure_counts() -> None:
    """It is tried again like any task; then its error is the workflow's."""
    made = engine(handled("main", [task_node("n0")], "n0"), retries=1)
    made.fail("n0")
    made.fail("fn0", recoverable=True)
    assert made.run_of("fn0").attempt == 1
    made.fail("fn0")

    assert made.phase("fn0") == "FAILED"
    assert made.state.phase.value == "FAILED"
    assert made.state.failure is not None
    assert names(made.events)[-1] == "ExecutionFailed"


def test_it_needs_no_free_slot() -> None:
    """A workflow that is too late because it got no slot cleans up all the same."""
    late = workflow_node("n1")
    late.metadata.timeout.FromSeconds(5)
    sub = handled("sub", [task_node("n0")], "n0")
    nodes = [task_node("n0"), late]
    made = engine(workflow("main", nodes, "n0", fail_late=True), sub, parallelism=1)
    assert made.phase("n1-0-n0") == ""
    wake(made)

    assert made.phase("n1-0-fn0") == "QUEUED"
    assert made.phase("n0") == "QUEUED"


def test_the_late_policy_runs_it_at_the_end() -> None:
    """The others go on first; the error is the last failure's."""
    nodes = [task_node("n0"), task_node("n1"), task_node("n2", "n0")]
    made = engine(handled("main", nodes, "n2", fail_late=True))
    made.fail("n0")
    assert made.phase("fn0") == ""
    assert made.phase("n2") == "SKIPPED"
    made.succeed("n1")

    assert err(made.run_of("fn0")).failed_node_id == "n0"
    made.succeed("fn0")
    assert made.state.phase.value == "FAILED"


def test_a_sub_workflow_has_its_own() -> None:
    """It runs inside first, then the outer one is told of the sub-workflow's node."""
    sub = handled("sub", [task_node("n0")], "n0")
    made = engine(handled("main", [workflow_node("n1")], "n1"), sub)
    made.fail("n1-0-n0")

    assert made.phase("n1") == "FAILING"
    assert err(made.run_of("n1-0-fn0")).failed_node_id == "n1-0-n0"
    assert made.phase("fn0") == ""
    made.succeed("n1-0-fn0")
    assert made.phase("n1") == "FAILED"
    assert err(made.run_of("fn0")).failed_node_id == "n1"
    made.succeed("fn0")
    assert made.state.phase.value == "FAILED"


def test_it_may_be_a_workflow() -> None:
    """What is inside it runs as anywhere, also after the engine was restarted."""
    inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
    node = workflow_node("fn0")
    made = engine(handled("main", [task_node("n0")], "n0", node=node), inner)
    made.fail("n0")
    made.frontier = rebuild(made.definition, made.state)
    made.succeed("fn0-0-n0")
    made.frontier = rebuild(made.definition, made.state)
    made.succeed("fn0-0-n1")

    assert made.phase("fn0") == "SUCCEEDED"
    assert made.state.phase.value == "FAILED"


def test_what_waited_for_a_slot_isn_t_begun() -> None:
    """Once a workflow fails, only its failure node is."""
    nodes = [task_node(f"n{number}") for number in range(4)]
    made = engine(handled("main", nodes, "n0"), parallelism=1)
    made.fail("n0")
    made.frontier = rebuild(made.definition, made.state)
    made.do(start(made.run_of("fn0")))
    made.succeed("fn0")

    assert [n for n in ("n1", "n2", "n3") if made.phase(n)] == []
    assert made.state.phase.value == "FAILED"


def test_the_arm_that_failed_is_named() -> None:
    """A branch fails by its arm; one that finds no arm has failed itself."""
    arm = branch_node("n0", "", task_node("n0-a"), None)
    made = engine(handled("main", [arm], "n0"))
    made.fail("n0-n0-a" if made.phase("n0-n0-a") else "n0-0-n0-a")

    assert err(made.run_of("fn0")).failed_node_id.endswith("n0-a")


def test_termination_stops_it() -> None:
    """A failing execution can be terminated: it ends ABORTED."""
    made = engine(handled("main", [task_node("n0")], "n0"))
    made.fail("n0")
    made.do(start(made.run_of("fn0")))
    made.do(c.TerminateExecution(cause="enough"))

    assert made.state.phase.value == "ABORTED"
    assert made.phase("fn0") == "ABORTED"
    assert isinstance(made.sent[-1], d.AbortTask)


def test_termination_doesn_t_run_it() -> None:
    """An execution that somebody stops hasn't failed."""
    made = engine(handled("main", [task_node("n0")], "n0"))
    made.do(c.TerminateExecution(cause="enough"))

    assert made.state.phase.value == "ABORTED"
    assert made.phase("fn0") == ""


def test_its_large_inputs_are_resolved_outside() -> None:
    """The dispatch carries the error as it carries other bindings."""
    made = engine(handled("main", [task_node("n0")], "n0"))
    big = Values(uri="blob", digest="1", size=10**6)
    first = made.state.nodes["start-node"]
    nodes = made.state.nodes.set(
        "start-node", type(first)(site=first.site, phase=first.phase, outputs=big)
    )
    made.state = type(made.state)(
        **{n: getattr(made.state, n) for n in made.state.__struct_fields__}
        | {"nodes": nodes}
    )
    made.fail("n0")
    asked = made.sent[-1]
    assert isinstance(asked, d.ResolveInputs)
    told = [literals_pb2.Binding.FromString(b) for b in asked.bindings]
    (bound,) = [b for b in told if b.var == "err"]
    assert bound.binding.scalar.union.value.scalar.error.failed_node_id == "n0"
    made.do(
        c.ReportInputsResolved(
            node_id="fn0", attempt=0, inputs=Values(inline=values(x=7))
        )
    )
    made.succeed("fn0")
    assert made.state.phase.value == "FAILED"


@pytest.mark.parametrize(
    "kind", [ERROR, types_pb2.LiteralType(simple=types_pb2.INTEGER)]
)
def test_err_of_other_types(kind: Any) -> None:
    """A plain error is given plainly; an `err` that is no error is left alone."""
    template = cleaner()
    template.interface.inputs.variables["err"].type.CopyFrom(kind)
    node = task_node("fn0", task="clean")
    node.inputs.append(promise("err", ""))
    primary = handled("main", [task_node("n0")], "n0", node=node)
    closure = compiler_pb2.CompiledWorkflowClosure(primary=primary)
    for known in (task_template(), template):
        closure.tasks.add().template.CopyFrom(known)
    made = Engine(definition_of(closure), created(7))
    made.begin()
    made.fail("n0")

    given = literals_pb2.LiteralMap.FromString(made.run_of("fn0").inputs.inline or b"")
    told = given.literals["err"].scalar
    if kind == ERROR:
        assert told.error.failed_node_id == "n0"
    else:
        assert told.primitive.integer == 7


def test_a_failing_workflow_has_no_time_limit() -> None:
    """One that was too slow fails; its failure node has its own time."""
    node = workflow_node("n1")
    node.metadata.timeout.FromSeconds(5)
    sub = handled("sub", [task_node("n0")], "n0")
    made = engine(workflow("main", [node], "n1"), sub)
    (timer,) = timers_of(made.state)
    wake(made)
    assert made.do(c.TimeReached(timer_id=timer.id)) == []

    assert made.phase("n1") == "FAILING"
    assert err(made.run_of("n1-0-fn0")).failed_node_id == ""
    assert list(timers_of(made.state)) == []
    made.succeed("n1-0-fn0")
    assert made.state.failure is not None
    assert made.state.failure.code == "RetriesExhausted|TimeoutExpired"


def test_a_failure_node_that_takes_too_long() -> None:
    """Its workflow has failed for that."""
    made = engine(handled("main", [task_node("n0")], "n0"), timeout_s=5)
    made.fail("n0")
    made.do(start(made.run_of("fn0")))
    wake(made, made.state.nodes["fn0"].limits.expires_at_us)

    assert made.phase("fn0") == "TIMED_OUT"
    assert made.state.phase.value == "FAILED"
    assert made.state.failure is not None
    assert made.state.failure.code == "TimedOut"

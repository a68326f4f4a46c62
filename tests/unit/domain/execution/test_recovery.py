"""Recovery: what succeeded isn't run again, wherever it lies; the rest is."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.node import ChildExecution
from domain.execution.state.saved_nodes import saved_nodes
from schemas.ids import ExecutionRef
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.values import Failure, Values
from tests.support.cache_lookups import miss
from tests.support.engine import Engine, created, success
from tests.support.graphs import (
    array_node,
    branch_node,
    cached_template,
    definition,
    launch_plan_node,
    lists,
    task_node,
    task_template,
    values,
    workflow,
    workflow_node,
)

CHILD = ExecutionRef(project="p", domain="d", name="main-1-n0-0")


def events(engine: Engine, kind: type) -> list[e.ExecutionEvent]:
    """Return the events of a kind."""
    return [event for event in engine.events if isinstance(event, kind)]


def recovered_nodes(engine: Engine) -> list[str]:
    """Return the ids of the nodes that were taken over, in order."""
    found = events(engine, ne.NodeRecovered)
    return [
        event.site.node_id for event in found if isinstance(event, ne.NodeRecovered)
    ]


def chain() -> Engine:
    """Return an execution of n0 > n1, begun."""
    nodes = [task_node("n0"), task_node("n1", "n0")]
    engine = Engine(definition(nodes, "n1"), created())
    engine.begin()
    return engine


def child_report(phase: str, **more: object) -> c.ReportChild:
    """Return what the child of n0 says of itself."""
    fields = {"node_id": "n0", "attempt": 0, "child": CHILD.text(), "phase": phase}
    return c.ReportChild(**fields, **more)


def test_what_succeeded_is_taken_over_and_what_failed_runs() -> None:
    """n0's outputs are there without a run, and n1 works with them."""
    original = chain()
    original.succeed("n0", 7)
    original.fail("n1")

    again = original.recovered()

    assert again.phase("n0") == "RECOVERED"
    assert [run.node_id for run in again.runs()] == ["n1"]
    assert again.run_of("n1").inputs == Values(inline=values(x=7))
    again.succeed("n1", 8)
    assert again.state.phase == "SUCCEEDED"
    assert again.state.outputs == Values(inline=values(o0=8))


def test_a_recovered_node_repeats_what_was_known_of_it() -> None:
    """Inputs, outputs and where they lie are told by the one event that it has."""
    original = chain()
    original.succeed("n0", 7)
    original.fail("n1")

    again = original.recovered()
    of_n0 = [f for f in again.events if getattr(f, "node_id", "") == "n0"]
    (event,) = events(again, ne.NodeRecovered)

    assert not of_n0
    assert isinstance(event, ne.NodeRecovered)
    assert event.inputs == Values(inline=values(x=1))
    assert event.outputs == Values(inline=values(o0=7))
    assert event.input_path.endswith("-main-1/n0/inputs.pb")


def test_a_recovery_of_everything_runs_nothing() -> None:
    """An execution that had succeeded ends at once, with the same outputs."""
    original = chain()
    original.succeed("n0", 7)
    original.succeed("n1", 9)

    again = original.recovered()

    assert not again.runs()
    assert again.state.phase == "SUCCEEDED"
    assert again.state.outputs == original.state.outputs


def test_a_recovery_is_recovered_with_what_it_had_not_come_to() -> None:
    """What the first original saved isn't lost in a recovery that ended early."""
    original = chain()
    original.succeed("n0", 7)
    original.fail("n1")
    first = original.recovered()
    nothing_done = saved_nodes(first.events[:2], first.recovery)

    second = Engine(first.definition, first.first)
    second.recovery = nothing_done
    second.begin()

    assert recovered_nodes(second) == ["n0"]
    assert recovered_nodes(first.recovered()) == ["n0"]


def test_a_failed_sub_workflow_is_entered() -> None:
    """Its insides that succeeded are taken over, it itself runs again."""
    inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
    nodes = [workflow_node("n0"), task_node("n1", "n0")]
    original = Engine(definition(nodes, "n1", subs=[inner]), created())
    original.begin()
    original.succeed("n0-0-n0", 5)
    original.fail("n0-0-n1")

    again = original.recovered()

    assert recovered_nodes(again) == ["n0-0-n0"]
    assert again.phase("n0") == "RUNNING"
    again.succeed("n0-0-n1", 6)
    assert again.phase("n0") == "SUCCEEDED"
    assert again.run_of("n1").inputs == Values(inline=values(x=6))


def test_a_sub_workflow_that_succeeded_is_taken_over_whole() -> None:
    """Nothing inside is entered, and nothing inside is told of."""
    inner = workflow("sub", [task_node("n0")], "n0")
    nodes = [workflow_node("n0"), task_node("n1", "n0")]
    original = Engine(definition(nodes, "n1", subs=[inner]), created())
    original.begin()
    original.succeed("n0-0-n0", 5)
    original.fail("n1")

    again = original.recovered()

    assert recovered_nodes(again) == ["n0"]
    assert not any("n0-0" in node_id for node_id in again.state.nodes)


def test_a_branch_that_succeeded_is_taken_over_whole() -> None:
    """Its arm isn't chosen again."""
    branch = branch_node("n0", "", task_node("n0-a"), task_node("n0-b"))
    original = Engine(definition([branch, task_node("n1", "n0")], "n1"), created(9))
    original.begin()
    original.succeed("n0-0-n0-a", 5)
    original.fail("n1")

    again = original.recovered()

    assert recovered_nodes(again) == ["n0"]
    assert [run.node_id for run in again.runs()] == ["n1"]


def test_an_arm_with_a_failed_workflow_is_recovered_inside() -> None:
    """The branch decides again, its arm's insides that succeeded are taken over."""
    inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
    arm = workflow_node("a", "")
    branch = branch_node("n0", "", arm, task_node("b"))
    original = Engine(definition([branch], "n0", subs=[inner]), created(9))
    original.begin()
    first = original.runs()[-1].node_id
    original.succeed(first, 5)
    original.fail(original.runs()[-1].node_id)

    again = original.recovered()

    assert recovered_nodes(again) == [first]
    again.succeed(again.runs()[-1].node_id, 6)
    assert again.state.phase == "SUCCEEDED"


def test_elements_are_recovered_by_index() -> None:
    """Only the element that failed runs; the lists are whole again."""
    nodes = [array_node("n0", task="m")]
    graph = definition(nodes, "n0", tasks=[task_template("m")])
    first = created()
    given = Values(inline=lists(x=[1, 2, 3]))
    original = Engine(graph, e.ExecutionCreated(**_with(first, inputs=given)))
    original.begin()
    original.succeed("n0-0-n0", 10)
    original.succeed("n0-0-n2", 30)
    original.fail("n0-0-n1")

    again = original.recovered()

    assert recovered_nodes(again) == ["n0-0-n0", "n0-0-n2"]
    assert [run.array_index for run in again.runs()] == [1]
    again.succeed("n0-0-n1", 20)
    assert again.state.nodes["n0"].outputs == Values(inline=_numbers(10, 20, 30))
    assert again.state.phase == "SUCCEEDED"


def _with(first: e.ExecutionCreated, **fields: object) -> dict[str, object]:
    known = {name: getattr(first, name) for name in first.__struct_fields__}
    return {**known, **fields}


def _numbers(*numbers: int) -> bytes:
    return lists(o0=numbers)


def test_a_failed_child_is_recovered_by_a_new_one() -> None:
    """The new child is told which one it takes over from."""
    original = Engine(definition([launch_plan_node("n0")], "n0"), created())
    original.begin()
    original.do(child_report("QUEUED"))
    original.do(child_report("FAILED", failure=Failure(code="X", message="y")))

    again = original.recovered()

    (asked,) = events(again, ne.ChildRequested)
    assert isinstance(asked, ne.ChildRequested)
    assert asked.recovers == CHILD
    sent = again.sent[-1]
    assert isinstance(sent.command, c.CreateExecution)
    assert sent.command.recovers == CHILD


def test_a_child_that_succeeded_is_kept() -> None:
    """No new one is asked for, and the node still shows the old one."""
    nodes = [launch_plan_node("n0"), task_node("n1", "n0")]
    original = Engine(definition(nodes, "n1"), created())
    original.begin()
    original.do(child_report("QUEUED"))
    outputs = Values(inline=values(o0=3))
    original.do(child_report("SUCCEEDED", outputs=outputs))
    original.fail("n1")

    again = original.recovered()

    assert not events(again, ne.ChildRequested)
    (event,) = events(again, ne.NodeRecovered)
    assert isinstance(event, ne.NodeRecovered)
    assert event.child == CHILD
    assert again.state.nodes["n0"].child == ChildExecution(execution=CHILD)


def test_a_recovered_node_was_not_stored_if_storing_failed() -> None:
    """A cached node whose outputs could not be stored says so when it is recovered."""
    nodes = [task_node("n0"), task_node("n1", task="u", after=["n0"])]
    tasks = [cached_template(), task_template("u")]
    engine = Engine(definition(nodes, "n1", tasks=tasks), created())
    engine.begin()
    (look_up,) = [m for m in engine.sent if isinstance(m, d.LookUpCache)]
    engine.do(miss(look_up))
    engine.do(replace(success(engine.run_of("n0")), outputs=Values(inline=b"")))
    engine.fail("n1")

    again = engine.recovered()

    (event,) = events(again, ne.NodeRecovered)
    assert isinstance(event, ne.NodeRecovered)
    assert (event.site.node_id, event.cache_status) == ("n0", "PUT_FAILURE")

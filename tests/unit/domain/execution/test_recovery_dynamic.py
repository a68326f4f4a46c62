"""Recovery of dynamic nodes: what their tasks made is taken over, and its insides."""

from __future__ import annotations

from schemas.messages import node_events as ne
from schemas.values import Values
from tests.support.due_timers import next_timer, wake
from tests.support.engine import Engine, created, expansion
from tests.support.graphs import (
    definition,
    given_node,
    task_node,
    task_template,
    values,
)

INSIDE = definition([given_node("dn0"), task_node("dn1", "dn0")], "dn1")
OTHER = definition([given_node("dn0"), task_node("dn1", "dn0")], "dn0")


def begun(retries: int = 0, timeout_s: int = 0) -> Engine:
    """Return an execution of a task that will make a workflow, and one after it."""
    tasks = [task_template(retries=retries)]
    tasks[0].metadata.timeout.FromSeconds(timeout_s)
    graph = definition([task_node("n0"), task_node("n1", "n0")], "n1", tasks=tasks)
    engine = Engine(graph, created())
    engine.insides = {"inside": INSIDE, "other": OTHER}
    engine.begin()
    return engine


def nested() -> Engine:
    """Return an execution in which a dynamic node made another one, that failed."""
    engine = begun()
    engine.do(expansion(engine.run_of("n0"), "inside"))
    engine.succeed("n0-0-dn0", 5)
    engine.do(expansion(engine.run_of("n0-0-dn1"), "other"))
    engine.succeed("n0-0-dn1-0-dn0", 6)
    engine.fail("n0-0-dn1-0-dn1")
    return engine


def recovered_nodes(engine: Engine) -> list[str]:
    """Return the ids of the nodes that were taken over, in order."""
    found = [f for f in engine.events if isinstance(f, ne.NodeRecovered)]
    return [event.site.node_id for event in found]


def test_what_a_task_made_is_taken_over() -> None:
    """The task isn't run again; of its workflow only what failed is."""
    original = begun()
    original.do(expansion(original.run_of("n0"), "inside"))
    original.succeed("n0-0-dn0", 5)
    original.fail("n0-0-dn1")

    again = original.recovered()

    assert again.phase("n0") == "DYNAMIC_RUNNING"
    assert recovered_nodes(again) == ["n0-0-dn0"]
    assert [run.node_id for run in again.runs()] == ["n0-0-dn1"]
    assert again.run_of("n0-0-dn1").inputs == Values(inline=values(x=5))
    again.succeed("n0-0-dn1", 7)
    assert again.run_of("n1").inputs == Values(inline=values(x=7))


def test_what_a_later_attempt_made_is_found() -> None:
    """The ids within differ, as attempts begin at 0 again; what ran is the same."""
    original = begun(retries=1)
    original.fail("n0", recoverable=True)
    original.do(expansion(original.run_of("n0"), "inside"))
    original.succeed("n0-1-dn0", 5)
    original.fail("n0-1-dn1")

    again = original.recovered()

    assert recovered_nodes(again) == ["n0-0-dn0"]
    assert [run.node_id for run in again.runs()] == ["n0-0-dn1"]


def test_a_dynamic_node_that_succeeded_is_taken_over_whole() -> None:
    """Nothing of it is entered."""
    original = begun()
    original.do(expansion(original.run_of("n0"), "inside"))
    original.succeed("n0-0-dn0")
    original.succeed("n0-0-dn1", 7)
    original.fail("n1")

    again = original.recovered()

    assert recovered_nodes(again) == ["n0"]
    assert [run.node_id for run in again.runs()] == ["n1"]


def test_dynamics_within_dynamics_are_recovered() -> None:
    """However deep it lies, only what failed runs; twice over, too."""
    for again in (nested().recovered(), nested().recovered().recovered()):
        assert recovered_nodes(again) == ["n0-0-dn0", "n0-0-dn1-0-dn0"]
        assert [run.node_id for run in again.runs()] == ["n0-0-dn1-0-dn1"]
        again.succeed("n0-0-dn1-0-dn1")
        again.succeed("n1", 9)
        assert again.state.outputs == Values(inline=values(o0=9))


def test_nothing_of_another_workflow_is_taken_over() -> None:
    """Where a task must run again, what it makes then has nothing to do with before."""
    original = begun()
    original.do(expansion(original.run_of("n0"), "inside"))
    original.succeed("n0-0-dn0", 5)
    original.fail("n0-0-dn1")
    again = original.to_recover()
    again.definition = begun().definition  # without what was made
    again.begin()

    again.do(expansion(again.run_of("n0"), "other"))

    assert recovered_nodes(again) == []
    assert again.runs()[-1].node_id == "n0-0-dn0"


def test_what_is_taken_over_has_a_time_limit_too() -> None:
    """It counts from the recovery; then the task is tried again, if it may be."""
    original = begun(retries=1, timeout_s=10)
    original.do(expansion(original.run_of("n0"), "inside"))
    original.fail("n0-0-dn0")

    again = original.recovered()
    assert next_timer(again).due_us == again.clock_us + 10_000_000
    wake(again)

    assert again.phase("n0-0-dn0") == "ABORTED"
    assert again.runs()[-1].node_id == "n0"
    assert again.runs()[-1].attempt == 1


def test_what_an_earlier_attempt_made_is_not_taken_over() -> None:
    """Only the workflow that the last attempt returned counts, and what ran in it."""
    original = begun(retries=1, timeout_s=10)
    original.do(expansion(original.run_of("n0"), "inside"))
    original.succeed("n0-0-dn0", 5)
    wake(original, original.state.nodes["n0"].limits.deadline_us)
    original.do(expansion(original.run_of("n0"), "other"))
    original.fail("n0-1-dn0")

    again = original.recovered()

    assert recovered_nodes(again) == []
    assert [run.node_id for run in again.runs()] == ["n0-0-dn0"]

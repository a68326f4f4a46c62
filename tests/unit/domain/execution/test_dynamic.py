"""Dynamic nodes, by the decider: what a task made runs in its place (ref §5.5)."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.frontier import rebuild
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import ExecutionPhase, NodePhase
from tests.support.due_timers import wake
from tests.support.engine import Engine, created, expansion, failure, start, success
from tests.support.graphs import (
    definition,
    given_node,
    task_node,
    task_template,
    values,
    workflow,
    workflow_node,
)

INSIDE = definition([given_node("dn0"), task_node("dn1", "dn0")], "dn1")
NESTED = definition(
    [given_node("dn0"), workflow_node("dn1", "dn0")],
    "dn1",
    subs=[workflow("sub", [task_node("n0")], "n0")],
)


def begun(*, max_parallelism: int = 25, timeout_s: int = 0) -> Engine:
    """Return an execution of two tasks, of which the first has made a workflow."""
    template = task_template()
    template.metadata.timeout.FromSeconds(timeout_s)
    graph = definition([task_node("n0"), task_node("n1", "n0")], "n1", tasks=[template])
    engine = Engine(graph, created(max_parallelism=max_parallelism))
    engine.insides = {"inside": INSIDE, "nested": NESTED}
    engine.begin()
    return engine


def test_the_inside_runs_in_the_tasks_place() -> None:
    """Its nodes lie in the dynamic one, and its outputs are the node's."""
    engine = begun()
    events = engine.do(expansion(engine.run_of("n0"), "inside"))

    assert [type(f) for f in events[:4]] == [
        ne.TaskStarted, ne.NodeStarted, ne.TaskSucceeded, ne.NodeExpanded,
    ]  # fmt: skip
    assert engine.state.nodes["n0"].phase is NodePhase.DYNAMIC_RUNNING
    engine.succeed("n0-0-dn0", 5)
    engine.succeed("n0-0-dn1", 7)
    node = engine.state.nodes["n0"]
    assert node.phase is NodePhase.SUCCEEDED
    assert node.outputs is not None
    assert node.outputs.inline == values(o0=7)
    engine.succeed("n1")
    assert engine.state.phase is ExecutionPhase.SUCCEEDED


def test_a_dynamic_node_gives_its_slot_to_its_inside() -> None:
    """With one slot only, the inside runs nevertheless."""
    engine = begun(max_parallelism=1)
    engine.do(expansion(engine.run_of("n0"), "inside"))
    assert engine.state.slots == 1
    assert [run.node_id for run in engine.runs()] == ["n0", "n0-0-dn0"]


def test_a_sub_workflow_of_the_inside_is_the_insides_own() -> None:
    """Scopes are nested: the graph is looked for in what the task made."""
    engine = begun()
    engine.do(expansion(engine.run_of("n0"), "nested"))
    engine.succeed("n0-0-dn0")
    engine.succeed("n0-0-dn1-0-n0", 4)
    node = engine.state.nodes["n0"]
    assert node.outputs is not None
    assert node.outputs.inline == values(o0=4)


def test_a_failure_inside_is_the_nodes() -> None:
    """The first failure ends the inside, the node and the execution, for good."""
    engine = begun()
    engine.do(expansion(engine.run_of("n0"), "inside"))
    engine.do(failure(engine.run_of("n0-0-dn0"), recoverable=False))
    assert engine.state.nodes["n0"].phase is NodePhase.FAILED
    assert engine.state.phase is ExecutionPhase.FAILED
    assert engine.state.failure is not None
    assert engine.state.failure == engine.state.nodes["n0-0-dn0"].last_failure


def test_what_comes_late_changes_nothing() -> None:
    """An expansion after the attempt's end, or a second one, yields no events."""
    engine = begun()
    run = engine.run_of("n0")
    engine.do(expansion(run, "inside"))
    assert engine.do(expansion(run, "nested")) == []
    assert engine.do(success(run)) == []
    engine.succeed("n0-0-dn0")


def test_an_abort_ends_the_inside_first() -> None:
    """What runs inside is told to stop, and nothing stays open."""
    engine = begun()
    engine.do(expansion(engine.run_of("n0"), "inside"))
    events = engine.do(c.TerminateExecution(cause="enough", principal="ann"))
    ended = [f.node_id for f in events if isinstance(f, ne.NodeAborted)]
    assert ended.index("n0-0-dn0") < ended.index("n0")
    assert not engine.state.active


def test_a_node_is_active_as_long_as_its_inside() -> None:
    """The limit of the whole node holds for what its task made (ref §4.6)."""
    engine = begun(timeout_s=10)
    engine.do(expansion(engine.run_of("n0"), "inside"))
    wake(engine, engine.state.nodes["n0"].limits.expires_at_us)
    assert engine.state.nodes["n0"].phase is NodePhase.TIMED_OUT
    assert engine.state.phase is ExecutionPhase.FAILED


LIMITED = definition(
    [given_node("dn0"), task_node("dn1", "dn0"), task_node("dn2", "dn1", "dn0")],
    "dn2",
    tasks=[task_template()],
)
LIMITED.primary.nodes["dn0"].spec.metadata.timeout.FromSeconds(5)
LIMITED.primary.nodes["dn0"].spec.metadata.retries.retries = 9


def timed_out_inside(retries: int) -> Engine:
    """Return an engine of which a node inside the first one's inside timed out."""
    template = task_template()
    template.metadata.retries.retries = retries
    graph = definition([task_node("n0"), task_node("n1", "n0")], "n1", tasks=[template])
    engine = Engine(graph, created(max_parallelism=1))
    engine.insides = {"limited": LIMITED}
    engine.begin()
    engine.do(expansion(engine.run_of("n0"), "limited"))
    engine.do(start(engine.run_of("n0-0-dn0")))
    wake(engine, engine.state.nodes["n0-0-dn0"].limits.expires_at_us)
    assert engine.state.nodes["n0-0-dn0"].phase is NodePhase.TIMED_OUT
    return engine


def test_a_dynamic_workflow_that_timed_out_is_tried_again() -> None:
    """The next attempt runs the task again, and nodes of its own inside (ref §5.5)."""
    engine = timed_out_inside(retries=1)
    node = engine.state.nodes["n0"]
    assert (node.phase, node.attempt, node.dynamic_closure) == (
        NodePhase.QUEUED,
        1,
        None,
    )
    assert not engine.frontier.arrived
    assert not engine.frontier.waiting
    engine.do(expansion(engine.run_of("n0"), "limited"))
    engine.succeed("n0-1-dn0")
    engine.succeed("n0-1-dn1")
    assert rebuild(engine.definition, engine.state).arrived == engine.frontier.arrived
    engine.succeed("n0-1-dn2")
    engine.succeed("n1")
    assert engine.state.phase is ExecutionPhase.SUCCEEDED
    assert not engine.definition.dynamic_closures


def test_an_inside_that_timed_out_for_good() -> None:
    """Without further attempts its failure is the node's."""
    engine = timed_out_inside(retries=0)
    assert engine.state.nodes["n0"].phase is NodePhase.FAILED
    assert engine.state.failure is not None
    assert engine.state.failure.code == "RetriesExhausted|Timeout"


def test_an_attempt_has_its_inside_within_its_time_limit() -> None:
    """What runs inside when the limit is reached is stopped, and another begins."""
    template = task_template()
    template.metadata.timeout.FromSeconds(10)
    template.metadata.retries.retries = 1
    graph = definition([task_node("n0")], "n0", tasks=[template])
    engine = Engine(graph, created())
    engine.insides = {"inside": INSIDE}
    engine.begin()
    engine.do(expansion(engine.run_of("n0"), "inside"))
    events = wake(engine, engine.state.nodes["n0"].limits.deadline_us)

    assert engine.state.nodes["n0-0-dn0"].phase is NodePhase.ABORTED
    assert engine.state.nodes["n0"].attempt == 1
    (retry,) = [f for f in events if isinstance(f, ne.NodeRetryScheduled)]
    assert retry.failure.code == "TimeoutExpired"
    assert engine.state.slots == 1


def test_the_deck_is_the_tasks() -> None:
    """It was made before the inside began, and is shown of the node for good."""
    engine = begun()
    report = replace(expansion(engine.run_of("n0"), "inside"), deck_uri="deck")
    engine.do(report)
    engine.succeed("n0-0-dn0")
    events = engine.succeed("n0-0-dn1")
    decks = {f.node_id: f.deck_uri for f in events if isinstance(f, ne.NodeSucceeded)}
    assert decks["n0"] == "deck"

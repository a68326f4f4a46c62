"""Golden streams: events once written fold to the same state for ever.

UPDATE_GOLDEN=1 writes them anew: for new stories only, as released ones stay.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from domain.execution.state.evolve import evolve
from domain.execution.state.state import Execution
from schemas.messages import commands as c
from schemas.wire import codec
from tests.support.engine import Engine, created, failure, start
from tests.support.graphs import (
    branch_node,
    definition,
    launch_plan_node,
    task_node,
    task_template,
    workflow,
    workflow_node,
)

FOLDER = Path(__file__).parent / "streams"
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"


def _begun(nodes: list[Any], output: str, **more: Any) -> Engine:
    engine = Engine(definition(nodes, output, **more), created())
    engine.begin()
    return engine


def _nested() -> Engine:
    """Run a task, a sub-workflow and a branch to a good end."""
    inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
    arms = task_node("n2-a", "n1"), task_node("n2-b")
    nodes = [task_node("n0"), workflow_node("n1", "n0")]
    nodes.append(branch_node("n2", "n1", *arms))
    engine = _begun(nodes, "n2", subs=[inner])
    done: set[str] = set()
    while open_runs := [r for r in engine.runs() if r.node_id not in done]:
        engine.do(start(open_runs[0]))
        engine.succeed(open_runs[0].node_id, 7)
        done.add(open_runs[0].node_id)
    return engine


def _retried() -> Engine:
    """Fail recoverably until the budget is gone, while another node runs."""
    tasks = [task_template(retries=1)]
    engine = _begun([task_node("n0"), task_node("n1")], "n1", tasks=tasks)
    engine.do(start(engine.run_of("n1")))
    engine.fail("n0", recoverable=True)
    run = engine.run_of("n0")
    engine.do(start(run))
    lost = c.ExpireLease(
        node_id=run.node_id,
        attempt=run.attempt,
        dispatch_no=run.dispatch_no,
        reason="the runner fell silent",
    )
    engine.do(lost)
    engine.do(failure(engine.run_of("n0"), recoverable=True))
    return engine


def _aborted() -> Engine:
    """Terminate an execution whose nodes stand at different points."""
    nodes = [task_node("n0"), task_node("n1"), launch_plan_node("n2")]
    engine = _begun([*nodes, task_node("n3", "n0")], "n3")
    engine.succeed("n1")
    engine.do(c.TerminateExecution(cause="enough", principal="somebody"))
    return engine


def _child() -> Engine:
    """Start a child execution that fails, in a graph that fails late."""
    nodes = [launch_plan_node("n0"), task_node("n1"), task_node("n2", "n0")]
    engine = _begun(nodes, "n1", fail_late=True)
    attempt = engine.state.nodes["n0"].attempt
    child = engine.state.nodes["n0"].child.execution.text()
    for phase in ("QUEUED", "FAILED"):
        report = c.ReportChild(node_id="n0", attempt=attempt, child=child, phase=phase)
        engine.do(report)
    engine.succeed("n1")
    return engine


STORIES: dict[str, Callable[[], Engine]] = {
    "nested": _nested,
    "retried": _retried,
    "aborted": _aborted,
    "child": _child,
}


def _lines(engine: Engine) -> str:
    lines = (
        {
            "type": codec.type_name(event),
            "body": base64.b64encode(codec.encode(event)).decode(),
        }
        for event in engine.events
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


def _told(state: Execution) -> dict[str, Any]:
    """Return what people would say of a state."""
    return {
        "phase": state.phase.value,
        "nodes": {
            node_id: {
                "phase": node.phase.value,
                "attempt": node.attempt,
                "system_failures": node.retries.system_failures,
                "task": node.task.phase.value if node.task else None,
                "runner": node.task.lease.runner
                if node.task and node.task.lease
                else "",
                "chosen": node.chosen_arm or "",
                "child": node.child.execution.text() if node.child else "",
                "outputs": node.outputs.inline.hex()
                if node.outputs and node.outputs.inline
                else None,
            }
            for node_id, node in sorted(state.nodes.items())
        },
        "active": sorted(state.active),
        "slots": state.slots,
        "failure": state.failure.message if state.failure else None,
        "outputs": state.outputs.inline.hex()
        if state.outputs and state.outputs.inline
        else None,
    }


@pytest.mark.parametrize("story", STORIES)
def test_released_events_fold_to_the_same_state(story: str) -> None:
    """Whoever reads an old log ends where its writer stood."""
    stream, state = FOLDER / f"{story}.jsonl", FOLDER / f"{story}.state.json"
    if UPDATES:
        engine = STORIES[story]()
        FOLDER.mkdir(exist_ok=True)
        stream.write_text(_lines(engine))
        state.write_text(json.dumps(_told(engine.state), indent=2) + "\n")
    lines = [json.loads(line) for line in stream.read_text().splitlines()]
    events = [codec.decode(base64.b64decode(line["body"])) for line in lines]
    names = [line["type"].rpartition(".")[2] for line in lines]
    assert names == [type(event).__name__ for event in events]
    folded = reduce(evolve, events, Execution())
    assert json.loads(state.read_text()) == _told(folded)


@pytest.mark.parametrize("story", STORIES)
def test_the_stories_still_end(story: str) -> None:
    """Today's laws bring each story to an end, and its fold is its state."""
    engine = STORIES[story]()
    assert engine.state.is_terminal
    assert engine.state == reduce(evolve, engine.events, Execution())

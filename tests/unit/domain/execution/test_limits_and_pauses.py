"""Time limits of executions, queueing budgets, pauses and memory of later attempts."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import execution_pb2
from flyteidl.core import tasks_pb2
from msgspec.structs import replace

from domain.annotations import (
    PREFIX,
    annotations_violation,
    duration_us,
    memory_factor,
    variables_violation,
)
from domain.execution.context import Limits
from domain.execution.decide import execution
from domain.execution.state.timers import timers_of
from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from tests.support.due_timers import wake
from tests.support.engine import Engine, created, failure, names, start
from tests.support.graphs import (
    array_of,
    definition,
    launch_plan_node,
    task_node,
    task_template,
)

SECOND_US = 1_000_000


def begun(
    *nodes: Any,
    template: Any = None,
    limits: Limits | None = None,
    failure_node: Any = None,
    budget_s: int = 0,
    parent: ParentNode | None = None,
    **annotations: str,
) -> Engine:
    """Return a started execution with these annotations."""
    spec = execution_pb2.ExecutionSpec()
    for name, value in annotations.items():
        spec.annotations.values[f"{PREFIX}{name.replace('_', '-')}"] = value
    if budget_s:
        spec.quality_of_service.spec.queueing_budget.FromSeconds(budget_s)
    graph = definition(
        nodes or [task_node("n0")],
        "n0",
        tasks=[template or task_template(retries=3)],
        failure_node=failure_node,
    )
    first = replace(created(parent=parent), spec=spec.SerializeToString())
    engine = Engine(graph, first)
    engine.limits = limits or Limits()
    engine.begin()
    return engine


def test_an_execution_past_its_time_ends_timed_out() -> None:
    """What runs is stopped, also children; the parent is told."""
    parent = ParentNode(stream="execution/p/d/above", node_id="n0", attempt=0)
    nodes = [task_node("n0"), launch_plan_node("n1")]
    engine = begun(*nodes, timeout="1m30s", parent=parent)
    engine.do(start(engine.run_of("n0")))
    engine.sent.clear()
    wake(engine)

    assert engine.state.phase.value == "TIMED_OUT"
    assert engine.phase("n0") == engine.phase("n1") == "ABORTED"
    assert engine.state.failure is not None
    assert engine.state.failure.code == "ExecutionTimedOut"
    assert engine.state.failure.message == "execution timeout [90s] expired"
    abort, child, report = engine.sent
    assert isinstance(abort, d.AbortTask)
    assert isinstance(child.command, c.TerminateExecution)
    assert report.command.phase == "TIMED_OUT"
    assert report.command.failure == engine.state.failure
    assert execution.fold(engine.events) == engine.state


def test_the_setting_limits_executions_without_annotations() -> None:
    """An annotation says otherwise, also that there is no limit."""
    limits = Limits(execution_timeout_us=9 * SECOND_US)
    assert wake(begun(limits=limits))
    assert not list(timers_of(begun(limits=limits, timeout="0s").state))


def test_a_late_execution_cleans_up() -> None:
    """Its failure node runs, and then it is TIMED_OUT."""
    engine = begun(timeout="5s", failure_node=task_node("fn0"))
    wake(engine)
    assert engine.state.phase.value == "FAILING"
    assert list(timers_of(engine.state)) != []
    assert wake(engine) == []
    engine.succeed("fn0")

    assert engine.state.phase.value == "TIMED_OUT"


def test_an_execution_in_time_is_left_alone() -> None:
    """A limit that wasn't reached changes nothing, nor does a stale timer."""
    engine = begun(timeout="5s")
    (timer,) = timers_of(engine.state)
    assert engine.do(c.TimeReached(timer_id=timer.id)) == []
    engine.succeed("n0")

    assert engine.state.phase.value == "SUCCEEDED"
    assert not list(timers_of(engine.state))


def test_nobody_begins_a_task_within_its_queueing_budget() -> None:
    """The node is TIMED_OUT; a task that was begun isn't held to it."""
    engine = begun(budget_s=5)
    wake(engine)
    assert engine.phase("n0") == "TIMED_OUT"
    assert engine.state.failure is not None
    assert "queueing budget [5s]" in engine.state.failure.message

    engine = begun(budget_s=5)
    engine.do(start(engine.run_of("n0")))
    assert not list(timers_of(engine.state))


def test_an_array_that_takes_too_long() -> None:
    """Its elements and its attempt are stopped, and it has failed."""
    node = array_of("n0", ["", ""], task="t")
    node.metadata.timeout.FromSeconds(5)
    engine = begun(node)
    engine.do(start(engine.run_of("n0-0-n0")))
    wake(engine)

    assert engine.phase("n0") == "FAILED"
    assert engine.phase("n0-0-n0") == engine.phase("n0-0-n1") == "ABORTED"
    assert engine.state.nodes["n0"].task.phase == "ABORTED"
    assert engine.state.failure is not None
    assert engine.state.failure.code == "RetriesExhausted|TimeoutExpired"


def test_the_systems_retries_pause_longer_each_time() -> None:
    """0.2, 0.4, 0.8 s, up to the longest; the next attempt begins by a timer."""
    limits = Limits(system_backoff_us=200_000, backoff_max_us=500_000)
    engine = begun(limits=limits)
    pauses = []
    for attempt in range(3):
        events = engine.fail("n0", kind="SYSTEM", recoverable=True)
        assert engine.phase("n0") == "RETRYABLE_FAILURE"
        assert len(engine.runs()) == attempt + 1
        pauses.append(events[-1].retry_at_us - engine.clock_us)
        assert names(wake(engine)) == ["NodeRequeued", "TaskQueued"]

    assert pauses == [200_000, 400_000, 500_000]
    engine.succeed("n0")
    assert engine.state.phase.value == "SUCCEEDED"


def test_a_users_retry_pauses_if_somebody_says_so() -> None:
    """The task's word counts more than the execution's, and that than the setting."""
    limits = Limits(user_backoff_us=SECOND_US)
    engine = begun(limits=limits)
    engine.fail("n0", recoverable=True)
    assert engine.state.nodes["n0"].retries.retry_at_us == engine.clock_us + SECOND_US

    engine = begun(limits=limits, retry_backoff="7s")
    engine.fail("n0", recoverable=True)
    assert (
        engine.state.nodes["n0"].retries.retry_at_us == engine.clock_us + 7 * SECOND_US
    )

    template = task_template(retries=3)
    template.container.env.add(key="FLIGHTLOG_RETRY_BACKOFF", value="0s")
    engine = begun(template=template, limits=limits, retry_backoff="7s")
    engine.fail("n0", recoverable=True)
    assert engine.run_of("n0").attempt == 1


def test_a_pausing_node_can_be_stopped() -> None:
    """Nothing runs then; a stale timer of it yields nothing."""
    engine = begun(retry_backoff="7s")
    engine.fail("n0", recoverable=True)
    (timer,) = timers_of(engine.state)
    assert engine.do(c.TimeReached(timer_id=timer.id)) == []
    engine.do(c.TerminateExecution(cause="enough"))

    assert engine.phase("n0") == "ABORTED"
    assert not list(timers_of(engine.state))


def hungry(**env: str) -> Any:
    """Return a task that asks for memory."""
    template = task_template(retries=3)
    resources = template.container.resources
    resources.requests.add(name=tasks_pb2.Resources.MEMORY, value="500Mi")
    resources.requests.add(name=tasks_pb2.Resources.CPU, value="1")
    resources.limits.add(name=tasks_pb2.Resources.MEMORY, value="1Gi")
    for key, value in env.items():
        template.container.env.add(key=key, value=value)
    return template


def killed(engine: Engine, exit_code: int = 137) -> list[e.ExecutionEvent]:
    """Report that the task's process was killed."""
    report = failure(engine.run_of("n0"), kind="SYSTEM", recoverable=True)
    return engine.do(replace(report, exit_code=exit_code))


def asked(engine: Engine) -> list[str]:
    """Return the resources of the latest attempt."""
    template = tasks_pb2.TaskTemplate.FromString(engine.run_of("n0").template)
    resources = template.container.resources
    return [entry.value for entry in (*resources.requests, *resources.limits)]


def test_an_attempt_after_one_out_of_memory_gets_more() -> None:
    """Requests and limits grow, other resources don't; the attempt's event says so."""
    engine = begun(template=hungry(FLIGHTLOG_OOM_MEMORY_FACTOR="2"))
    assert asked(engine) == ["500Mi", "1", "1Gi"]
    events = killed(engine)
    assert asked(engine) == ["1000Mi", "1", "2Gi"]
    assert events[-1].memory == "1000Mi"
    killed(engine)

    assert asked(engine) == ["2000Mi", "1", "4Gi"]
    assert execution.fold(engine.events) == engine.state


@pytest.mark.parametrize(
    ("requests", "limits", "memory"),
    [
        ({"MEMORY": "1Gi"}, {"MEMORY": "4Gi"}, "2Gi"),
        ({"CPU": "1"}, {"MEMORY": "4Gi"}, "8Gi"),
        ({"CPU": "1"}, {}, ""),
    ],
)
def test_an_attempt_says_which_memory_it_asks_for(
    requests: dict[str, str], limits: dict[str, str], memory: str
) -> None:
    """Its request, else its limit; a task that names neither just runs again."""
    template = task_template(retries=3)
    names_of = tasks_pb2.Resources.ResourceName
    for side, amounts in (("requests", requests), ("limits", limits)):
        entries = getattr(template.container.resources, side)
        for name, value in amounts.items():
            entries.add(name=names_of.Value(name), value=value)
    template.container.env.add(key="OTHER", value="8")
    engine = begun(template=template, oom_memory_factor="2")

    assert killed(engine)[-1].memory == memory


def test_other_failures_keep_the_memory() -> None:
    """Memory that has grown stays so; without an annotation it doesn't grow."""
    engine = begun(template=hungry(), oom_memory_factor="1.5")
    killed(engine)
    assert asked(engine) == ["750Mi", "1", "1.5Gi"]
    engine.fail("n0", recoverable=True)
    assert asked(engine) == ["750Mi", "1", "1.5Gi"]

    engine = begun(template=hungry())
    killed(engine)
    assert asked(engine) == ["500Mi", "1", "1Gi"]


def test_the_last_system_attempt_is_on_stable_nodes() -> None:
    """An interruptible task isn't any more once the system has cost all but one."""
    template = task_template()
    template.metadata.interruptible = True
    engine = begun(template=template)
    said = [engine.run_of("n0").interruptible]
    for _ in range(3):
        engine.fail("n0", kind="SYSTEM", recoverable=True)
        said.append(engine.run_of("n0").interruptible)

    assert said == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("90s", 90 * SECOND_US),
        ("1h30m", 5400 * SECOND_US),
        ("250ms", 250_000),
        ("0.5s", 500_000),
        ("1d", 86_400 * SECOND_US),
        ("0s", 0),
        ("", None),
        ("90", None),
        ("-1s", None),
        ("1s 2s", None),
        ("1week", None),
    ],
)
def test_durations(text: str, microseconds: int | None) -> None:
    """Numbers with units, one after the other; nothing else is one."""
    assert duration_us(text) == microseconds


def test_invalid_annotations_are_rejected() -> None:
    """Each is rejected with what is expected; foreign annotations are ignored."""
    assert annotations_violation({"other/timeout": "soon"}) is None
    assert annotations_violation({f"{PREFIX}timeout": "90s"}) is None
    assert "to be a duration" in (
        annotations_violation({f"{PREFIX}timeout": "soon"}) or ""
    )
    assert "Expected an annotation of" in (
        annotations_violation({f"{PREFIX}timeot": "9s"}) or ""
    )
    assert "from 1 to 16" in (
        annotations_violation({f"{PREFIX}oom-memory-factor": "0.5"}) or ""
    )
    good = {"FLIGHTLOG_OOM_MEMORY_FACTOR": "2", "FLIGHTLOG_RETRY_BACKOFF": "9s"}
    assert variables_violation(good) is None
    assert "FLIGHTLOG_OOM_MEMORY_FACTOR" in (
        variables_violation({"FLIGHTLOG_OOM_MEMORY_FACTOR": "nan"}) or ""
    )
    assert memory_factor("inf") is None

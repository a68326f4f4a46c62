"""Attempts of tasks: who holds the lease, and how often they are made."""

from __future__ import annotations

import pytest
from flyteidl.admin.execution_pb2 import ExecutionSpec
from msgspec.structs import replace

from domain.execution.context import Limits
from domain.execution.decide import execution
from domain.execution.state.timers import timers_of
from schemas.messages import commands as c
from schemas.values import ErrorKind, Values
from tests.support.engine import (
    Engine,
    begun_chain,
    created,
    names,
    start,
    success,
)
from tests.support.graphs import (
    definition,
    task_node,
    task_template,
    values,
)


def test_a_slow_task_reports_its_start_once() -> None:
    """The first report takes the lease, a repeated one yields nothing."""
    engine = begun_chain()
    run = engine.run_of("n0")

    assert names(engine.do(start(run))) == ["TaskStarted", "NodeStarted"]
    assert engine.do(start(run)) == []
    assert engine.phase("n0") == "RUNNING"


def test_only_the_runner_that_holds_the_lease_is_heard() -> None:
    """Of two runners on one dispatch, the second one's reports yield nothing."""
    engine = begun_chain()
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
    engine = begun_chain()
    old = engine.run_of("n0")
    engine.do(start(old))
    lost = c.ExpireLease(node_id="n0", attempt=0, dispatch_no=0, reason="gone")

    assert names(engine.do(lost)) == ["TaskRedispatched"]
    assert engine.do(lost) == []
    assert engine.run_of("n0").dispatch_no == 1
    assert engine.do(success(old)) == []
    assert engine.succeed("n0")


def test_an_attempt_that_loses_too_many_runners_fails() -> None:
    """It costs a system retry: its task may be what ends the runners."""
    engine = begun_chain()
    engine.limits = Limits(redispatches=1)
    for dispatch_no in range(2):
        lost = c.ExpireLease(
            node_id="n0", attempt=0, dispatch_no=dispatch_no, reason="gone"
        )
        last = engine.do(lost)

    assert names(last) == [
        "TaskFailed",
        "NodeRetryScheduled",
        "NodeRequeued",
        "TaskQueued",
    ]
    failure = engine.state.nodes["n0"].last_failure
    assert failure is not None
    assert (failure.code, failure.message) == ("RunnerLost", "gone")
    assert failure.kind == ErrorKind.SYSTEM


@pytest.mark.parametrize(
    ("on_node", "on_execution", "on_task", "expected"),
    [
        (None, None, True, True),
        (None, False, True, False),
        (True, False, False, True),
        (False, True, True, False),
        (None, None, False, False),
    ],
)
def test_a_node_is_interruptible_by_its_own_setting_first(
    on_node: bool | None, on_execution: bool | None, on_task: bool, expected: bool
) -> None:
    """Then by the execution's, then by the task's (ref §4.5)."""
    node, task, spec = task_node("n0"), task_template(), ExecutionSpec()
    task.metadata.interruptible = on_task
    if on_node is not None:
        node.metadata.interruptible = on_node
    if on_execution is not None:
        spec.interruptible.value = on_execution
    first = replace(created(), spec=spec.SerializeToString())
    engine = Engine(definition([node], "n0", tasks=[task]), first)
    engine.begin()

    assert engine.run_of("n0").interruptible is expected


def test_an_attempt_that_has_ended_has_no_time_limit() -> None:
    """Between two events of one decision nothing of it is due any more."""
    task = task_template()
    task.metadata.timeout.FromSeconds(5)
    engine = Engine(definition([task_node("n0")], "n0", tasks=[task]), created())
    engine.begin()
    engine.do(start(engine.run_of("n0")))
    assert list(timers_of(engine.state))
    ended = engine.succeed("n0")
    before = engine.events[: -len(ended)]
    assert names(ended)[0] == "TaskSucceeded"

    assert not list(timers_of(execution.fold([*before, ended[0]])))


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
    engine = begun_chain(1)
    for _ in range(4):
        engine.fail("n0", kind="SYSTEM", recoverable=True)

    assert len(engine.runs()) == 4
    assert engine.state.phase.value == "FAILED"


def test_an_attempt_knows_where_the_one_before_kept_its_progress() -> None:
    """The first attempt has no checkpoint to read; the second has the first one's."""
    engine = begun_chain()
    first = engine.run_of("n0")
    engine.fail("n0", kind="SYSTEM", recoverable=True)
    second = engine.run_of("n0")

    assert first.previous_checkpoint == ""
    assert second.attempt == 1
    assert second.previous_checkpoint == f"{first.raw_output_prefix}/_flytecheckpoints"

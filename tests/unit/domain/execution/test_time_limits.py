"""Time limits of attempts and nodes, by timers (ref §4.6)."""

from __future__ import annotations

from domain.execution.state.timers import timers_of
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from tests.support.due_timers import next_timer, wake
from tests.support.engine import Engine, created, names, start
from tests.support.graphs import definition, task_node, task_template


def timed(seconds: int, retries: int = 0) -> Engine:
    """Return an execution of one task with a time limit, begun."""
    template = task_template(retries=retries)
    template.metadata.timeout.FromSeconds(seconds)
    engine = Engine(definition([task_node("n0")], "n0", tasks=[template]), created())
    engine.begin()
    return engine


def test_a_task_that_runs_too_long_is_stopped_and_counts_as_a_try() -> None:
    """The attempt is aborted, the node fails in Flyte's words (ref §4.6)."""
    engine = timed(6)
    engine.do(start(engine.run_of("n0")))

    assert names(wake(engine))[:3] == ["TaskAborted", "NodeFailing", "NodeFailed"]
    failure = engine.state.failure
    assert failure is not None
    assert failure.code == "RetriesExhausted|TimeoutExpired"
    assert failure.message == (
        "[1/1] currentAttempt done. Last Error: "
        "USER::task execution timeout [6s] expired"
    )
    assert isinstance(engine.sent[-1], d.AbortTask)


def test_a_retry_has_its_own_time() -> None:
    """The second attempt's deadline is counted from its own start."""
    engine = timed(6, retries=1)
    engine.do(start(engine.run_of("n0")))
    wake(engine)
    engine.do(start(engine.run_of("n0")))

    assert engine.run_of("n0").attempt == 1
    assert engine.succeed("n0")


def test_a_task_of_many_attempts_times_out() -> None:
    """Twice its limit after it first started the node is TIMED_OUT, for good."""
    engine = timed(6, retries=3)
    assert not list(timers_of(engine.state))
    engine.clock_us += 100_000_000
    begun = engine.do(start(engine.run_of("n0")))[0]
    wake(engine)
    assert engine.phase("n0") == "QUEUED"
    engine.do(start(engine.run_of("n0")))
    timer = next_timer(engine)
    assert timer.due_us == begun.occurred_at_us + 12_000_000
    wake(engine)

    assert engine.phase("n0") == "TIMED_OUT"
    assert engine.state.phase.value == "FAILED"
    assert engine.state.failure is not None
    assert engine.state.failure.code == "Timeout"


def lose(engine: Engine) -> list[e.ExecutionEvent]:
    """Take the task from its runner."""
    run = engine.run_of("n0")
    return engine.do(
        c.ExpireLease(
            node_id="n0", attempt=0, dispatch_no=run.dispatch_no, reason="gone"
        )
    )


def test_a_redispatched_attempt_has_its_own_time() -> None:
    """Neither the lost run nor the wait for another runner counts as the task's."""
    engine = timed(6)
    engine.do(start(engine.run_of("n0")))
    lost = next_timer(engine)
    engine.clock_us = lost.due_us - 1_000_000
    lose(engine)
    assert not list(timers_of(engine.state))
    engine.clock_us += 3600 * 1_000_000
    assert engine.do(c.TimeReached(timer_id=lost.id)) == []
    begun = engine.do(start(engine.run_of("n0")))[0]

    timer = next_timer(engine)
    assert timer.due_us == begun.occurred_at_us + 6_000_000
    assert names(wake(engine))[:2] == ["TaskAborted", "NodeFailing"]


def test_lost_runs_do_not_count_for_the_node() -> None:
    """Twice the limit, and what two lost runners took, after the node first started."""
    engine = timed(6, retries=3)
    first = last = engine.do(start(engine.run_of("n0")))[0]
    for _ in range(2):
        engine.clock_us += 5_000_000
        lose(engine)
        last = engine.do(start(engine.run_of("n0")))[0]
    wake(engine)
    engine.do(start(engine.run_of("n0")))

    lost_us = last.occurred_at_us - first.occurred_at_us
    timer = next_timer(engine)
    assert timer.due_us == first.occurred_at_us + 12_000_000 + lost_us


def test_before_its_level_is_open_no_start_moves_the_end_of_a_node() -> None:
    """A version before couldn't read it; the attempt has its own time all the same."""
    engine = timed(6)
    engine.format_level = 0
    first = engine.do(start(engine.run_of("n0")))[0]
    engine.clock_us += 5_000_000
    lose(engine)
    (started,) = engine.do(start(engine.run_of("n0")))

    assert isinstance(started, ne.TaskStarted)
    assert started.expires_at_us == 0
    assert started.deadline_us == started.occurred_at_us + 6_000_000
    expires_at_us = engine.state.nodes["n0"].limits.expires_at_us
    assert expires_at_us == first.occurred_at_us + 12_000_000


def test_a_stale_timer_yields_nothing() -> None:
    """A timer of an attempt that has ended, or that is no timer, changes nothing."""
    engine = timed(6)
    engine.do(start(engine.run_of("n0")))
    timer = next_timer(engine)

    assert engine.do(c.TimeReached(timer_id=timer.id)) == []
    assert engine.do(c.TimeReached(timer_id="nonsense")) == []

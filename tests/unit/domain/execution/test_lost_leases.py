"""Runs that have lost their lease: each is told to stop, and no other dispatch is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain.execution.react import react_without_events
from domain.execution.state.state import Execution
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.wire import codec
from tests.support.engine import (
    INCARNATION,
    RUNNER,
    STREAM,
    Engine,
    begun_chain,
    start,
    success,
)


def lease(run: d.RunTask, runner: str = RUNNER) -> c.ReportLease:
    """Return a runner's report that it still runs a dispatch."""
    return c.ReportLease(
        node_id=run.node_id,
        attempt=run.attempt,
        dispatch_no=run.dispatch_no,
        runner=runner,
        incarnation=INCARNATION,
    )


def told(engine: Engine, command: c.ExecutionCommand) -> list[d.AbortTask]:
    """Return the aborts that answer a command, which has no events."""
    assert engine.do(command) == []
    found = react_without_events(command, engine.state, engine._context("", command))
    assert all(isinstance(message, d.AbortTask) for message in found)
    return [message for message in found if isinstance(message, d.AbortTask)]


def begun() -> tuple[Engine, d.RunTask]:
    """Return an execution whose first task runs, and its dispatch."""
    engine = begun_chain()
    run = engine.run_of("n0")
    engine.do(start(run))
    return engine, run


def test_who_holds_the_lease_is_not_answered() -> None:
    """However often it reports; nor is one whose start is still on its way."""
    engine, run = begun()
    assert told(engine, lease(run)) == []
    assert told(engine, start(run)) == []
    waiting = begun_chain()

    assert told(waiting, lease(waiting.run_of("n0"))) == []


@pytest.mark.parametrize("begins", [False, True])
def test_the_second_runner_of_a_dispatch_is_stopped(begins: bool) -> None:
    """The abort names it: the holder of the same dispatch goes on."""
    engine, run = begun()
    second = replace(start(run), runner="r2") if begins else lease(run, "r2")
    (abort,) = told(engine, second)

    assert (abort.stream, abort.node_id, abort.attempt) == (STREAM, "n0", 0)
    assert (abort.dispatch_no, abort.runner, abort.incarnation) == (0, "r2", "i1")
    assert abort.names_dispatch
    assert codec.type_name(abort) == "flightlog.v2.AbortTask"


def test_a_lost_dispatch_is_stopped_and_its_successor_is_not() -> None:
    """Also where the same runner has got the next dispatch."""
    engine, run = begun()
    engine.do(c.ExpireLease(node_id="n0", attempt=0, dispatch_no=0, reason="silent"))
    (abort,) = told(engine, lease(run))
    assert abort.dispatch_no == 0
    engine.do(start(engine.run_of("n0")))
    (abort,) = told(engine, lease(run))
    assert abort.dispatch_no == 0

    assert told(engine, lease(engine.run_of("n0"))) == []


def test_whatever_has_ended_is_stopped() -> None:
    """The attempt, the execution, or one that nobody knows any more."""
    engine, run = begun()
    engine.do(success(run))
    assert told(engine, lease(run))
    engine.do(c.TerminateExecution(cause="enough"))
    assert told(engine, lease(run))
    engine.state = Execution()

    assert told(engine, lease(run))


def test_before_its_level_is_open_nobody_is_told() -> None:
    """A runner of the version before would stop every dispatch of the attempt."""
    engine, run = begun()
    engine.format_level = 1

    assert told(engine, replace(start(run), runner="r2")) == []


def test_other_commands_are_not_answered() -> None:
    """Late ends of lost runs yield nothing, as ever."""
    engine, run = begun()

    assert told(engine, replace(success(run), runner="r2")) == []


def test_an_abort_of_an_attempt_as_a_whole_stays_what_it_was() -> None:
    """Every version reads it."""
    abort = d.AbortTask(stream="s", node_id="n", attempt=0, reason="enough")

    assert codec.type_name(abort) == "flightlog.v1.AbortTask"
    assert not abort.names_dispatch

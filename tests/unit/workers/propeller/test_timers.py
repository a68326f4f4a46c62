"""The heap of due times: in order, each once, and none of what has ended."""

from __future__ import annotations

from domain.execution.state.state import Execution
from domain.execution.state.timers import timers_of
from tests.support.engine import NOON_US, STREAM, Engine, created
from tests.support.graphs import definition, gate_node
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.timers import Moment, Timers

STREAMS = 500
START = Moment(0.0, NOON_US)
"""When the streams of these tests begin."""
SLEEP_S = 5.0


def asleep() -> Execution:
    """Return an execution that sleeps for five seconds."""
    engine = Engine(definition([gate_node("n0")], ""), created())
    engine.begin()
    return engine.state


def test_timers_that_are_due_at_once_come_out_one_by_one() -> None:
    """Two gates that were reached together wake together; both are heard of."""
    gates = [gate_node("n0"), gate_node("n1")]
    engine = Engine(definition(gates, ""), created())
    engine.begin()
    timers = Timers()
    for event in engine.events:
        timers.add(STREAM, EXECUTIONS.timers.after(event, engine.state), START)
    timers.add(STREAM, EXECUTIONS.timers.pending(engine.state), START)
    due_us = engine.state.nodes["n0"].sleeps_until_us
    due_s = timers.next_s()

    assert due_s == START.due_s(due_us)
    assert not list(timers.due(due_s - 0.001))
    woken = [timer.id.partition("/")[0] for _, timer in timers.due(due_s)]
    assert woken == ["n0", "n1"]
    assert {timer.due_us for timer in timers_of(engine.state)} == {due_us}


def test_timers_of_ended_streams_are_gone() -> None:
    """They never come, and the heap doesn't keep them until their time."""
    timers, state = Timers(), asleep()
    for number in range(STREAMS):
        timers.add(f"s{number}", EXECUTIONS.timers.pending(state), START)
    for number in range(1, STREAMS):
        timers.forget(f"s{number}")

    assert set(timers.known) == {"s0"}
    assert len(timers.heap) < STREAMS // 2
    assert [stream for stream, _ in timers.due(2 * SLEEP_S)] == ["s0"]
    assert timers.next_s() is None
    assert timers.stale == 0


def test_a_forgotten_stream_may_be_taken_up_again() -> None:
    """What was forgotten once is known again after another restore."""
    timers, state = Timers(), asleep()
    timers.add("s", EXECUTIONS.timers.pending(state), START)
    timers.forget("s")
    timers.add("s", EXECUTIONS.timers.pending(state), START)

    assert len(list(timers.due(2 * SLEEP_S))) == 1

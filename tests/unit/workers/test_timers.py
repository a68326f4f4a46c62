"""The heap of due times: in order, each once, equal times too."""

from __future__ import annotations

from domain.execution.timers import timers_of
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, gate_node
from workers.timers import Timers


def test_timers_that_are_due_at_once_come_out_one_by_one() -> None:
    """Two gates that were reached together wake together; both are heard of."""
    gates = [gate_node("n0"), gate_node("n1")]
    engine = Engine(definition(gates, ""), created())
    engine.begin()
    timers = Timers()
    for event in engine.events:
        timers.fold(STREAM, event, engine.state)
    timers.restore(STREAM, engine.state)
    due_us = timers.next_us()

    assert due_us is not None
    assert not list(timers.due(due_us - 1))
    woken = [timer.node_id for _, timer in timers.due(due_us)]
    assert woken == ["n0", "n1"]
    assert {timer.due_us for timer in timers_of(engine.state)} == {due_us}

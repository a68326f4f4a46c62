"""Events of attempts: the time limits that they set, whatever was known before."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.decide import execution
from domain.execution.state.node import Node, TimeLimits
from schemas.messages import node_events as ne
from tests.support.engine import NOON_US, Engine, begun_chain

START = ne.TaskStarted(
    occurred_at_us=NOON_US,
    node_id="n0",
    attempt=0,
    dispatch_no=0,
    runner="r1",
    incarnation="i1",
    started_at_us=NOON_US,
)


def _after(engine: Engine, *events: ne.Event) -> Node:
    """Return the first node after further events."""
    state = engine.state
    for event in events:
        state = execution.evolve(state, event)
    return state.nodes["n0"]


def test_the_first_start_says_how_long_the_node_may_be_active() -> None:
    """Twice as long as the attempt may run; later starts leave that (ref §4.6)."""
    first = replace(START, deadline_us=NOON_US + 5)
    later = replace(START, occurred_at_us=NOON_US + 9, deadline_us=NOON_US + 14)
    limits = TimeLimits(deadline_us=NOON_US + 5, expires_at_us=NOON_US + 10)
    engine = begun_chain()

    assert _after(engine, first).limits == limits
    assert _after(engine, first, later).limits == replace(
        limits, deadline_us=NOON_US + 14
    )


def test_a_start_after_a_lost_run_says_when_the_node_expires() -> None:
    """The event's own time holds, as it leaves out what was lost."""
    first = replace(START, deadline_us=NOON_US + 5)
    later = replace(
        START,
        occurred_at_us=NOON_US + 9,
        deadline_us=NOON_US + 14,
        expires_at_us=NOON_US + 19,
    )

    assert _after(begun_chain(), first, later).limits == TimeLimits(
        deadline_us=NOON_US + 14, expires_at_us=NOON_US + 19
    )


def test_a_start_without_a_deadline_ends_the_one_before() -> None:
    """The event says all there is about the attempt that it begins."""
    first = replace(START, deadline_us=NOON_US + 5)
    node = _after(begun_chain(), first, replace(START, dispatch_no=1))

    assert node.limits == TimeLimits(expires_at_us=NOON_US + 10)


def test_a_dispatch_carries_the_limit_of_its_node() -> None:
    """The limit of the event holds, also where it was not known yet."""
    engine = begun_chain()
    (queued,) = (event for event in engine.events if isinstance(event, ne.TaskQueued))
    again = replace(queued, expires_at_us=NOON_US + 10)

    assert _after(engine, again).limits == TimeLimits(expires_at_us=NOON_US + 10)
    assert _after(engine, again, queued).limits == TimeLimits()

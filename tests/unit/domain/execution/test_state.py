"""State: sites as the domain sees them, timers by kind, inputs of elements."""

from __future__ import annotations

import pytest
from flyteidl.core import literals_pb2
from msgspec.structs import replace

from domain.execution.nodes import due_timers
from domain.execution.nodes.array_elements import element_inputs
from domain.execution.state.node import (
    NO_LIMITS,
    CacheLookup,
    LookupState,
    Node,
    Retries,
    TaskAttempt,
    TimeLimits,
)
from domain.execution.state.site import Site, read_site
from domain.execution.state.timers import TimerKind, due_times, node_timers
from schemas.phases import NodePhase, TaskPhase
from schemas.sites import NodeKind, NodeSite
from schemas.values import Blob, Failure
from tests.support.graphs import integer, lists

SITE = NodeSite(node_id="n0", spec_node_id="n0", kind="task")
LIMITS = TimeLimits(deadline_us=30, expires_at_us=60)


def node(kind: NodeKind = NodeKind.TASK, phase: NodePhase = NodePhase.RUNNING) -> Node:
    """Return a node that was reached."""
    return Node(site=Site(node_id="n0", spec_node_id="n0", kind=kind), phase=phase)


@pytest.mark.parametrize("kind", NodeKind)
@pytest.mark.parametrize("element", [-1, 0, 7])
def test_a_site_comes_back_as_the_message_that_it_was(
    kind: NodeKind, element: int
) -> None:
    """No element is -1 in messages, and None in the domain."""
    message = replace(SITE, kind=kind.value, element=element)
    site = read_site(message)

    assert site.kind is kind
    assert site.element == (None if element < 0 else element)
    assert site.to_message() == message


def test_a_kind_that_is_unknown_is_not_read() -> None:
    """What a newer version writes isn't taken for something else."""
    with pytest.raises(KeyError):
        read_site(replace(SITE, kind="portal"))


def test_each_kind_of_timer_has_its_functions() -> None:
    """One says when it is due, one what happens then."""
    assert set(due_timers._DUE) == set(TimerKind)


def test_a_running_task_has_its_limits() -> None:
    """Each has a timer; that of the whole node is the same in each attempt."""
    task = replace(node(), limits=LIMITS, task=TaskAttempt(start_by_us=10))

    assert list(due_times(task)) == [
        (TimerKind.EXPIRY, 60),
        (TimerKind.QUEUEING, 10),
        (TimerKind.ATTEMPT_DEADLINE, 30),
    ]
    again = replace(task, attempt=1)
    assert [timer.id for timer in node_timers(again)] == [
        "n0/0/60",
        "n0/1/10",
        "n0/1/30",
    ]


@pytest.mark.parametrize("phase", [NodePhase.SUCCEEDED, NodePhase.FAILING])
def test_a_node_that_ends_has_no_timer(phase: NodePhase) -> None:
    """Limits of the past don't matter any more."""
    assert not node_timers(replace(node(phase=phase), limits=LIMITS))


def test_an_ended_attempt_has_no_timer_but_its_workflow_has() -> None:
    """The limits of a dynamic node hold for the workflow that its task returned."""
    ended = TaskAttempt(phase=TaskPhase.SUCCEEDED)
    closure = Blob(uri="c", digest="0", size=1)
    task = replace(node(), limits=LIMITS, task=ended)
    dynamic = replace(task, dynamic_closure=closure)

    assert not node_timers(task)
    assert [kind for kind, _ in due_times(dynamic)] == [
        TimerKind.EXPIRY,
        TimerKind.ATTEMPT_DEADLINE,
    ]


def test_a_pause_is_the_only_timer_of_a_node_that_is_retried() -> None:
    """The attempt before it has ended."""
    paused = node(phase=NodePhase.RETRYABLE_FAILURE)
    paused = replace(paused, limits=LIMITS, retries=Retries(retry_at_us=5))

    assert list(due_times(paused)) == [(TimerKind.RETRY, 5)]


def test_other_nodes_have_a_deadline_or_sleep() -> None:
    """A gate that sleeps has no other limit."""
    workflow = replace(node(NodeKind.WORKFLOW), limits=TimeLimits(deadline_us=3))
    gate = replace(node(NodeKind.GATE), limits=NO_LIMITS, sleeps_until_us=4)

    assert list(due_times(workflow)) == [(TimerKind.NODE_DEADLINE, 3)]
    assert list(due_times(gate)) == [(TimerKind.SLEEP, 4)]


@pytest.mark.parametrize(
    ("lookup", "phase", "expected"),
    [
        (None, NodePhase.NOT_YET_STARTED, False),
        (LookupState.PENDING, NodePhase.NOT_YET_STARTED, True),
        (LookupState.AWAITING, NodePhase.QUEUED, True),
        (LookupState.AWAITING, NodePhase.ABORTED, False),
        (LookupState.MISSED, NodePhase.QUEUED, False),
    ],
)
def test_a_look_up_is_over_once_it_is_answered_for_good(
    lookup: LookupState | None, phase: NodePhase, expected: bool
) -> None:
    """An answer that the outputs are being produced isn't the last one."""
    cache = CacheLookup(state=lookup) if lookup is not None else None

    assert replace(node(phase=phase), cache=cache).is_looked_up is expected


def test_an_element_is_given_its_items_and_what_is_bound() -> None:
    """A function of the lists, what is bound, and the index alone."""
    whole = literals_pb2.LiteralMap.FromString(lists(x=[4, 5], all=[6, 7]))
    found = element_inputs(whole, {"all"}, 1)

    assert isinstance(found, literals_pb2.LiteralMap)
    assert found.literals["x"] == integer(5)
    assert found.literals["all"] == whole.literals["all"]


def test_an_index_that_a_list_lacks_is_a_failure() -> None:
    """It is reported as the failure of a binding."""
    whole = literals_pb2.LiteralMap.FromString(lists(x=[4]))

    assert isinstance(element_inputs(whole, (), 3), Failure)

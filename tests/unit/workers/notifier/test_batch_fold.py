"""The fold of batches: what is due doesn't depend on how batches were cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from flyteidl.core.execution_pb2 import WorkflowExecution
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.notifying.due import Policy, SubjectKey
from domain.notifying.live_execution import LiveExecution
from domain.notifying.notice import Delivery
from domain.notifying.rules import FAILURES, Rule
from domain.notifying.subjects import Subject
from infra.eventlog.contract import Received
from schemas.envelope import Envelope
from schemas.messages import execution_events as e
from schemas.messages.node_events import Event
from schemas.wire import codec
from tests.support.notifying import created, failed, mail, succeeded
from workers.notifier.batch_fold import BatchFold, ReadEvent, is_relevant

POLICY = Policy(
    channels=frozenset({"slack", "pagerduty", "email"}),
    rules=(
        Rule(name="all", channels=("slack", "pagerduty"), phases=FAILURES),
        Rule(name="rows", channels=("slack",), failures_in_a_row=2),
        Rule(name="turns", channels=("slack",), first_failure=True, recovered=True),
        Rule(name="late", channels=("slack",), running_factor=2.0),
    ),
    resolving=frozenset({"pagerduty"}),
    mail="email",
)
NAMES = ("one", "two", "three", "four")
ENDS = (
    failed(),
    succeeded(),
    e.ExecutionAborted(occurred_at_us=9, cause="", principal=""),
    e.ExecutionDeleted(occurred_at_us=9, principal="", phase="FAILED"),
)


def read(name: str, event: Event, position: int) -> ReadEvent:
    """Return an event as it is read."""
    stream = f"execution/p/d/{name}"
    envelope = Envelope(
        id=f"{stream}/{position}", type=codec.type_name(event), stream=stream
    )
    received = Received(
        topic="flightlog.events",
        key=stream,
        envelope=envelope,
        body=codec.encode(event),
        partition=0,
        position=position,
    )
    return ReadEvent(received=received, event=event)


@st.composite
def histories(draw: st.DrawFn) -> list[ReadEvent]:
    """Draw the events of some executions, in turn; not all of them end."""
    mails = (mail(WorkflowExecution.FAILED),)
    waiting = {
        name: [
            created(name, mails=mails, asks="slack on succeeded"),
            e.ExecutionStarted(occurred_at_us=2),
            draw(st.sampled_from(ENDS)),
        ]
        for name in NAMES
    }
    found: list[ReadEvent] = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=12)):
        if waiting[name]:
            found.append(read(name, waiting[name].pop(0), len(found) + 1))
    return found


def run(
    batches: Sequence[Sequence[ReadEvent]],
) -> tuple[list[Delivery], object, object]:
    """Return what is due, and what is remembered, after batches."""
    lives: dict[str, LiveExecution] = {}
    subjects: dict[SubjectKey, Subject] = {}
    deliveries: list[Delivery] = []
    for batch in batches:
        known = {r.stream: lives[r.stream] for r in batch if r.stream in lives}
        fold = BatchFold(policy=POLICY, known=known)
        keys = fold.subject_keys(batch)
        fold.fold(batch, {key: subjects[key] for key in keys if key in subjects})
        subjects |= fold.subjects
        deliveries += fold.deliveries
        lives |= {stream: one.live for stream, one in fold.changed.items()}
        for stream in fold.ended:
            lives.pop(stream, None)
    return deliveries, lives, subjects


@settings(max_examples=200, deadline=None)
@given(histories(), st.sets(st.integers(1, 12)))
def test_deliveries_do_not_depend_on_batches(
    history: list[ReadEvent], cuts: set[int]
) -> None:
    """One by one, all at once, or cut anywhere."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(history)), len(history)]
    cut = [history[a:b] for a, b in pairwise(edges)]

    assert run(cut) == run([history]) == run([[one] for one in history])


def test_only_what_could_be_told_is_remembered() -> None:
    """An execution that no rule is about costs nothing."""
    fold = BatchFold(policy=Policy(), known={})
    events = [read("one", created(), 1), read("one", failed(), 2)]

    assert fold.subject_keys(events) == set()
    fold.fold(events, {})

    assert fold.is_empty


def test_most_events_are_not_looked_at() -> None:
    """By their type alone, without being decoded."""
    started = read("one", e.ExecutionStarted(occurred_at_us=1), 1).received
    other = read("one", e.ExecutionSucceeding(occurred_at_us=1), 1).received

    assert is_relevant(started)
    assert not is_relevant(other)


def test_an_event_that_cannot_be_folded_costs_itself() -> None:
    """The others of its batch are told of."""
    bad = replace(created("bad"), spec=b"\xff")
    fold = BatchFold(policy=POLICY, known={})
    events = [read("bad", bad, 1), read("one", created(), 2), read("one", failed(), 3)]
    fold.fold(events, {key: Subject() for key in fold.subject_keys(events)})

    assert [event for event, _ in fold.failed] == ["execution/p/d/bad/1"]
    assert {one.stream for one in fold.deliveries} == {"execution/p/d/one"}

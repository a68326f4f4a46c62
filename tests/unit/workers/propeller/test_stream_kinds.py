"""Kinds of streams: found by prefix, and each of them keeps what the propeller asks."""

from __future__ import annotations

from typing import Any

import pytest

from domain.snapshots import ChunkLimits
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections
from schemas.messages.execution_events import StreamParked, StreamResumed
from schemas.messages.snapshots import StreamHead
from tests.support.counters.kind import COUNTERS, KINDS
from tests.support.counters.messages import AddToCounter, CounterAdded
from tests.support.counters.read_model import PROJECTIONS
from tests.support.engine import CREATE, STREAM, created
from workers.propeller.command_check import violation
from workers.propeller.kinds.contract import AnyKind, NothingToLoad
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.stream_kinds import (
    STREAM_KINDS,
    StreamKinds,
    UnknownStreamKindError,
)

EACH = pytest.mark.parametrize("kind", list(KINDS), ids=lambda kind: kind.prefix)
COUNTER = "counter/one"
SIZES = ChunkLimits()


def test_a_kind_is_found_by_its_prefix() -> None:
    """What comes before the first slash of a stream's id says its kind."""
    assert KINDS.of(STREAM).prefix == "execution"
    assert KINDS.of(COUNTER).prefix == "counter"
    assert KINDS.find("counters/one") is None
    assert KINDS.find("counter") is None
    with pytest.raises(UnknownStreamKindError, match="known kind"):
        STREAM_KINDS.of(COUNTER)


def test_an_id_has_all_of_its_parts() -> None:
    """A text with the parts of an id is one; a project may be called as a kind."""
    assert EXECUTIONS.is_id("execution/p/d/one")
    assert not EXECUTIONS.is_id("execution/d/one")
    assert not EXECUTIONS.is_id("execution/p//one")
    assert COUNTERS.is_id(COUNTER)
    assert COUNTERS.name_of(COUNTER) == "one"


def test_a_loader_belongs_to_a_kind() -> None:
    """Kinds with loaders are other values; a loader of no kind is a mistake."""
    loader: NothingToLoad[Any, Any, Any, Any] = NothingToLoad()
    found = KINDS.with_loaders({"counter": loader})

    assert found.of(COUNTER).loader is loader
    assert KINDS.of(COUNTER).loader is not loader
    with pytest.raises(KeyError):
        KINDS.with_loaders({"nothing": loader})


@pytest.mark.parametrize(
    ("kinds", "projections"),
    [(STREAM_KINDS, STREAM_PROJECTIONS), (KINDS, PROJECTIONS)],
    ids=["engine", "with counters"],
)
def test_both_tables_have_the_same_kinds(
    kinds: StreamKinds, projections: StreamProjections
) -> None:
    """What runs is projected, and both say which phases are terminal."""
    assert [kind.prefix for kind in kinds] == list(projections.prefixes)
    for kind in kinds:
        projection = projections.of(f"{kind.prefix}/x")
        assert projection.terminal_phases == kind.terminal_phases


@EACH
def test_every_kind_parks_and_resumes(kind: AnyKind) -> None:
    """Whatever a stream holds, it takes no commands while it is parked."""
    parked = StreamParked(
        occurred_at_us=1, command_id="c", command_type="?", error="it broke"
    )
    stream = kind.begin().after(parked)

    assert stream.state.parked == parked
    resumed = stream.after(StreamResumed(occurred_at_us=2, principal="me"))
    assert resumed.state.parked is None
    assert (resumed.sequence, resumed.last_us) == (2, 2)


@EACH
def test_every_kind_can_be_shown(kind: AnyKind) -> None:
    """A stream without events has a phase, too, and it isn't a terminal one."""
    state = kind.decider.initial

    assert kind.phase(state) not in kind.terminal_phases
    assert kind.to_json(state) is not None
    assert kind.describe(state) is not None


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        (STREAM, created()),
        (COUNTER, CounterAdded(occurred_at_us=1, amount=3, command_id="c1")),
    ],
    ids=["execution", "counter"],
)
def test_a_snapshot_is_the_state(stream: str, event: Any) -> None:
    """What is written of a stream is read back equal, with its sequence."""
    kind = KINDS.of(stream)
    before, format_ = kind.begin().after(event), kind.snapshots
    layout, chunks = format_.encode_chunks(format_.empty, before.state, 1, SIZES)
    head = StreamHead(
        form=format_.name(),
        sequence=before.sequence,
        correlation=before.correlation,
        last_us=before.last_us,
        chunks=layout.written,
        body=format_.encode_head(before.state),
    )
    written = {chunk.number: (1, chunk.body) for chunk in chunks}
    state, read = format_.decode(head.body, head.chunks, written)

    assert kind.restored(state, head) == before
    assert read == layout


NOT_ALLOWED = {
    "a counter's command": (STREAM, AddToCounter(amount=1), "a command to a stream of"),
    "an execution's command": (COUNTER, CREATE, "a command to a stream of counter/"),
    "an unknown kind": ("x/y", AddToCounter(amount=1), "a stream of a known kind"),
}


@pytest.mark.parametrize("what", NOT_ALLOWED)
def test_a_command_goes_to_streams_of_its_kind(what: str) -> None:
    """What a kind doesn't take is a violation, whatever the other kinds take."""
    stream, command, words = NOT_ALLOWED[what]

    found = violation(command, stream, stream, KINDS)

    assert found is not None
    assert words in found


def test_commands_of_the_engine_come_to_the_streams_that_take_them() -> None:
    """Each kind takes its own commands."""
    assert violation(AddToCounter(amount=1), COUNTER, COUNTER, KINDS) is None
    assert violation(AddToCounter(amount=1), COUNTER, COUNTER, STREAM_KINDS)

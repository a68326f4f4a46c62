"""States in chunks: whatever was written is read back whole, or known to be torn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.execution.state import snapshot_chunks
from domain.execution.state.evolve import evolve
from domain.execution.state.node import Node
from domain.execution.state.site import Site
from domain.execution.state.snapshot_chunks import Layout
from domain.execution.state.state import Execution
from domain.graph import Definition
from domain.snapshots import ChunkLimits, TornSnapshotError
from schemas.phases import NodePhase
from schemas.sites import NodeKind
from schemas.values import Values
from tests.property.generated_graphs import graphs
from tests.property.test_execution import commands
from tests.support.engine import CREATE, Engine, created

STEPS_MAX = 30
SMALL = ChunkLimits(items_max=3, bytes_max=900)


class Kept:
    """The newest head and chunks of one stream, and what writes them."""

    def __init__(self, chunk_limits: ChunkLimits) -> None:
        self.chunk_limits = chunk_limits
        self.layout = Layout()
        self.state = Execution()
        self.head: tuple[int, bytes, tuple[int, ...]] | None = None
        self.chunks: dict[int, tuple[int, bytes]] = {}

    def write(self, state: Execution, sequence: int, lost: int | None = None) -> None:
        """Write what changed; the write of this number doesn't arrive."""
        before = self.layout
        self.layout, dirty = snapshot_chunks.encode_chunks(
            before, state, sequence, self.chunk_limits
        )
        self._check(before, state, {chunk.number for chunk in dirty})
        writes: list[Any] = [*dirty, None]
        for number, chunk in enumerate(writes):
            if number == lost:
                continue
            if chunk is None:
                self.head = (
                    sequence,
                    snapshot_chunks.encode_head(state),
                    self.layout.written,
                )
            else:
                self.chunks[chunk.number] = sequence, chunk.body

    def _check(self, before: Layout, state: Execution, dirty: set[int]) -> None:
        """Check that each node lies in one chunk, and only changes were written."""
        members = self.layout.members
        assert sorted(i for ids in members for i in ids) == sorted(state.nodes)
        assert all(len(ids) <= self.chunk_limits.items_max for ids in members)
        for number, ids in enumerate(members):
            changed = not ids or any(
                before.nodes.get(i) is not state.nodes[i]
                or before.places[i] != self.layout.places[i]
                for i in ids
            )
            gave_away = len(before.members) > number and before.members[number] != ids
            tried = number == len(before.members) - 1
            assert (number in dirty) <= (changed or gave_away or tried)
            assert changed <= (number in dirty)

    def read(self) -> tuple[int, Execution]:
        """Return what is there, as the next owner reads it."""
        assert self.head is not None
        sequence, head, written = self.head
        state, self.layout = snapshot_chunks.decode_chunks(head, written, self.chunks)
        return sequence, state


@settings(max_examples=120, deadline=None)
@given(graph=graphs(), data=st.data())
def test_a_snapshot_and_the_tail_are_the_whole_stream(
    graph: Definition, data: st.DataObject
) -> None:
    """At any moment, what was written and the events after it fold to the state."""
    kept, engine = Kept(SMALL), Engine(graph, created(6, max_parallelism=3))
    engine.begin()
    kept.write(engine.state, len(engine.events))
    for _ in range(STEPS_MAX):
        possible = commands(engine)
        if not possible or engine.state.is_terminal:
            break
        command = data.draw(st.sampled_from(possible))
        if not isinstance(engine.decide(command), list):
            continue
        engine.do(command)
        if data.draw(st.booleans()):
            kept.write(engine.state, len(engine.events))
        if data.draw(st.integers(0, 4)) == 0:
            sequence, state = kept.read()
            for event in engine.events[sequence:]:
                state = evolve(state, event)
            assert state == engine.state


@settings(max_examples=120, deadline=None)
@given(graph=graphs(), data=st.data())
def test_a_lost_write_is_an_older_state_or_torn(
    graph: Definition, data: st.DataObject
) -> None:
    """A head and chunks that don't belong together are never taken for a state."""
    kept, engine = Kept(SMALL), Engine(graph, created(6, max_parallelism=3))
    states = [Execution()]
    for number in range(STEPS_MAX):
        possible = commands(engine) if number else [CREATE]
        if not possible or engine.state.is_terminal:
            break
        command = data.draw(st.sampled_from(possible))
        if not isinstance(engine.decide(command, "create"), list):
            continue
        before, known = engine.state, len(engine.events)
        engine.do(command, "create")
        for event in engine.events[known:]:
            before = evolve(before, event)
            states.append(before)
        kept.write(engine.state, len(engine.events), data.draw(st.integers(0, 5)))
        if kept.head is None:
            continue
        try:
            sequence, state = Kept.read(_copy(kept))
        except TornSnapshotError:
            continue
        assert state == states[sequence]


def _copy(kept: Kept) -> Kept:
    copy = Kept(kept.chunk_limits)
    copy.head, copy.chunks = kept.head, dict(kept.chunks)
    return copy


def test_chunks_keep_to_their_sizes() -> None:
    """A chunk has no more nodes and bytes than it may, but for a single large node."""
    state = _wide(50, 100)
    layout, first = snapshot_chunks.encode_chunks(
        Layout(), state, 1, ChunkLimits(items_max=8, bytes_max=1500)
    )
    assert len(first) > 50 / 8
    large = _node("n7", 5000)
    state = Execution(nodes=state.nodes.set("n7", large))
    layout, second = snapshot_chunks.encode_chunks(
        layout, state, 2, ChunkLimits(items_max=8, bytes_max=1500)
    )

    assert ("n7",) in layout.members
    assert len(second) < len(first)


def test_one_node_of_many_costs_one_chunk() -> None:
    """What an execution of many nodes writes for a change doesn't grow with it."""
    state = _wide(5000, 10)
    layout, first = snapshot_chunks.encode_chunks(Layout(), state, 1, ChunkLimits())
    assert len(first) == 20
    state = Execution(nodes=state.nodes.set("n9", _node("n9", 11)))
    layout, second = snapshot_chunks.encode_chunks(layout, state, 2, ChunkLimits())

    assert [chunk.number for chunk in second] == [layout.places["n9"]]
    assert layout.written.count(2) == 1


def test_damaged_bytes_are_torn() -> None:
    """Bytes that are no state, or of another one, are reported as such."""
    layout, written = snapshot_chunks.encode_chunks(
        Layout(), _wide(1, 1), 1, ChunkLimits()
    )
    found = {0: (1, written[0].body)}
    head = snapshot_chunks.encode_head(_wide(1, 1))
    assert snapshot_chunks.decode_chunks(head, layout.written, found)[0] == _wide(1, 1)
    larger = snapshot_chunks.encode_head(_wide(2, 1))
    for bad_head, bad_chunk in [
        (b"", found),
        (larger, found),
        (head, {0: (1, b"x")}),
        (head, {}),
    ]:
        with pytest.raises(TornSnapshotError):
            snapshot_chunks.decode_chunks(bad_head, layout.written, bad_chunk)


def _wide(count: int, size: int) -> Execution:
    nodes = Execution().nodes
    active = Execution().active
    for number in range(count):
        nodes = nodes.set(f"n{number}", _node(f"n{number}", size))
        active = active.set(f"n{number}", None)
    return Execution(nodes=nodes, active=active)


def _node(node_id: str, size: int) -> Node:
    site = Site(node_id=node_id, spec_node_id=node_id, kind=NodeKind.TASK)
    outputs = Values(inline=b"x" * size)
    return Node(site=site, phase=NodePhase.RUNNING, outputs=outputs)

"""Children: each request for one ends in an answer, or parks the parent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from domain.graph import Definition
from infra.eventlog.contract import OwnedPartition, Record, Serve
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.wire import codec
from tests.support.graphs import definition, launch_plan_node, task_node, task_template
from tests.support.harness.propeller_harness import Harness
from workers.operations.redrive import Redriver
from workers.propeller.loading.admission import Admission


class Family(Harness):
    """Children know their parents; none can be created while it is `broken`."""

    broken = False

    async def admit(
        self, command: c.CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Admit parents, and children once it is mended."""
        if command.parent is not None and self.broken:
            raise RuntimeError("Expected a blob at '.../closure', but there is none")
        found = await Harness.admit(self, command, envelope, now_us)
        graph = leaf() if command.parent is not None else parents()
        created = replace(found.created, parent=command.parent)
        return Admission(created, graph)


def leaf() -> Definition:
    """Return a workflow of one task."""
    return definition([task_node("n0")], "n0", tasks=[task_template()])


def parents() -> Definition:
    """Return a workflow of one launch plan node."""
    return definition([launch_plan_node("n0")], "n0", tasks=[task_template()])


@pytest.fixture
def harness(log: Any) -> Family:
    """A harness on each kind of log, whose children can't be created."""
    harness = Family(log)
    harness.broken = True
    return harness


async def failed(harness: Harness, stream: str) -> e.ExecutionFailed:
    """Return the end of a parent whose child failed."""
    await harness.until_events(stream, e.ExecutionFailed)
    event = (await harness.events(stream))[-1]
    assert isinstance(event, e.ExecutionFailed)
    return event


async def child_of(harness: Harness, stream: str) -> str:
    """Return the stream of the child that a parent requested."""
    await harness.until_events(stream, ne.ChildRequested)
    found = await harness.events(stream)
    (event,) = [f for f in found if isinstance(f, ne.ChildRequested)]
    return f"execution/{event.child.text()}"


async def test_a_quarantined_creation_fails_its_parent(harness: Family) -> None:
    """The parent is told by a command that the system failed; it doesn't wait."""
    async with harness.propeller():
        stream = await harness.create("one")
        event = await failed(harness, stream)
        (dead,) = await harness.dead_letters()
    assert event.failure.kind == "SYSTEM"
    assert "there is none" in event.failure.message
    assert dead.type.endswith("CreateExecution")
    assert dead.answered == stream


async def test_a_creation_that_was_answered_is_not_redriven(harness: Family) -> None:
    """Its parent has gone on: a child would run for nobody."""
    async with harness.propeller():
        stream = await harness.create("one")
        await failed(harness, stream)
        child = await child_of(harness, stream)
        harness.broken = False
        redriver = Redriver(log=harness.log, clock=harness.clock, wait_s=10)
        by_stream = await redriver.redrive([child], [], "me")
        by_id = await redriver.redrive([], by_stream.refused, "me")
        other = await harness.create("two")
        await harness.until_events(other, ne.ChildCreated)
    assert by_stream.refused == by_id.refused
    assert len(by_id.refused) == 1
    assert not by_stream.redriven
    assert not by_id.redriven
    assert not await harness.events(child)


async def test_before_the_gate_is_open_a_redrive_creates_the_child(
    harness: Family,
) -> None:
    """Older versions would redrive an answered one: the parent waits, as it did."""
    harness.format_level = 0
    async with harness.propeller():
        stream = await harness.create("one")
        (dead,) = await harness.until_dead_letters(1)
        assert not dead.answered
        assert isinstance((await harness.events(stream))[-1], ne.ChildRequested)
        harness.broken = False
        redriver = Redriver(log=harness.log, clock=harness.clock, wait_s=10)
        await redriver.redrive([await child_of(harness, stream)], [], "me")
        await harness.until_events(stream, ne.ChildCreated)


class Spoiling:
    """A log whose owner's commands of a type get other bytes, or another header."""

    def __init__(self, log: Any, name: str, body: bytes) -> None:
        self._log, self._name, self._body = log, name, body

    def __getattr__(self, name: str) -> Any:
        """Return what the log has."""
        return getattr(self._log, name)

    async def own(self, group: str, topic: str, serve: Serve, stop: Any) -> None:
        """Serve partitions that spoil what they commit."""

        async def spoiled(partition: OwnedPartition, until: Any) -> None:
            commit = partition.commit

            async def spoil(records: Sequence[Record], position: int | None) -> None:
                await commit([self._spoiled(r) for r in records], position)

            partition.commit = spoil  # type: ignore[method-assign]
            await serve(partition, until)

        await self._log.own(group, topic, spoiled, stop)

    def _spoiled(self, record: Record) -> Record:
        if not record.envelope.type.endswith(self._name):
            return record
        return Record(
            topic=record.topic,
            key=record.key,
            envelope=record.envelope,
            body=self._body,
        )


@pytest.mark.parametrize("body", [b"", b"\x00garbage", codec.MARKER + b"\x07" * 20])
async def test_a_creation_that_cannot_be_read_fails_its_parent(
    log: Any, body: bytes
) -> None:
    """Who requested it is read off the event that caused it."""
    harness = Family(Spoiling(log, "CreateExecution", body or b"\x00"))  # type: ignore[arg-type]
    async with harness.propeller():
        stream = await harness.create("one")
        event = await failed(harness, stream)
        (dead,) = await harness.dead_letters()
    assert event.failure.kind == "SYSTEM"
    assert dead.answered == stream


async def test_an_answer_that_cannot_be_read_parks_the_parent(log: Any) -> None:
    """Nothing else would tell it what became of its child."""
    harness = Family(Spoiling(log, "ReportChild", b"\x00garbage"))  # type: ignore[arg-type]
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.until_events(stream, e.StreamParked)
        child = await child_of(harness, stream)
        await harness.until_events(child, e.ExecutionStarted)

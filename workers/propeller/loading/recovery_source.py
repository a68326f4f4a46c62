"""Recovery sources: what an execution that is recovered saved, by its events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.execution.state.saved_nodes import (
    NOTHING_SAVED,
    Recovery,
    saved_nodes,
    unique_id,
)
from domain.graph import Definition
from infra.eventlog.contract import Log, Received
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages import execution_events as e
from schemas.values import Blob
from schemas.wire import codec
from workers.propeller.kinds.execution_closing import TERMINAL_EVENTS

CHAIN_MAX = 20
"""How many recoveries of recoveries are read."""
_LARGE_EVENTS = 2_000
"""Folding more events than these would block the event loop for too long."""


@dataclass(frozen=True, slots=True)
class RecoverySource:
    """An execution to recover: its first event, what it saved, and whether it ended.

    `created` is None if there is no such execution. What a deleted one saved is kept
    as long as an execution that recovers it.
    """

    ref: ExecutionRef
    created: e.ExecutionCreated | None
    recovery: Recovery
    has_ended: bool
    is_deleted: bool = False

    def is_of(self, other: e.ExecutionCreated) -> bool:
        """Return whether it was of the same work: only then its values can be used."""
        return self.created is not None and _work(self.created) == _work(other)


def _work(created: e.ExecutionCreated) -> tuple[object, ...]:
    return created.launch_plan, created.workflow, created.inputs.digest


class UnreadableSourceError(Exception):
    """An event of an execution that is to be recovered can't be decoded."""


class Definitions(Protocol):
    """Loads compiled workflows."""

    async def load(self, blob: Blob) -> Definition:
        """Return the indexed closure in this blob."""
        ...


async def with_dynamic_workflows(
    definition: Definition, recovery: Recovery, definitions: Definitions
) -> Definition:
    """Return a definition with the workflows that tasks of the source generated."""
    for path, node in recovery.items():
        if node.dynamic_workflow is not None and not node.succeeded:
            closure = await definitions.load(node.dynamic_workflow.closure)
            definition = definition.with_dynamic_closure(unique_id(path), closure)
    return definition


async def load_recovery_source(log: Log, ref: ExecutionRef) -> RecoverySource:
    """Read what an execution saved, with what it itself recovered.

    Raises UnreadableSourceError: that costs who recovers it, and nobody else.
    """
    try:
        return await _load(log, ref)
    except codec.UndecodableMessageError as error:
        message = f"Expected to read execution {ref.text()}, but: {error}"
        raise UnreadableSourceError(message) from error


async def _load(log: Log, ref: ExecutionRef) -> RecoverySource:
    chain: list[Sequence[Received]] = []
    at: ExecutionRef | None = ref
    while at is not None and len(chain) < CHAIN_MAX:
        events = await log.stream(execution_stream(at))
        chain.append(events)
        first = codec.decode(events[0].body) if events else None
        at = first.recovers if isinstance(first, e.ExecutionCreated) else None
    if sum(map(len, chain)) > _LARGE_EVENTS:
        return await asyncio.to_thread(_source, ref, chain)
    return _source(ref, chain)


def _source(ref: ExecutionRef, chain: Sequence[Sequence[Received]]) -> RecoverySource:
    """Return what a chain of executions saved, of which each recovers the next."""
    recovery: Recovery = NOTHING_SAVED
    newest: list[e.ExecutionEvent] = []
    for events in reversed(chain):
        newest = [codec.decode_execution_event(received.body) for received in events]
        recovery = saved_nodes(newest, recovery)
    created = newest[0] if newest else None
    last = newest[-1] if newest else None
    return RecoverySource(
        ref=ref,
        created=created if isinstance(created, e.ExecutionCreated) else None,
        recovery=recovery,
        has_ended=type(last) in TERMINAL_EVENTS,
        is_deleted=isinstance(last, e.ExecutionDeleted),
    )

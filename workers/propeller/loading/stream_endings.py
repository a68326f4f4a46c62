"""What is remembered of a stream that has ended: how, and who had asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from domain.execution.state.state import Execution
from infra.errors import TransientError
from infra.postgres.pool import Pool
from projections.queries import executions
from schemas.ids import EntityRef, ParentNode, execution_of
from schemas.messages.execution_events import ExecutionCreated
from schemas.messages.snapshots import StreamClosed
from schemas.phases import ExecutionPhase
from schemas.values import NO_VALUES, Blob

_NOBODY = EntityRef(kind="", project="", domain="", name="", version="")
_NOTHING = Blob(uri="", digest="", size=0)


def closed(state: Execution, sequence: int) -> StreamClosed:
    """Return what is remembered of an ended execution."""
    created = state.created
    assert created is not None  # noqa: S101 - what has ended has begun
    parent = created.parent
    return StreamClosed(
        last_sequence=sequence,
        phase=state.phase.value,
        created_by=created.created_by,
        node_id=parent.node_id if parent else "",
        attempt=parent.attempt if parent else 0,
        is_deleted=state.is_deleted,
    )


def closed_execution(stream: str, found: StreamClosed) -> Execution:
    """Return a state that refuses and drops commands as the ended execution would."""
    created = ExecutionCreated(
        occurred_at_us=0,
        execution=execution_of(stream),
        launch_plan=_NOBODY,
        workflow=_NOBODY,
        task=None,
        spec=b"",
        inputs=NO_VALUES,
        user_inputs=NO_VALUES,
        definition=_NOTHING,
        principal="",
        max_parallelism=0,
        parent=_parent(found),
        created_by=found.created_by,
    )
    return Execution(
        created=created,
        phase=ExecutionPhase(found.phase),
        is_deleted=found.is_deleted,
    )


def _parent(found: StreamClosed) -> ParentNode | None:
    """Return who asked for it: a child's command bears the id of its parent's event."""
    if not found.node_id:
        return None
    stream, *_ = found.created_by.rsplit("/", 2)
    return ParentNode(stream=stream, node_id=found.node_id, attempt=found.attempt)


class ClosedStreamIndex(Protocol):
    """Where it is known how streams ended that are no longer remembered."""

    async def of(self, streams: Sequence[str]) -> Mapping[str, StreamClosed]:
        """Return how those of these streams ended that it knows to have ended."""
        ...


@dataclass(frozen=True, slots=True)
class ClosedStreamQuery:
    """Endings by the views: they keep every execution. Raises Transient.

    They don't tell which command created one: a repeated creation is refused as any;
    nor how one had ended that was deleted.
    """

    pool: Pool

    async def of(self, streams: Sequence[str]) -> Mapping[str, StreamClosed]:
        """Return how those of these streams ended that have ended in the views."""
        try:
            return {
                ending.stream: StreamClosed(
                    last_sequence=ending.last_sequence,
                    phase=ending.phase or ExecutionPhase.ABORTED.value,
                    created_by=_asked(ending.parent_stream),
                    node_id=ending.parent_node_id or "",
                    is_deleted=ending.is_deleted,
                )
                for ending in await executions.ended(self.pool, streams)
            }
        except (OperationalError, PoolTimeout) as error:
            message = f"Expected the views to answer, but: {error}"
            raise TransientError(message) from error


def _asked(parent: str | None) -> str:
    """Return an id that a command of a parent might have had."""
    return f"{parent}/0/0" if parent else ""

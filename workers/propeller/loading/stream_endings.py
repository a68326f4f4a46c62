"""How executions ended, by the read models: for those that memory has evicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool
from projections.queries import executions
from schemas.messages.snapshots import StreamClosed
from schemas.phases import ExecutionPhase


@dataclass(frozen=True, slots=True)
class ClosedStreamQuery:
    """Looks endings up in the read models, which keep every execution.

    They don't have the command that created an execution: a repeated creation is
    rejected like any other; nor the phase of a deleted one. Raises TransientError.
    """

    pool: Pool

    async def of(self, streams: Sequence[str]) -> Mapping[str, StreamClosed]:
        """Return how those of these streams ended that have ended."""
        with outages_are_transient():
            endings = await executions.ended_executions(self.pool, streams)
        return {
            ending.stream: StreamClosed(
                last_sequence=ending.last_sequence,
                phase=ending.phase or ExecutionPhase.ABORTED.value,
                created_by=_creator(ending.parent_stream),
                node_id=ending.parent_node_id or "",
                is_deleted=ending.is_deleted,
            )
            for ending in endings
        }


def _creator(parent: str | None) -> str:
    """Return an id that a command of a parent might have had."""
    return f"{parent}/0/0" if parent else ""

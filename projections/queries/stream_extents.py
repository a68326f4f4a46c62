"""Where the events of executions lie on the log, by the views."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from psycopg import Error
from psycopg_pool import PoolTimeout

from infra.eventlog.contract import StreamExtent
from infra.postgres.pool import Pool
from projections.queries import executions

log_ = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamExtentQuery:
    """Spans by the views; while those can't be had, everything is read instead."""

    pool: Pool

    async def find(self, stream: str) -> StreamExtent | None:
        """Return the span of an execution's stream; None if it isn't known."""
        try:
            return await executions.span(self.pool, stream)
        except (Error, PoolTimeout) as error:
            log_.warning("stream_extent_unknown", stream=stream, error=str(error))
            return None

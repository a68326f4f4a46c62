"""When the events of executions begin and end on the log, by the read models."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from psycopg import Error

from infra.errors import TransientError
from infra.eventlog.contract import StreamExtent
from infra.outages import log_failure
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool
from projections.queries import executions

log_ = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamExtentQuery:
    """Finds extents in the read models; without one, all of a partition is read."""

    pool: Pool

    async def find(self, stream: str) -> StreamExtent | None:
        """Return the extent of an execution's stream; None if it can't be found."""
        try:
            with outages_are_transient():
                return await executions.stream_extent(self.pool, stream)
        except TransientError as error:
            log_failure("stream_extent_unknown", error, stream=stream)
        except Error as error:
            log_.warning("stream_extent_unknown", stream=stream, error=str(error))
        return None

"""Read model: the journal of an execution, one readable line for each fact."""

from __future__ import annotations

from collections.abc import Sequence

from infra.database import Pool
from projections.rows import Row


class JournalRow(Row, frozen=True, kw_only=True):
    """One fact, as people read it."""

    stream: str
    sequence: int
    type: str
    occurred_at_us: int
    node_id: str
    summary: str
    actor: str
    causation: str


async def read_journal(
    pool: Pool, stream: str, after: int = 0, limit: int = 1000
) -> Sequence[JournalRow]:
    """Return the lines of a stream behind a sequence, in order."""
    raise NotImplementedError

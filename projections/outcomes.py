"""Read model: what became of each command whose sender waits for an answer."""

from __future__ import annotations

from collections.abc import Sequence

from infra.database import Pool
from projections.rows import Row

CHANNEL = "flightlog_outcomes"
"""The channel of NOTIFY; the payload is the command's id."""


class OutcomeRow(Row, frozen=True, kw_only=True):
    """One answer: kind is `event`, `rejected` or `no_effect`.

    `event_id` and `event_type` name the command's first fact, `reason` (of
    schemas.rejections.Reason) and `detail` tell a refusal; empty otherwise.
    """

    command_id: str
    kind: str
    stream: str
    event_id: str
    event_type: str
    reason: str
    detail: str
    recorded_at_us: int


async def get_outcome(pool: Pool, command_id: str) -> OutcomeRow | None:
    """Return what became of a command, or None if it is not known (yet)."""
    raise NotImplementedError


async def get_outcomes(pool: Pool, command_ids: Sequence[str]) -> Sequence[OutcomeRow]:
    """Return what became of several commands; unknown ones are left out."""
    raise NotImplementedError


async def trim_outcomes(pool: Pool, before_us: int) -> int:
    """Forget answers recorded before this time; return how many there were."""
    raise NotImplementedError

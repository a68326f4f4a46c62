"""Parts of rows that several read models share, and how a row becomes a struct."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from schemas.ids import ExecutionRef
from schemas.values import Failure, Values

R = TypeVar("R", bound=msgspec.Struct)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a read model; its fields are the columns."""


class PhasedRow(Row, frozen=True, kw_only=True):
    """What has a phase, times, outputs and perhaps a failure.

    `phase` is flyteidl's name of it. Times are microseconds since 1970, UTC;
    `duration_us` is known once it has both started and ended.
    """

    execution_project: str
    execution_domain: str
    execution_name: str
    phase: str
    phase_rank: int
    outputs: bytes | None
    outputs_uri: str | None
    outputs_size: int | None
    error_code: str | None
    error_message: str | None
    error_kind: str | None
    error_uri: str | None
    error_occurred_at_us: int | None
    error_worker: str | None
    created_at_us: int
    started_at_us: int | None
    updated_at_us: int
    ended_at_us: int | None
    duration_us: int | None

    @property
    def execution(self) -> ExecutionRef:
        """The execution that it is or lies in."""
        return ExecutionRef(
            project=self.execution_project,
            domain=self.execution_domain,
            name=self.execution_name,
        )

    @property
    def is_terminal(self) -> bool:
        """Tell whether it has ended."""
        return self.ended_at_us is not None

    @property
    def output_values(self) -> Values | None:
        """The outputs, once it SUCCEEDED."""
        if self.outputs_uri is None:
            return None
        return Values(
            inline=self.outputs, uri=self.outputs_uri, size=self.outputs_size or 0
        )

    @property
    def failure(self) -> Failure | None:
        """Why it failed."""
        if self.error_code is None:
            return None
        return Failure(
            code=self.error_code,
            message=self.error_message or "",
            kind=self.error_kind or "UNKNOWN",
            error_uri=self.error_uri or "",
            occurred_at_us=self.error_occurred_at_us or 0,
            worker=self.error_worker or "",
        )


def one(cls: type[R], row: dict[str, Any] | None) -> R | None:
    """Return the struct of a row, or None where there is no row."""
    return None if row is None else cls(**row)

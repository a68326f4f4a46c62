"""Read model: task executions, one row for each attempt of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.database import Pool
from projections.filters import Page
from projections.rows import PhasedRow, Row
from schemas.ids import EntityRef, ExecutionRef
from schemas.rejections import Rejected
from schemas.values import TaskLog, Values


class Reason(Row, frozen=True, kw_only=True):
    """One line of what happened to an attempt, and when."""

    reason: str
    occurred_at_us: int


class TaskExecutionRow(PhasedRow, frozen=True, kw_only=True):
    """One attempt of a task. Lists leave the inline bytes of its values out.

    `project`, `domain`, `name`, `version` are the task's; `phase_version` counts the
    dispatches of the attempt beyond the first, each of which has logs of its own.
    `input_path` and `inputs` are its node's.
    """

    node_id: str
    retry_attempt: int
    project: str
    domain: str
    name: str
    version: str
    phase_version: int
    task_type: str
    generated_name: str
    interruptible: bool
    dispatch_no: int
    runner: str
    incarnation: str
    logs: list[dict[str, Any]]
    reasons: list[dict[str, Any]]
    deck_uri: str
    input_path: str
    inputs: bytes | None
    inputs_uri: str | None
    inputs_size: int | None

    @property
    def task(self) -> EntityRef:
        """The task."""
        return EntityRef(
            kind="TASK",
            project=self.project,
            domain=self.domain,
            name=self.name,
            version=self.version,
        )

    @property
    def input_values(self) -> Values | None:
        """The inputs of its node."""
        if self.inputs_uri is None:
            return None
        return Values(
            inline=self.inputs, uri=self.inputs_uri, size=self.inputs_size or 0
        )

    @property
    def task_logs(self) -> Sequence[TaskLog]:
        """The links to its logs."""
        return [TaskLog(**log) for log in self.logs]

    @property
    def history(self) -> Sequence[Reason]:
        """What happened to it, line by line."""
        return [Reason(**reason) for reason in self.reasons]


async def get_task_execution(
    pool: Pool, execution: ExecutionRef, node_id: str, retry_attempt: int
) -> TaskExecutionRow | None:
    """Return an attempt whole, or None if it is unknown."""
    raise NotImplementedError


async def list_task_executions(
    pool: Pool, execution: ExecutionRef, node_id: str, page: Page
) -> Sequence[TaskExecutionRow] | Rejected:
    """Return a page of a node's attempts."""
    raise NotImplementedError

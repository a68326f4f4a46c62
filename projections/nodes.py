"""Read model: node executions, as FlyteAdmin's table of that name has them."""

from __future__ import annotations

from collections.abc import Sequence

from infra.database import Pool
from projections.filters import Page
from projections.rows import PhasedRow
from schemas.ids import EntityRef, ExecutionRef
from schemas.rejections import Rejected
from schemas.values import Values


class NodeExecutionRow(PhasedRow, frozen=True, kw_only=True):
    """One node of an execution. Lists leave the inline bytes of its values out.

    `kind` is NodeSite's; `parent_id` None at the top; `retry_group` the parent's
    attempt as text ('' at the top). `is_parent`, `is_dynamic` and `is_array` are what
    clients are told (ref §1.5, constraint 2). `attempt` is the current one, from 0.
    """

    node_id: str
    kind: str
    name: str
    spec_node_id: str
    parent_id: str | None
    retry_group: str
    scope: str
    is_parent: bool
    is_dynamic: bool
    is_array: bool
    attempt: int
    target_kind: str | None
    target_project: str | None
    target_domain: str | None
    target_name: str | None
    target_version: str | None
    input_path: str
    inputs: bytes | None
    inputs_uri: str | None
    inputs_size: int | None
    deck_uri: str
    chosen: str
    child_project: str | None
    child_domain: str | None
    child_name: str | None
    cache_status: str | None

    @property
    def target(self) -> EntityRef | None:
        """The task, workflow or launch plan that the node runs."""
        if self.target_kind is None:
            return None
        return EntityRef(
            kind=self.target_kind,
            project=self.target_project or "",
            domain=self.target_domain or "",
            name=self.target_name or "",
            version=self.target_version or "",
        )

    @property
    def child(self) -> ExecutionRef | None:
        """The child execution of a launch plan node, once it exists."""
        if self.child_name is None:
            return None
        return ExecutionRef(
            project=self.child_project or "",
            domain=self.child_domain or "",
            name=self.child_name,
        )

    @property
    def input_values(self) -> Values | None:
        """The inputs; a skipped node has none."""
        if self.inputs_uri is None:
            return None
        return Values(
            inline=self.inputs, uri=self.inputs_uri, size=self.inputs_size or 0
        )


async def get_node_execution(
    pool: Pool, execution: ExecutionRef, node_id: str
) -> NodeExecutionRow | None:
    """Return a node of an execution whole, or None if it is unknown."""
    raise NotImplementedError


async def list_node_executions(
    pool: Pool, execution: ExecutionRef, parent_id: str | None, page: Page
) -> Sequence[NodeExecutionRow] | Rejected:
    """Return a page of the nodes inside a node; those at the top for None."""
    raise NotImplementedError


async def list_all_node_executions(
    pool: Pool, execution: ExecutionRef, limit: int
) -> Sequence[NodeExecutionRow]:
    """Return an execution's nodes on all levels, as they were reached."""
    raise NotImplementedError


async def count_node_executions(pool: Pool, execution: ExecutionRef) -> dict[str, int]:
    """Return how many nodes an execution has by phase, start and end left out."""
    raise NotImplementedError

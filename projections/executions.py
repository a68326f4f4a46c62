"""Read model: executions, as FlyteAdmin's table of that name has them."""

from __future__ import annotations

from collections.abc import Sequence

from infra.database import Pool
from projections.filters import Page
from projections.rows import PhasedRow
from schemas.ids import EntityRef, ExecutionRef, ParentNode, execution_stream
from schemas.rejections import Rejected
from schemas.values import Blob, Values


class ExecutionRow(PhasedRow, frozen=True, kw_only=True):
    """One execution. Lists leave the inline bytes of its values out (ref §1.3).

    `mode` and `state` are flyteidl's numbers; `spec` is a serialized
    flyteidl.admin.ExecutionSpec, `user` who created it.
    """

    state: int
    state_changed_at_us: int | None
    state_changed_by: str
    mode: int
    user: str
    cluster: str
    launch_entity: str
    launch_plan_project: str
    launch_plan_domain: str
    launch_plan_name: str
    launch_plan_version: str
    workflow_project: str
    workflow_domain: str
    workflow_name: str
    workflow_version: str
    task_project: str | None
    task_domain: str | None
    task_name: str | None
    task_version: str | None
    spec: bytes
    definition_uri: str
    definition_digest: str
    definition_size: int
    inputs: bytes | None
    inputs_uri: str
    inputs_size: int
    user_inputs: bytes | None
    user_inputs_uri: str
    user_inputs_size: int
    abort_cause: str
    abort_principal: str
    max_parallelism: int
    parent_project: str | None
    parent_domain: str | None
    parent_name: str | None
    parent_node_id: str | None
    parent_attempt: int | None
    root: str
    created_by: str

    @property
    def launch_plan(self) -> EntityRef:
        """The launch plan that it came from."""
        return EntityRef(
            kind="LAUNCH_PLAN",
            project=self.launch_plan_project,
            domain=self.launch_plan_domain,
            name=self.launch_plan_name,
            version=self.launch_plan_version,
        )

    @property
    def workflow(self) -> EntityRef:
        """The workflow that it runs."""
        return EntityRef(
            kind="WORKFLOW",
            project=self.workflow_project,
            domain=self.workflow_domain,
            name=self.workflow_name,
            version=self.workflow_version,
        )

    @property
    def task(self) -> EntityRef | None:
        """The task of a single-task execution."""
        if self.task_name is None:
            return None
        return EntityRef(
            kind="TASK",
            project=self.task_project or "",
            domain=self.task_domain or "",
            name=self.task_name,
            version=self.task_version or "",
        )

    @property
    def definition(self) -> Blob:
        """The compiled closure."""
        return Blob(
            uri=self.definition_uri,
            digest=self.definition_digest,
            size=self.definition_size,
        )

    @property
    def input_values(self) -> Values:
        """The merged inputs."""
        return Values(
            inline=self.inputs, uri=self.inputs_uri, size=self.inputs_size
        )

    @property
    def user_input_values(self) -> Values:
        """The inputs that the request gave."""
        return Values(
            inline=self.user_inputs,
            uri=self.user_inputs_uri,
            size=self.user_inputs_size,
        )

    @property
    def parent(self) -> ParentNode | None:
        """The launch plan node that asked for it."""
        if self.parent_name is None:
            return None
        parent = ExecutionRef(
            project=self.parent_project or "",
            domain=self.parent_domain or "",
            name=self.parent_name,
        )
        return ParentNode(
            stream=execution_stream(parent),
            node_id=self.parent_node_id or "",
            attempt=self.parent_attempt or 0,
        )


async def get_execution(pool: Pool, execution: ExecutionRef) -> ExecutionRow | None:
    """Return an execution whole, or None if it is unknown."""
    raise NotImplementedError


async def list_executions(
    pool: Pool, project: str, domain: str, page: Page
) -> Sequence[ExecutionRow] | Rejected:
    """Return a page of executions; only ACTIVE ones unless it filters by state."""
    raise NotImplementedError


async def live_executions(pool: Pool) -> Sequence[str]:
    """Return the streams of all executions that have not ended."""
    raise NotImplementedError


async def find_executions(pool: Pool, name: str, limit: int = 10) -> Sequence[ExecutionRef]:
    """Return the executions of this name in any project and domain (for the CLI)."""
    raise NotImplementedError


async def count_executions(pool: Pool) -> dict[str, int]:
    """Return how many executions there are by phase."""
    raise NotImplementedError

"""Rows of the registry's read models."""

from __future__ import annotations

from projections.rows import Row
from schemas.ids import EntityRef
from schemas.values import Blob


class ProjectRow(Row, frozen=True, kw_only=True):
    """A project; `project` is a serialized flyteidl.admin.Project, without domains."""

    identifier: str
    name: str
    description: str
    state: int
    project: bytes
    created_at_us: int
    updated_at_us: int


class VersionRow(Row, frozen=True, kw_only=True):
    """What every version of an entity has; `digest` tells equal content."""

    project: str
    domain: str
    name: str
    version: str
    digest: str
    created_at_us: int
    updated_at_us: int

    def ref(self, kind: str) -> EntityRef:
        """Return the id of this version."""
        return EntityRef(
            kind=kind,
            project=self.project,
            domain=self.domain,
            name=self.name,
            version=self.version,
        )


class TaskRow(VersionRow, frozen=True, kw_only=True):
    """A task version; `closure` is a serialized flyteidl.admin.TaskClosure."""

    type: str
    short_description: str
    closure: bytes

    @property
    def entity(self) -> EntityRef:
        """The task's id."""
        return self.ref("TASK")


class WorkflowRow(VersionRow, frozen=True, kw_only=True):
    """A workflow version; its WorkflowClosure is a blob.

    `interface` is a serialized flyteidl.core.TypedInterface.
    """

    short_description: str
    interface: bytes
    closure_uri: str
    closure_digest: str
    closure_size: int
    node_count: int

    @property
    def entity(self) -> EntityRef:
        """The workflow's id."""
        return self.ref("WORKFLOW")

    @property
    def closure(self) -> Blob:
        """The serialized flyteidl.admin.WorkflowClosure."""
        return Blob(
            uri=self.closure_uri, digest=self.closure_digest, size=self.closure_size
        )


class LaunchPlanRow(VersionRow, frozen=True, kw_only=True):
    """A launch plan version; `state` is 1 where it is the active one of its name.

    `spec` and `closure` are serialized flyteidl.admin messages; the closure's state
    and times are those of the registration, the columns are today's.
    """

    workflow_project: str
    workflow_domain: str
    workflow_name: str
    workflow_version: str
    spec: bytes
    closure: bytes
    schedule_type: str
    launch_condition_type: str | None
    state: int

    @property
    def entity(self) -> EntityRef:
        """The launch plan's id."""
        return self.ref("LAUNCH_PLAN")

    @property
    def workflow(self) -> EntityRef:
        """The workflow that it starts."""
        return EntityRef(
            kind="WORKFLOW",
            project=self.workflow_project,
            domain=self.workflow_domain,
            name=self.workflow_name,
            version=self.workflow_version,
        )


class EntityId(Row, frozen=True, kw_only=True):
    """A name that has versions."""

    project: str
    domain: str
    name: str


class NamedEntityRow(Row, frozen=True, kw_only=True):
    """A name and what people say about it; numbers are flyteidl's."""

    resource_type: int
    project: str
    domain: str
    name: str
    description: str
    state: int


class AttributesRow(Row, frozen=True, kw_only=True):
    """Matching attributes; `attributes` is a serialized MatchingAttributes."""

    resource: str
    project: str
    domain: str
    workflow: str
    launch_plan: str
    priority: int
    attributes: bytes

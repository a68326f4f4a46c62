"""The read models of the registry: a struct of each one's rows, and its table.

Types and marks of a struct's fields describe the columns (`projections.columns`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from projections.columns import Merge
from projections.table import Table
from schemas.values import Blob

_VERSION = ("project", "domain", "name", "version")


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What every version of a task, workflow or launch plan has."""

    project: str
    domain: str
    name: str
    version: str
    digest: str
    created_at: datetime
    updated_at: datetime


class DescribedVersionRow(VersionRow, frozen=True, kw_only=True):
    """A version of a task or workflow.

    `description` is a serialized flyteidl.admin.DescriptionEntity, or empty.
    """

    short_description: str
    description: bytes = b""


class TaskVersionRow(DescribedVersionRow, frozen=True, kw_only=True):
    """A version of a task; `closure` is a serialized flyteidl.admin.TaskClosure."""

    type: str
    closure: bytes


TASK_VERSIONS = Table("tasks", TaskVersionRow, _VERSION, refuses_nul=True)


class WorkflowVersionRow(DescribedVersionRow, frozen=True, kw_only=True):
    """A version of a workflow; its closure, an admin.WorkflowClosure, is a blob.

    `interface` is a serialized flyteidl.core.TypedInterface.
    """

    interface: bytes
    closure: Blob
    node_count: int


WORKFLOW_VERSIONS = Table("workflows", WorkflowVersionRow, _VERSION, refuses_nul=True)


class LaunchPlanVersionRow(VersionRow, frozen=True, kw_only=True):
    """A version of a launch plan; `state` is 1 if it is the active one of its name.

    `spec` and `closure` are serialized flyteidl.admin messages.
    """

    workflow_project: str
    workflow_domain: str
    workflow_name: str
    workflow_version: str
    state: int = 0
    schedule_type: str
    launch_condition_type: str | None = None
    spec: bytes
    closure: bytes


LAUNCH_PLAN_VERSIONS = Table(
    "launch_plans", LaunchPlanVersionRow, _VERSION, refuses_nul=True
)


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """A project; `project` is a serialized flyteidl.admin.Project."""

    identifier: str
    name: str
    description: str
    state: int
    project: bytes
    created_at: Annotated[datetime, Merge.FIRST]
    updated_at: datetime


PROJECTS = Table(
    "projects", ProjectRow, ("identifier",), replaces=True, refuses_nul=True
)


class NamedEntityRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about a name; `resource_type` is TASK, WORKFLOW or LAUNCH_PLAN."""

    resource_type: str
    project: str
    domain: str
    name: str
    description: str
    state: int


NAMED_ENTITIES = Table(
    "named_entities",
    NamedEntityRow,
    ("resource_type", "project", "domain", "name"),
    replaces=True,
    refuses_nul=True,
)


class NameRow(msgspec.Struct, frozen=True, kw_only=True):
    """A name that versions have, and what is said about it.

    `resource_type` is flyteidl's number; times are those of the first and last version.
    """

    project: str
    domain: str
    name: str
    description: str
    state: int
    resource_type: int
    created_at: datetime
    updated_at: datetime


class AttributesRow(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes of a resource at one place: '' where they hold for all.

    `attributes` is a serialized flyteidl.admin.MatchingAttributes.
    """

    resource: str
    project: str
    domain: str
    workflow: str
    launch_plan: str
    attributes: bytes


class ProjectAttributesRow(msgspec.Struct, frozen=True, kw_only=True):
    """A project with attributes that apply in it; None where none do.

    Both are serialized: flyteidl.admin.Project, flyteidl.admin.MatchingAttributes.
    """

    project: bytes
    attributes: bytes | None


ATTRIBUTES = Table(
    "attributes",
    AttributesRow,
    ("resource", "project", "domain", "workflow", "launch_plan"),
    replaces=True,
    refuses_nul=True,
)


class EvictionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A data set of the catalog, and the time up to which its outputs aren't reused."""

    project: str
    domain: str
    name: str
    evicted_at: datetime


EVICTIONS = Table(
    "catalog_evictions",
    EvictionRow,
    ("project", "domain", "name"),
    newest=("evicted_at",),
    refuses_nul=True,
)


class ExecutionStateRow(msgspec.Struct, frozen=True, kw_only=True):
    """The state that a client set for an execution: archived (1), or active (0)."""

    stream: str
    state: int
    principal: str
    updated_at: datetime


EXECUTION_STATES = Table(
    "execution_states", ExecutionStateRow, ("stream",), replaces=True, refuses_nul=True
)

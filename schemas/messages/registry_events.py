"""Events of the registry: projects, tasks, workflows, launch plans, attributes."""

from __future__ import annotations

import msgspec

from schemas.ids import EntityRef, ExecutionRef
from schemas.values import Blob


class RegistryMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What every event of the registry has."""

    occurred_at_us: int


class ProjectRegistered(RegistryMessage, frozen=True, kw_only=True):
    """A project exists; `project` is a serialized flyteidl.admin.Project."""

    project_id: str
    project: bytes


class ProjectReplaced(RegistryMessage, frozen=True, kw_only=True):
    """A project's name, description, labels or state were replaced."""

    project_id: str
    project: bytes


class TaskRegistered(RegistryMessage, frozen=True, kw_only=True):
    """A task version exists; `closure` is a serialized flyteidl.admin.TaskClosure.

    `description` is a serialized flyteidl.admin.DescriptionEntity, or empty.
    """

    entity: EntityRef
    digest: str
    task_type: str
    short_description: str
    closure: bytes
    description: bytes = b""


class WorkflowRegistered(RegistryMessage, frozen=True, kw_only=True):
    """A workflow version exists, compiled; its closure is a blob.

    `closure` holds a serialized flyteidl.admin.WorkflowClosure, `interface` a
    serialized flyteidl.core.TypedInterface. `description` is a serialized
    flyteidl.admin.DescriptionEntity, empty if it has none.
    """

    entity: EntityRef
    digest: str
    short_description: str
    interface: bytes
    closure: Blob
    node_count: int
    description: bytes = b""


class LaunchPlanRegistered(RegistryMessage, frozen=True, kw_only=True):
    """A launch plan version exists, INACTIVE.

    `spec` and `closure` are serialized flyteidl.admin messages; the closure holds the
    expected inputs and outputs.
    """

    entity: EntityRef
    digest: str
    workflow: EntityRef
    spec: bytes
    closure: bytes
    schedule_type: str = "NONE"


class LaunchPlanActivated(RegistryMessage, frozen=True, kw_only=True):
    """A launch plan version became the active one of its name."""

    entity: EntityRef
    deactivated_version: str = ""


class LaunchPlanDeactivated(RegistryMessage, frozen=True, kw_only=True):
    """A launch plan version is no longer active."""

    entity: EntityRef


class NamedEntityDescribed(RegistryMessage, frozen=True, kw_only=True):
    """A named entity has a new description and state (flyteidl's number)."""

    kind: str
    project: str
    domain: str
    name: str
    description: str
    state: int


class AttributesSet(RegistryMessage, frozen=True, kw_only=True):
    """Matching attributes were set; `attributes` is flyteidl's MatchingAttributes."""

    resource: str
    project: str
    domain: str
    workflow: str
    launch_plan: str
    attributes: bytes


class AttributesDeleted(RegistryMessage, frozen=True, kw_only=True):
    """Matching attributes were deleted."""

    resource: str
    project: str
    domain: str
    workflow: str
    launch_plan: str


class CacheEvicted(RegistryMessage, frozen=True, kw_only=True):
    """Outputs of a task that were stored before are no longer reused."""

    project: str
    domain: str
    task: str


class ExecutionStateSet(RegistryMessage, frozen=True, kw_only=True):
    """An execution was archived or brought back; `state` is flyteidl's number."""

    execution: ExecutionRef
    state: int
    principal: str


RegistryEvent = (
    ProjectRegistered
    | ProjectReplaced
    | TaskRegistered
    | WorkflowRegistered
    | LaunchPlanRegistered
    | LaunchPlanActivated
    | LaunchPlanDeactivated
    | NamedEntityDescribed
    | AttributesSet
    | AttributesDeleted
    | CacheEvicted
    | ExecutionStateSet
)

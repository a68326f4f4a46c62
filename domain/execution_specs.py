"""Execution specs: how settings are resolved, and what a relaunch keeps (ref §2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from flyteidl.admin import execution_pb2, launch_plan_pb2, matchable_resource_pb2
from flyteidl.core import identifier_pb2

from domain.annotations import NOTIFY

_Level: TypeAlias = (
    execution_pb2.ExecutionSpec
    | launch_plan_pb2.LaunchPlanSpec
    | matchable_resource_pb2.WorkflowExecutionConfig
)
"""What may set an execution's settings."""


def resolved_spec(
    request: execution_pb2.ExecutionSpec,
    plan: launch_plan_pb2.LaunchPlanSpec,
    attributes: Sequence[matchable_resource_pb2.WorkflowExecutionConfig],
    max_parallelism: int,
) -> execution_pb2.ExecutionSpec:
    """Return the request's spec, completed by precedence (ref §2.3).

    That is the request, the launch plan, then the matchable attributes, the most
    specific first. `max_parallelism` is the server's default.
    """
    spec = execution_pb2.ExecutionSpec()
    spec.CopyFrom(request)
    spec.ClearField("inputs")
    levels: tuple[_Level, ...] = (request, plan, *attributes)
    spec.max_parallelism = next(
        (s.max_parallelism for s in levels if s.max_parallelism),
        max_parallelism,
    )
    for field in ("raw_output_data_config", "interruptible", "envs", "annotations"):
        chosen = next((s for s in levels if _is_set(s, field)), None)
        if chosen is not None:
            getattr(spec, field).CopyFrom(getattr(chosen, field))
    if request.metadata.mode == execution_pb2.ExecutionMetadata.CHILD_WORKFLOW:
        _ask_as_own_plan(spec, plan)
    secure = next((s for s in levels if _names_identity(s)), None)
    if secure is not None:
        spec.security_context.CopyFrom(secure.security_context)
    if not spec.HasField("quality_of_service") and plan.HasField("quality_of_service"):
        spec.quality_of_service.CopyFrom(plan.quality_of_service)
    spec.overwrite_cache = any(s.overwrite_cache for s in levels)
    _resolve_notifications(spec, plan)
    return spec


def _ask_as_own_plan(
    spec: execution_pb2.ExecutionSpec, plan: launch_plan_pb2.LaunchPlanSpec
) -> None:
    """Let a child tell whom its own launch plan names, whatever else it inherits."""
    if NOTIFY in plan.annotations.values:
        spec.annotations.values[NOTIFY] = plan.annotations.values[NOTIFY]


def _resolve_notifications(
    spec: execution_pb2.ExecutionSpec, plan: launch_plan_pb2.LaunchPlanSpec
) -> None:
    by_plan = plan.entity_metadata.notifications
    if spec.disable_all:
        spec.ClearField("notifications")
        spec.disable_all = True
    elif not spec.notifications.notifications and by_plan:
        notifications = execution_pb2.NotificationList(notifications=by_plan)
        spec.notifications.CopyFrom(notifications)


def _is_set(level: _Level, field: str) -> bool:
    """Return whether a level sets a field: an empty prefix or map doesn't."""
    if not level.HasField(field):
        return False
    if field == "raw_output_data_config":
        return bool(level.raw_output_data_config.output_location_prefix)
    if field == "interruptible":
        return True
    values = level.envs if field == "envs" else level.annotations
    return bool(values.values)


def _names_identity(level: _Level) -> bool:
    identity = level.security_context.run_as
    return bool(
        identity.k8s_service_account or identity.iam_role or identity.execution_identity
    )


def execution_config(
    attributes: bytes,
) -> matchable_resource_pb2.WorkflowExecutionConfig:
    """Return the execution settings in serialized matching attributes."""
    found = matchable_resource_pb2.MatchingAttributes.FromString(attributes)
    return found.workflow_execution_config


def relaunch_spec(
    original: execution_pb2.ExecutionSpec,
    *,
    overwrite_cache: bool,
    mode: execution_pb2.ExecutionMetadata.ExecutionMode,
    reference: identifier_pb2.WorkflowExecutionIdentifier,
) -> execution_pb2.ExecutionSpec:
    """Return the spec of a relaunch or recovery of an execution (ref §9)."""
    spec = execution_pb2.ExecutionSpec()
    spec.CopyFrom(original)
    spec.overwrite_cache = overwrite_cache
    spec.metadata.mode = mode
    spec.metadata.reference_execution.CopyFrom(reference)
    spec.metadata.ClearField("parent_node_execution")
    return spec

"""Admission: may this execution start, and with which resolved settings (ref §2.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flyteidl.admin import (
    execution_pb2,
    matchable_resource_pb2,
    project_pb2,
)
from flyteidl.core import execution_pb2 as core_execution_pb2
from flyteidl.core import literals_pb2

from domain.annotations import annotations_violation
from domain.literals.casting import literal_matches
from domain.literals.literal_types import describe, literal_type
from domain.literals.protobuf_checks import violation
from domain.registry.identity import invalid
from schemas.messages.commands import CreateExecution
from schemas.messages.rejections import Reason, Rejected

NAME_MAX = 63
LABELS_MAX = 16
_NAME = re.compile(r"[A-Za-z][A-Za-z\-0-9]*")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
_LABEL_KEY = re.compile(
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
)
_TERMINAL = frozenset(
    {
        core_execution_pb2.WorkflowExecution.SUCCEEDED,
        core_execution_pb2.WorkflowExecution.FAILED,
        core_execution_pb2.WorkflowExecution.ABORTED,
        core_execution_pb2.WorkflowExecution.TIMED_OUT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionContext:
    """What hydration read for a creation; None for what isn't there.

    `levels` are admin.WorkflowExecutionConfig, the most special first.
    """

    project: Any | None
    domains: tuple[str, ...]
    plan_spec: Any | None
    expected_inputs: Any | None
    levels: tuple[Any, ...] = ()
    max_parallelism: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """An execution that may start: its resolved spec, and its merged inputs."""

    spec: Any
    inputs: Any
    max_parallelism: int


def check_ids(command: CreateExecution) -> Rejected | None:
    """Check the ids of a creation; cheap enough to do first."""
    if not command.project or not command.domain:
        return invalid("Expected a project and a domain, but one is empty")
    if len(command.name) > NAME_MAX or not _NAME.fullmatch(command.name):
        return invalid(
            f"Expected an execution name like 'my-run-1' of at most {NAME_MAX} "
            f"characters, but got '{command.name}'"
        )
    for part in ("project", "domain", "name", "version"):
        if not getattr(command.launch_plan, part):
            return invalid(f"Expected a launch plan with a {part}, but it is empty")
    if command.launch_plan.kind not in {"LAUNCH_PLAN", "TASK"}:
        return invalid(
            "Expected a LAUNCH_PLAN or TASK to launch, "
            f"but got {command.launch_plan.kind}"
        )
    return None


def check_recovery_source(
    command: CreateExecution, *, exists: bool, has_ended: bool
) -> Rejected | None:
    """Check the execution that a creation recovers.

    A parent's wish is always granted: it takes over what its lost child has left.
    """
    if command.recovers is None or command.parent is not None:
        return None
    text = command.recovers.text()
    if not exists:
        detail = f"Expected execution {text} to exist, but it doesn't"
        return Rejected(Reason.NOT_FOUND, detail)
    if not has_ended:
        detail = f"Expected execution {text} to have ended, but it hasn't"
        return Rejected(Reason.FAILED_PRECONDITION, detail)
    return None


def admit(
    command: CreateExecution, spec: Any, given: Any, context: AdmissionContext
) -> Admitted | Rejected:
    """Check a creation and resolve its settings.

    `spec` is its admin.ExecutionSpec, `given` its inputs as a core.LiteralMap.
    """
    refused = (
        check_ids(command)
        or _check_place(command, context)
        or _check_spec(spec)
        or _check_literals(given)
    )
    if refused is not None:
        return refused
    if context.plan_spec is None or context.expected_inputs is None:
        kind, text = command.launch_plan.kind, command.launch_plan.text()
        detail = f"missing entity of type {kind} with identifier {text}"
        return Rejected(Reason.NOT_FOUND, detail)
    merged = merge_inputs(
        given, context.expected_inputs, context.plan_spec.fixed_inputs
    )
    if isinstance(merged, Rejected):
        return merged
    resolved = _resolve(spec, context)
    return Admitted(
        spec=resolved, inputs=merged, max_parallelism=resolved.max_parallelism
    )


def _check_place(
    command: CreateExecution, context: AdmissionContext
) -> Rejected | None:
    if context.project is None:
        return invalid(f"Expected project '{command.project}' to exist, but it doesn't")
    if context.project.state != project_pb2.Project.ACTIVE:
        return invalid(
            f"Expected project '{command.project}' to be active, but it isn't"
        )
    if command.domain not in context.domains:
        known = ", ".join(context.domains)
        return invalid(f"Expected a domain of {known}, but got '{command.domain}'")
    return None


def _check_spec(spec: Any) -> Rejected | None:
    wrong = violation(spec, "spec")
    if wrong:
        return invalid(wrong)
    for notification in spec.notifications.notifications:
        if any(phase not in _TERMINAL for phase in notification.phases):
            return invalid("Expected notifications of terminal phases, but got another")
        kind = notification.WhichOneof("type")
        if not kind or not getattr(notification, kind).recipients_email:
            return invalid("Expected notifications with recipients, but one has none")
    unknown = annotations_violation(spec.annotations.values)
    if unknown:
        return invalid(unknown)
    labels = spec.labels.values
    if len(labels) > LABELS_MAX:
        return invalid(f"Expected at most {LABELS_MAX} labels, but got {len(labels)}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or len(key.rpartition("/")[2]) > NAME_MAX:
            return invalid(f"Expected a label key, but '{key}' is none")
        if len(value) > NAME_MAX or not _LABEL_VALUE.fullmatch(value):
            return invalid(f"Expected a label value, but '{value}' of '{key}' is none")
    return None


def _check_literals(given: Any) -> Rejected | None:
    for name, literal in given.literals.items():
        if not name or literal_type(literal) is None:
            return invalid(f"Expected input '{name}' to have a value, but it has none")
    return None


def merge_inputs(given: Any, expected: Any, fixed: Any) -> Any | Rejected:
    """Return the inputs of an execution: given, else default, and fixed ones last."""
    merged = literals_pb2.LiteralMap()
    for name in given.literals:
        if name in fixed.literals:
            return invalid(
                f"Expected '{name}' to stay fixed, but it cannot be overridden"
            )
        if name not in expected.parameters:
            return invalid(
                f"invalid input {name}: Expected inputs of the launch plan only"
            )
    for name, parameter in expected.parameters.items():
        if name in given.literals:
            literal = given.literals[name]
            if not literal_matches(literal, parameter.var.type):
                found = literal_type(literal)
                return invalid(
                    f"invalid {name} input wrong type: Expected "
                    f"{describe(parameter.var.type)}, but got {describe(found)}"
                )
            merged.literals[name].CopyFrom(literal)
        elif parameter.WhichOneof("behavior") == "default":
            merged.literals[name].CopyFrom(parameter.default)
        elif parameter.required:
            return invalid(f"expected_inputs {name} missing")
    for name, literal in fixed.literals.items():
        merged.literals[name].CopyFrom(literal)
    return merged


def _resolve(request: Any, context: AdmissionContext) -> Any:
    """Return the request's spec, completed by precedence (ref §2.3)."""
    spec = execution_pb2.ExecutionSpec()
    spec.CopyFrom(request)
    spec.ClearField("inputs")
    plan: Any = context.plan_spec
    levels = (request, plan, *context.levels)
    spec.max_parallelism = next(
        (s.max_parallelism for s in levels if s.max_parallelism),
        context.max_parallelism,
    )
    for field in ("raw_output_data_config", "interruptible", "envs", "annotations"):
        chosen = next((s for s in levels if _is_set(s, field)), None)
        if chosen is not None:
            getattr(spec, field).CopyFrom(getattr(chosen, field))
    secure = next((s for s in levels if _names_identity(s)), None)
    if secure is not None:
        spec.security_context.CopyFrom(secure.security_context)
    if not spec.HasField("quality_of_service") and plan.HasField("quality_of_service"):
        spec.quality_of_service.CopyFrom(plan.quality_of_service)
    spec.overwrite_cache = any(s.overwrite_cache for s in levels)
    if spec.disable_all:
        spec.ClearField("notifications")
        spec.disable_all = True
    elif not spec.notifications.notifications and plan.entity_metadata.notifications:
        spec.notifications.CopyFrom(
            execution_pb2.NotificationList(
                notifications=plan.entity_metadata.notifications
            )
        )
    return spec


def _is_set(level: Any, field: str) -> bool:
    if not level.HasField(field):
        return False
    value = getattr(level, field)
    if field == "raw_output_data_config":
        return bool(value.output_location_prefix)
    if field == "interruptible":
        return True
    return bool(value.values)


def _names_identity(level: Any) -> bool:
    who = level.security_context.run_as
    return bool(who.k8s_service_account or who.iam_role or who.execution_identity)


def execution_config(attributes: bytes) -> Any:
    """Return the admin.WorkflowExecutionConfig in stored matching attributes."""
    found = matchable_resource_pb2.MatchingAttributes.FromString(attributes)
    return found.workflow_execution_config


def relaunch_spec(
    original: Any, *, overwrite_cache: bool, mode: int, reference: Any
) -> Any:
    """Return the spec of a relaunch or recovery of an execution (ref §9)."""
    spec = execution_pb2.ExecutionSpec()
    spec.CopyFrom(original)
    spec.overwrite_cache = overwrite_cache
    spec.metadata.mode = mode
    spec.metadata.reference_execution.CopyFrom(reference)
    spec.metadata.ClearField("parent_node_execution")
    return spec

"""Admission: whether an execution may start, and with which inputs (ref §2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flyteidl.admin import (
    execution_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
    project_pb2,
)
from flyteidl.core import interface_pb2, literals_pb2

from domain.annotations import annotations_violation
from domain.execution_specs import resolved_spec
from domain.graph import entity_ref, to_identifier
from domain.literals.casting import literal_matches
from domain.literals.literal_types import describe, literal_type
from domain.literals.protobuf_checks import violation
from domain.notifying import requests
from domain.notifying.requests import NOTHING_SET, Reachable
from domain.registry.identity import invalid
from domain.text_limits import creation_violation, spec_violation
from schemas.ids import EntityRef
from schemas.messages.commands import CreateExecution
from schemas.messages.rejections import Reason, Rejected

NAME_MAX = 63
LABELS_MAX = 16
_NAME = re.compile(r"[A-Za-z][A-Za-z\-0-9]*")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
_LABEL_KEY = re.compile(
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
)


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """The launch plan of an execution, and the inputs that it expects."""

    spec: launch_plan_pb2.LaunchPlanSpec
    expected_inputs: interface_pb2.ParameterMap


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionContext:
    """What was loaded to decide on a creation; None for what doesn't exist.

    `levels` are the matchable attributes that apply, the most specific first.
    """

    project: project_pb2.Project | None
    domains: tuple[str, ...]
    launch_plan: LaunchPlan | None
    levels: tuple[matchable_resource_pb2.WorkflowExecutionConfig, ...] = ()
    max_parallelism: int = 25
    reachable: Reachable = NOTHING_SET


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """An execution that may start: its workflow, resolved spec and merged inputs."""

    workflow: EntityRef
    spec: execution_pb2.ExecutionSpec
    inputs: literals_pb2.LiteralMap
    max_parallelism: int


def check_ids(command: CreateExecution) -> Rejected | None:
    """Check the ids of a creation, for which nothing need be loaded."""
    if not command.project or not command.domain:
        return invalid("Expected a project and a domain, but one is empty")
    if len(command.name) > NAME_MAX or not _NAME.fullmatch(command.name):
        return invalid(
            f"Expected an execution name like 'my-run-1' of at most {NAME_MAX} "
            f"characters, but got '{command.name}'"
        )
    wrong = creation_violation(command)
    if wrong is not None:
        return invalid(wrong)
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

    A parent may recover its child at any time: it takes over a child that was lost.
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
    command: CreateExecution,
    spec: execution_pb2.ExecutionSpec,
    given: literals_pb2.LiteralMap,
    context: AdmissionContext,
) -> Admitted | Rejected:
    """Check a creation, its spec and its given inputs, and resolve its settings."""
    refused = (
        check_ids(command)
        or _check_project(command, context)
        or _check_spec(spec, context.reachable)
        or _check_literals(given)
    )
    if refused is not None:
        return refused
    plan = context.launch_plan
    if plan is None:
        kind, text = command.launch_plan.kind, command.launch_plan.text()
        detail = f"missing entity of type {kind} with identifier {text}"
        return Rejected(Reason.NOT_FOUND, detail)
    merged = merge_inputs(given, plan.expected_inputs, plan.spec.fixed_inputs)
    if isinstance(merged, Rejected):
        return merged
    resolved = resolved_spec(spec, plan.spec, context.levels, context.max_parallelism)
    resolved.launch_plan.CopyFrom(to_identifier(command.launch_plan))
    wrong = spec_violation(resolved)
    if wrong is not None:
        return invalid(wrong)
    return Admitted(
        workflow=entity_ref(plan.spec.workflow_id, "WORKFLOW"),
        spec=resolved,
        inputs=merged,
        max_parallelism=resolved.max_parallelism,
    )


def _check_project(
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


def _check_spec(
    spec: execution_pb2.ExecutionSpec, reachable: Reachable
) -> Rejected | None:
    wrong = spec_violation(spec) or violation(spec, "spec")
    if wrong:
        return invalid(wrong)
    notifications, asked = spec.notifications.notifications, spec.annotations.values
    is_again = spec.metadata.HasField("reference_execution")
    wrong = requests.violation(
        notifications, asked, None if is_again else reachable
    ) or annotations_violation(asked)
    if wrong:
        return invalid(wrong)
    return _check_labels(spec.labels.values)


def _check_labels(labels: Mapping[str, str]) -> Rejected | None:
    if len(labels) > LABELS_MAX:
        return invalid(f"Expected at most {LABELS_MAX} labels, but got {len(labels)}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or len(key.rpartition("/")[2]) > NAME_MAX:
            return invalid(f"Expected a label key, but '{key}' is none")
        if len(value) > NAME_MAX or not _LABEL_VALUE.fullmatch(value):
            return invalid(f"Expected a label value, but '{value}' of '{key}' is none")
    return None


def _check_literals(given: literals_pb2.LiteralMap) -> Rejected | None:
    for name, literal in given.literals.items():
        if not name or literal_type(literal) is None:
            return invalid(f"Expected input '{name}' to have a value, but it has none")
    return None


def merge_inputs(
    given: literals_pb2.LiteralMap,
    expected: interface_pb2.ParameterMap,
    fixed: literals_pb2.LiteralMap,
) -> literals_pb2.LiteralMap | Rejected:
    """Return the inputs of an execution: those given, else defaults, and fixed ones."""
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

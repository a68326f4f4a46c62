"""The decider of a task version: registered once, never changed (ref §2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from flyteidl.admin import task_pb2
from flyteidl.core import tasks_pb2

from domain import quantities
from domain.compiler.errors import CompileErrors
from domain.compiler.tasks import compile_task
from domain.literals.protobuf_checks import violation
from domain.registry.identity import (
    already_exists,
    check_parts,
    checked_ref,
    differs,
    digest,
    invalid,
)
from schemas.messages.registry_events import TaskRegistered
from schemas.messages.rejections import Rejected


def register(
    known: Sequence[TaskRegistered],
    request: task_pb2.TaskCreateRequest,
    *,
    now_us: int,
) -> Sequence[TaskRegistered] | Rejected:
    """Register a task version."""
    ref = checked_ref(request.id, "TASK")
    if isinstance(ref, Rejected):
        return ref
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(request.spec.template)
    template.id.CopyFrom(request.id)
    wrong = violation(template, "template")
    refused = invalid(wrong) if wrong else _check(template)
    if refused is not None:
        return refused
    found = digest(template)
    if known:
        if known[0].digest == found:
            return already_exists(ref)
        closure = task_pb2.TaskClosure.FromString(known[0].closure)
        return differs(ref, closure.compiled_task.template, template)
    closure = task_pb2.TaskClosure()
    closure.compiled_task.template.CopyFrom(template)
    closure.created_at.FromMicroseconds(now_us)
    return (
        TaskRegistered(
            occurred_at_us=now_us,
            entity=ref,
            digest=found,
            task_type=template.type,
            short_description=request.spec.description.short_description,
            closure=closure.SerializeToString(deterministic=True),
            description=request.spec.description.SerializeToString(deterministic=True),
        ),
    )


def _check(template: tasks_pb2.TaskTemplate) -> Rejected | None:
    if not template.type:
        return invalid("Expected a task with a type, but it is empty")
    version = template.metadata.discovery_version
    parts = (("task type", template.type), ("cache version", version))
    rejected = check_parts(parts)
    if rejected is not None:
        return rejected
    if not template.HasField("interface"):
        return invalid("Expected a task with an interface, but it has none")
    runtime = template.metadata.runtime
    if runtime.ByteSize() and not runtime.version:
        return invalid("Expected a runtime with a version, but it is empty")
    for side in (template.interface.inputs, template.interface.outputs):
        for name, variable in side.variables.items():
            if not name or variable.type.WhichOneof("type") is None:
                return invalid(
                    f"Expected variable '{name}' to have a type, but it has none"
                )
    if template.WhichOneof("target") == "container":
        refused = _check_container(template.container)
        if refused is not None:
            return refused
    compiled = compile_task(template)
    if isinstance(compiled, CompileErrors):
        return invalid(f"failed to compile task: {compiled.text()}")
    return None


def _check_container(container: tasks_pb2.Container) -> Rejected | None:
    if not container.image:
        return invalid("Expected a container with an image, but it has none")
    sides = {
        "request": container.resources.requests,
        "limit": container.resources.limits,
    }
    amounts: dict[tuple[str, int], Decimal] = {}
    for side, entries in sides.items():
        for entry in entries:
            name = tasks_pb2.Resources.ResourceName.Name(entry.name).lower()
            amount = quantities.parse(entry.value)
            if amount is None:
                return invalid(
                    f"Expected the {side} of {name} to be a quantity, "
                    f"but it is '{entry.value}'"
                )
            if (side, entry.name) in amounts:
                return invalid(f"Expected one {side} of {name}, but there are several")
            amounts[(side, entry.name)] = amount
    for (side, number), amount in amounts.items():
        limit = amounts.get(("limit", number))
        if side == "request" and limit is not None and amount > limit:
            name = tasks_pb2.Resources.ResourceName.Name(number).lower()
            return invalid(
                f"Expected the request of {name} within its limit, but it is above"
            )
    return None

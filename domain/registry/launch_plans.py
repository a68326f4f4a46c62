"""The decider of a launch plan's name: its versions, and which is active (ref §2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import launch_plan_pb2
from flyteidl.core import interface_pb2

from domain.annotations import annotations_violation
from domain.graph import entity_ref
from domain.literals.casting import literal_matches
from domain.literals.literal_types import describe
from domain.literals.protobuf_checks import violation
from domain.notifying import requests
from domain.notifying.requests import NOTHING_SET, Reachable
from domain.registry.identity import (
    already_exists,
    checked_ref,
    differs,
    digest,
    invalid,
)
from domain.registry.schedules import check_schedule, schedule_type
from domain.text_limits import texts_violation
from schemas.ids import EntityRef
from schemas.messages.registry_events import (
    LaunchPlanActivated,
    LaunchPlanDeactivated,
    LaunchPlanRegistered,
)
from schemas.messages.rejections import Reason, Rejected

Event = LaunchPlanRegistered | LaunchPlanActivated | LaunchPlanDeactivated


def register(
    known: Sequence[Event],
    request: launch_plan_pb2.LaunchPlanCreateRequest,
    interface: interface_pb2.TypedInterface,
    *,
    now_us: int,
    reachable: Reachable = NOTHING_SET,
) -> Sequence[Event] | Rejected:
    """Register a launch plan version of a workflow with this interface.

    Whom it asks to tell must be `reachable`.
    """
    ref = checked_ref(request.id, "LAUNCH_PLAN")
    if isinstance(ref, Rejected):
        return ref
    spec = _completed(request.spec, interface)
    if isinstance(spec, Rejected):
        return spec
    found = digest(spec)
    for event in known:
        if isinstance(event, LaunchPlanRegistered) and event.entity == ref:
            if event.digest == found:
                return already_exists(ref)
            before = launch_plan_pb2.LaunchPlanSpec.FromString(event.spec)
            return differs(ref, before, spec)
    wrong = _asked_violation(spec, reachable)
    if wrong:
        return invalid(wrong)
    closure = _closure(spec, interface, now_us)
    return (
        LaunchPlanRegistered(
            occurred_at_us=now_us,
            entity=ref,
            digest=found,
            workflow=entity_ref(spec.workflow_id),
            spec=spec.SerializeToString(deterministic=True),
            closure=closure.SerializeToString(deterministic=True),
            schedule_type=schedule_type(spec),
        ),
    )


def _asked_violation(
    spec: launch_plan_pb2.LaunchPlanSpec, reachable: Reachable
) -> str | None:
    """Return what is wrong with what a plan asks of the engine."""
    annotations = spec.annotations.values
    return requests.violation(
        spec.entity_metadata.notifications, annotations, reachable
    ) or annotations_violation(annotations)


def _closure(
    spec: launch_plan_pb2.LaunchPlanSpec,
    interface: interface_pb2.TypedInterface,
    now_us: int,
) -> launch_plan_pb2.LaunchPlanClosure:
    closure = launch_plan_pb2.LaunchPlanClosure(
        expected_inputs=spec.default_inputs, expected_outputs=interface.outputs
    )
    closure.created_at.FromMicroseconds(now_us)
    closure.updated_at.FromMicroseconds(now_us)
    return closure


def _completed(
    given: launch_plan_pb2.LaunchPlanSpec,
    interface: interface_pb2.TypedInterface,
) -> launch_plan_pb2.LaunchPlanSpec | Rejected:
    """Check a spec, and return it with all expected inputs as its default inputs."""
    wrong = violation(given, "spec") or texts_violation(given, "spec")
    if wrong:
        return invalid(wrong)
    expected = expected_inputs(given, interface)
    if isinstance(expected, Rejected):
        return expected
    refused = check_schedule(given, expected)
    if refused is not None:
        return refused
    spec = launch_plan_pb2.LaunchPlanSpec()
    spec.CopyFrom(given)
    spec.default_inputs.CopyFrom(expected)
    return spec


def activate(
    known: Sequence[Event], ref: EntityRef, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Make a version the active one of its name, in place of another."""
    if not _is_registered(known, ref):
        return _missing(ref)
    active = active_version(known)
    if active == ref.version:
        return ()
    return (
        LaunchPlanActivated(
            occurred_at_us=now_us, entity=ref, deactivated_version=active or ""
        ),
    )


def deactivate(
    known: Sequence[Event], ref: EntityRef, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Make a version inactive."""
    if not _is_registered(known, ref):
        return _missing(ref)
    if active_version(known) != ref.version:
        return ()
    return (LaunchPlanDeactivated(occurred_at_us=now_us, entity=ref),)


def active_version(known: Sequence[Event]) -> str | None:
    """Return the active version, None if there is none."""
    active: str | None = None
    for event in known:
        if isinstance(event, LaunchPlanActivated):
            active = event.entity.version
        elif (
            isinstance(event, LaunchPlanDeactivated) and active == event.entity.version
        ):
            active = None
    return active


def _is_registered(known: Sequence[Event], ref: EntityRef) -> bool:
    return any(isinstance(f, LaunchPlanRegistered) and f.entity == ref for f in known)


def _missing(ref: EntityRef) -> Rejected:
    detail = f"missing entity of type LAUNCH_PLAN with identifier {ref.text()}"
    return Rejected(Reason.NOT_FOUND, detail)


def expected_inputs(
    spec: launch_plan_pb2.LaunchPlanSpec, interface: interface_pb2.TypedInterface
) -> interface_pb2.ParameterMap | Rejected:
    """Return the inputs that an execution may give (ref §2.1)."""
    variables = interface.inputs.variables
    refused = _check_fixed(spec, interface) or _check_defaults(spec, interface)
    if refused is not None:
        return refused
    expected = interface_pb2.ParameterMap()
    for name, variable in variables.items():
        if name in spec.fixed_inputs.literals:
            continue
        parameter = expected.parameters[name]
        if name in spec.default_inputs.parameters:
            parameter.CopyFrom(spec.default_inputs.parameters[name])
        else:
            parameter.required = True
        parameter.var.CopyFrom(variable)
    return expected


def _check_fixed(
    spec: launch_plan_pb2.LaunchPlanSpec, interface: interface_pb2.TypedInterface
) -> Rejected | None:
    variables = interface.inputs.variables
    for name, literal in spec.fixed_inputs.literals.items():
        if name not in variables:
            return invalid(
                f"Expected fixed input '{name}' of the workflow, but it has none"
            )
        if not literal_matches(literal, variables[name].type):
            asked = describe(variables[name].type)
            return invalid(
                f"Expected fixed input '{name}' to be {asked}, but it is not"
            )
    return None


def _check_defaults(
    spec: launch_plan_pb2.LaunchPlanSpec, interface: interface_pb2.TypedInterface
) -> Rejected | None:
    variables = interface.inputs.variables
    for name in spec.default_inputs.parameters:
        if name not in variables:
            return invalid(
                f"Expected default input '{name}' of the workflow, but it has none"
            )
    for name, parameter in spec.default_inputs.parameters.items():
        if name in spec.fixed_inputs.literals or not parameter.HasField("default"):
            continue
        asked = variables[name].type
        if not literal_matches(parameter.default, asked):
            return invalid(
                f"Expected default input '{name}' to be {describe(asked)}, "
                "but it is not"
            )
    return None

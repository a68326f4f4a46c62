"""The decider of one launch plan name: its versions, and which one is active."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim, CronSimError
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import interface_pb2, types_pb2

from domain.graph import entity_ref
from domain.literals.casting import literal_matches
from domain.literals.literal_types import describe
from domain.literals.protobuf_checks import violation
from domain.registry.identity import checked_ref, digest, existing, invalid
from schemas.ids import EntityRef
from schemas.messages.registry_events import (
    LaunchPlanActivated,
    LaunchPlanDeactivated,
    LaunchPlanRegistered,
)
from schemas.messages.rejections import Reason, Rejected

Event = LaunchPlanRegistered | LaunchPlanActivated | LaunchPlanDeactivated
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_ALIASES = frozenset(
    {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
)


def register(
    known: Sequence[Event], request: Any, interface: Any, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Register an admin.LaunchPlanCreateRequest for a workflow's TypedInterface."""
    ref = checked_ref(request.id, "LAUNCH_PLAN")
    if isinstance(ref, Rejected):
        return ref
    wrong = violation(request.spec, "spec")
    if wrong:
        return invalid(wrong)
    expected = expected_inputs(request.spec, interface)
    if isinstance(expected, Rejected):
        return expected
    refused = _check_schedule(request.spec, expected)
    if refused is not None:
        return refused
    spec = launch_plan_pb2.LaunchPlanSpec()
    spec.CopyFrom(request.spec)
    spec.default_inputs.CopyFrom(expected)
    found = digest(spec)
    for event in known:
        if isinstance(event, LaunchPlanRegistered) and event.entity == ref:
            before = launch_plan_pb2.LaunchPlanSpec.FromString(event.spec)
            return existing(ref, same=event.digest == found, known=before, given=spec)
    closure = launch_plan_pb2.LaunchPlanClosure(
        expected_inputs=expected, expected_outputs=interface.outputs
    )
    closure.created_at.FromMicroseconds(now_us)
    closure.updated_at.FromMicroseconds(now_us)
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


def activate(
    known: Sequence[Event], ref: EntityRef, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Make a version the active one of its name; the one before steps back."""
    if not _is_registered(known, ref):
        return _missing(ref)
    active = active_version(known)
    if active == ref.version:
        return ()
    return (
        LaunchPlanActivated(
            occurred_at_us=now_us, entity=ref, deactivated_version=active
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


def active_version(known: Sequence[Event]) -> str:
    """Return the active version; '' if there is none."""
    active = ""
    for event in known:
        if isinstance(event, LaunchPlanActivated):
            active = event.entity.version
        elif (
            isinstance(event, LaunchPlanDeactivated) and active == event.entity.version
        ):
            active = ""
    return active


def _is_registered(known: Sequence[Event], ref: EntityRef) -> bool:
    return any(isinstance(f, LaunchPlanRegistered) and f.entity == ref for f in known)


def _missing(ref: EntityRef) -> Rejected:
    detail = f"missing entity of type LAUNCH_PLAN with identifier {ref.text()}"
    return Rejected(Reason.NOT_FOUND, detail)


def expected_inputs(spec: Any, interface: Any) -> Any | Rejected:
    """Return the core.ParameterMap of inputs that an execution may give (ref §2.1)."""
    inputs = interface.inputs.variables
    for name, literal in spec.fixed_inputs.literals.items():
        if name not in inputs:
            return invalid(
                f"Expected fixed input '{name}' of the workflow, but it has none"
            )
        if not literal_matches(literal, inputs[name].type):
            asked = describe(inputs[name].type)
            return invalid(
                f"Expected fixed input '{name}' to be {asked}, but it is not"
            )
    for name in spec.default_inputs.parameters:
        if name not in inputs:
            return invalid(
                f"Expected default input '{name}' of the workflow, but it has none"
            )
    expected = interface_pb2.ParameterMap()
    for name, variable in inputs.items():
        if name in spec.fixed_inputs.literals:
            continue
        parameter = expected.parameters[name]
        if name in spec.default_inputs.parameters:
            given = spec.default_inputs.parameters[name]
            if given.WhichOneof("behavior") == "default" and not literal_matches(
                given.default, variable.type
            ):
                asked = describe(variable.type)
                return invalid(
                    f"Expected default input '{name}' to be {asked}, but it is not"
                )
            parameter.CopyFrom(given)
        else:
            parameter.required = True
        parameter.var.CopyFrom(variable)
    return expected


def schedule_type(spec: Any) -> str:
    """Return NONE, CRON or RATE, as Flyte's column says."""
    kind = spec.entity_metadata.schedule.WhichOneof("ScheduleExpression")
    return {None: "NONE", "rate": "RATE"}.get(kind, "CRON")


def _check_schedule(spec: Any, expected: Any) -> Rejected | None:
    schedule = spec.entity_metadata.schedule
    kind = schedule.WhichOneof("ScheduleExpression")
    if spec.entity_metadata.HasField("launch_conditions"):
        return invalid("Expected no launch conditions, but some are given")
    if kind is None:
        return None
    kickoff = schedule.kickoff_time_input_arg
    for name, parameter in expected.parameters.items():
        if parameter.required and name != kickoff:
            return invalid(
                "Expected a scheduled launch plan to need no inputs, "
                f"but '{name}' is required"
            )
    if kickoff:
        asked = expected.parameters.get(kickoff)
        if asked is None or asked.var.type.simple != types_pb2.DATETIME:
            return invalid(
                f"Expected kickoff input '{kickoff}' to be an unbound datetime, "
                "but it is not"
            )
    if kind == "cron_schedule":
        return _check_cron(schedule.cron_schedule.schedule)
    if kind == "cron_expression":
        return invalid(
            "Expected a cron_schedule, but got the deprecated cron_expression"
        )
    return None


def _check_cron(text: str) -> Rejected | None:
    zoned = text.startswith(("CRON_TZ=", "TZ="))
    body = text.partition(" ")[2] if zoned else text
    if body in _ALIASES or body.startswith("@every "):
        return None
    try:
        CronSim(body, _SOME_DAY)
    except CronSimError as error:
        return invalid(f"Expected a cron schedule, but '{text}' is none: {error}")
    return None

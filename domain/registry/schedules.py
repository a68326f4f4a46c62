"""Schedules of launch plans: what a valid one is (ref §2.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from cronsim import CronSim, CronSimError
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import interface_pb2, types_pb2

from domain.registry.identity import invalid
from schemas.messages.rejections import Rejected

ScheduleType = Literal["NONE", "CRON", "RATE"]
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_ALIASES = frozenset(
    {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
)


def schedule_type(spec: launch_plan_pb2.LaunchPlanSpec) -> ScheduleType:
    """Return the type of a launch plan's schedule, by Flyte's names."""
    match spec.entity_metadata.schedule.WhichOneof("ScheduleExpression"):
        case None:
            return "NONE"
        case "rate":
            return "RATE"
        case _:
            return "CRON"


def check_schedule(
    spec: launch_plan_pb2.LaunchPlanSpec, expected: interface_pb2.ParameterMap
) -> Rejected | None:
    """Check a launch plan's schedule against the inputs it expects."""
    schedule = spec.entity_metadata.schedule
    kind = schedule.WhichOneof("ScheduleExpression")
    if spec.entity_metadata.HasField("launch_conditions"):
        return invalid("Expected no launch conditions, but some are given")
    if kind is None:
        return None
    refused = _check_inputs(schedule.kickoff_time_input_arg, expected)
    if refused is not None:
        return refused
    if kind == "cron_schedule":
        return _check_cron(schedule.cron_schedule.schedule)
    if kind == "cron_expression":
        return invalid(
            "Expected a cron_schedule, but got the deprecated cron_expression"
        )
    return None


def _check_inputs(
    kickoff: str, expected: interface_pb2.ParameterMap
) -> Rejected | None:
    """Check that a run needs no inputs but the time it is started at, if named."""
    for name, parameter in expected.parameters.items():
        if parameter.required and name != kickoff:
            return invalid(
                "Expected a scheduled launch plan to need no inputs, "
                f"but '{name}' is required"
            )
    if not kickoff:
        return None
    asked = expected.parameters.get(kickoff)
    if asked is None or asked.var.type.simple != types_pb2.DATETIME:
        return invalid(
            f"Expected kickoff input '{kickoff}' to be an unbound datetime, "
            "but it is not"
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

"""Launch plans: their versions, which one is active, and when they run."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import identifier_pb2, interface_pb2
from msgspec.structs import replace

from domain.registry.launch_plans import (
    Event,
    activate,
    active_version,
    deactivate,
    expected_inputs,
    register,
)
from schemas.messages.registry_events import LaunchPlanActivated, LaunchPlanRegistered
from schemas.messages.rejections import Reason, Rejected
from tests.support.graphs import identifier
from tests.support.literals import INT, MOMENT, literals, number, primitive, text

NOW_US = 5


def _interface(**inputs: Any) -> Any:
    interface = interface_pb2.TypedInterface()
    for name, kind in inputs.items():
        interface.inputs.variables[name].type.CopyFrom(kind)
    interface.outputs.variables["o0"].type.CopyFrom(INT)
    return interface


def _request(version: str = "v", **spec: Any) -> Any:
    request = launch_plan_pb2.LaunchPlanCreateRequest(
        id=identifier(identifier_pb2.LAUNCH_PLAN, "lp"),
        spec=launch_plan_pb2.LaunchPlanSpec(
            workflow_id=identifier(identifier_pb2.WORKFLOW, "main"), **spec
        ),
    )
    request.id.version = version
    return request


def _default(literal: Any, name: str = "x") -> Any:
    defaults = interface_pb2.ParameterMap()
    defaults.parameters[name].default.CopyFrom(literal)
    return defaults


def _registered(*versions: str) -> list[Event]:
    known: list[Event] = []
    for version in versions:
        events = register(known, _request(version), _interface(x=INT), now_us=NOW_US)
        assert not isinstance(events, Rejected)
        known += events
    return known


def _refused(found: Any, reason: Reason = Reason.INVALID_ARGUMENT) -> str:
    assert isinstance(found, Rejected)
    assert found.reason is reason
    return found.detail


def _ref(known: list[Event], at: int = 0) -> Any:
    return known[at].entity


def test_a_new_launch_plan_is_registered_inactive() -> None:
    """Its closure has the expected inputs and outputs."""
    known = _registered("v1")
    (event,) = known
    assert isinstance(event, LaunchPlanRegistered)
    assert event.workflow.text() == "p/d/main/v"
    assert event.schedule_type == "NONE"
    closure = launch_plan_pb2.LaunchPlanClosure.FromString(event.closure)
    assert closure.expected_inputs.parameters["x"].required
    assert "o0" in closure.expected_outputs.variables
    assert active_version(known) is None


def test_the_same_plan_again_already_exists() -> None:
    """Also when other versions came between."""
    known = _registered("v1", "v2")
    again = register(known, _request("v1"), _interface(x=INT), now_us=9)
    assert "launch plan with identical" in _refused(again, Reason.ALREADY_EXISTS)


def test_other_content_under_the_same_version_is_refused() -> None:
    """A version never changes."""
    other = _request("v1", max_parallelism=3)
    found = register(_registered("v1"), other, _interface(x=INT), now_us=9)
    assert '"maxParallelism": 3' in _refused(found)


def test_a_default_makes_an_input_optional_and_a_fixed_one_hides_it() -> None:
    """Expected inputs are those that are not fixed."""
    spec = _request(
        default_inputs=_default(number(1)), fixed_inputs=literals(y=number(2))
    ).spec
    expected = expected_inputs(spec, _interface(x=INT, y=INT, z=INT))
    assert set(expected.parameters) == {"x", "z"}
    assert expected.parameters["x"].default == number(1)
    assert expected.parameters["x"].var.type == INT
    assert expected.parameters["z"].required


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"fixed_inputs": literals(q=number(1))}, "fixed input 'q'"),
        ({"fixed_inputs": literals(x=text("a"))}, "fixed input 'x' to be"),
        ({"default_inputs": _default(number(1), "q")}, "default input 'q'"),
        ({"default_inputs": _default(text("a"))}, "default input 'x' to be"),
    ],
)
def test_inputs_must_fit_the_workflow(spec: dict[str, Any], words: str) -> None:
    """Inputs that the workflow lacks, or of other types, are refused."""
    found = register((), _request(**spec), _interface(x=INT), now_us=1)
    assert words in _refused(found)


def test_a_default_of_a_fixed_input_is_not_checked() -> None:
    """The fixed value holds in any case (ref §2.2)."""
    request = _request(
        default_inputs=_default(text("a")), fixed_inputs=literals(x=number(2))
    )
    (event,) = register((), request, _interface(x=INT), now_us=1)
    closure = launch_plan_pb2.LaunchPlanClosure.FromString(event.closure)
    assert not closure.expected_inputs.parameters


def test_an_incomplete_or_other_id_is_refused() -> None:
    """A launch plan has a project, domain, name and version, and is no workflow."""
    assert "with a version" in _refused(
        register((), _request(""), _interface(), now_us=1)
    )
    request = _request()
    request.id.resource_type = identifier_pb2.WORKFLOW
    found = _refused(register((), request, _interface(), now_us=1))
    assert "an identifier of a LAUNCH_PLAN, but got a WORKFLOW" in found


def test_values_out_of_range_are_refused() -> None:
    """What no client could read back isn't registered."""
    request = _request(fixed_inputs=literals(x=primitive(datetime={"nanos": -1})))
    found = _refused(register((), request, _interface(x=MOMENT), now_us=1))
    assert "to be a timestamp within its range" in found


def test_activating_a_version_steps_the_other_back() -> None:
    """At most one version of a name is active."""
    known = _registered("v1", "v2")
    known += activate(known, _ref(known, 0), now_us=6)
    assert active_version(known) == "v1"
    (event,) = activate(known, _ref(known, 1), now_us=7)
    assert isinstance(event, LaunchPlanActivated)
    assert event.deactivated_version == "v1"
    assert active_version([*known, event]) == "v2"


def test_activating_twice_adds_nothing() -> None:
    """A command that changes nothing yields no events."""
    known = _registered("v1")
    known += activate(known, _ref(known), now_us=6)
    assert activate(known, _ref(known), now_us=7) == ()


def test_deactivating_ends_it_and_only_once() -> None:
    """Deactivating an inactive version yields no event."""
    known = _registered("v1", "v2")
    known += activate(known, _ref(known), now_us=6)
    assert deactivate(known, _ref(known, 1), now_us=7) == ()
    known += deactivate(known, _ref(known), now_us=7)
    assert active_version(known) is None
    assert deactivate(known, _ref(known), now_us=8) == ()


@pytest.mark.parametrize("change", [activate, deactivate])
def test_an_unknown_version_is_not_found(change: Any) -> None:
    """The refusal names it as Flyte does."""
    known = _registered("v1")
    found = change(known, replace(_ref(known), version="v9"), now_us=6)
    detail = _refused(found, Reason.NOT_FOUND)
    assert detail.endswith("type LAUNCH_PLAN with identifier p/d/lp/v9")


def _scheduled(kickoff: str = "", **inputs: Any) -> Any:
    request = _request()
    schedule = request.spec.entity_metadata.schedule
    schedule.cron_schedule.schedule = "0 * * * *"
    schedule.kickoff_time_input_arg = kickoff
    return register((), request, _interface(**inputs), now_us=1)


@pytest.mark.parametrize(
    ("cron", "good"),
    [
        ("*/5 * * * *", True),
        ("@daily", True),
        ("CRON_TZ=Europe/Berlin 0 9 * * 1-5", True),
        ("every day", False),
        ("61 * * * *", False),
        ("CRON_TZ=Europe/Berlin", False),
        ("", False),
    ],
)
def test_a_cron_schedule_must_parse(cron: str, *, good: bool) -> None:
    """A schedule that could never fire is refused at registration."""
    request = _request()
    request.spec.entity_metadata.schedule.cron_schedule.schedule = cron
    found = register((), request, _interface(), now_us=1)
    if good:
        assert found[0].schedule_type == "CRON"
    else:
        assert "Expected a cron schedule" in _refused(found)


def test_a_rate_is_a_schedule_of_its_own_type() -> None:
    """Rates and crons have Flyte's names."""
    request = _request()
    request.spec.entity_metadata.schedule.rate.value = 5
    (event,) = register((), request, _interface(), now_us=1)
    assert event.schedule_type == "RATE"


def test_a_scheduled_plan_needs_no_inputs_but_its_time() -> None:
    """A scheduled run gets no inputs but its time."""
    assert "'x' is required" in _refused(_scheduled(x=INT))
    assert not isinstance(_scheduled("at", at=MOMENT), Rejected)
    assert "kickoff input 'x'" in _refused(_scheduled("x", x=INT))
    assert "kickoff input 'gone'" in _refused(_scheduled("gone"))


def test_deprecated_ways_of_scheduling_are_refused() -> None:
    """The deprecated cron text and launch conditions are refused."""
    request = _request()
    request.spec.entity_metadata.schedule.cron_expression = "* * * * *"
    found = register((), request, _interface(), now_us=1)
    assert "deprecated cron_expression" in _refused(found)
    request = _request()
    request.spec.entity_metadata.launch_conditions.SetInParent()
    found = register((), request, _interface(), now_us=1)
    assert "launch conditions" in _refused(found)

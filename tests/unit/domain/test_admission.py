"""Admission: which executions may start, and with what settings and inputs."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import (
    execution_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
    project_pb2,
)
from flyteidl.core import execution_pb2 as core_execution_pb2
from flyteidl.core import interface_pb2
from google.protobuf.duration_pb2 import Duration
from msgspec.structs import replace

from domain.admission import (
    AdmissionContext,
    Admitted,
    LaunchPlan,
    admit,
    check_recovery_source,
    merge_inputs,
)
from schemas.ids import EntityRef, ExecutionRef, ParentNode
from schemas.messages.commands import CreateExecution
from schemas.messages.rejections import Reason, Rejected
from tests.support.literals import INT, literals, number, text

PLAN = EntityRef(kind="LAUNCH_PLAN", project="p", domain="d", name="lp", version="1")
WANTED = CreateExecution(project="p", domain="d", name="run-1", launch_plan=PLAN)
Spec = execution_pb2.ExecutionSpec
PlanSpec = launch_plan_pb2.LaunchPlanSpec
Config = matchable_resource_pb2.WorkflowExecutionConfig
SUCCEEDED = core_execution_pb2.WorkflowExecution.SUCCEEDED
RUNNING = core_execution_pb2.WorkflowExecution.RUNNING


def _expected(*, required: tuple[str, ...] = (), **defaults: Any) -> Any:
    expected = interface_pb2.ParameterMap()
    for name in required:
        expected.parameters[name].var.type.CopyFrom(INT)
        expected.parameters[name].required = True
    for name, literal in defaults.items():
        expected.parameters[name].var.type.CopyFrom(INT)
        expected.parameters[name].default.CopyFrom(literal)
    return expected


def _context(plan: Any = None, expected: Any = None, **more: Any) -> AdmissionContext:
    fields = {
        "project": project_pb2.Project(id="p"),
        "domains": ("d",),
        "launch_plan": LaunchPlan(plan or PlanSpec(), expected or _expected()),
    }
    return AdmissionContext(**{**fields, **more})


def _admitted(spec: Any, context: AdmissionContext, given: Any = None) -> Admitted:
    found = admit(WANTED, spec, given or literals(), context)
    assert isinstance(found, Admitted), found
    return found


def _refused(
    command: CreateExecution = WANTED,
    spec: Any = None,
    given: Any = None,
    context: AdmissionContext | None = None,
) -> Rejected:
    found = admit(command, spec or Spec(), given or literals(), context or _context())
    assert isinstance(found, Rejected)
    return found


@pytest.mark.parametrize(
    "name", ["", "1a", "a_b", "-a", "a" * 64, "a/b", "ä", "a\n", "a b"]
)
def test_a_bad_name_is_refused(name: str) -> None:
    """A name is letters, digits and dashes, and not too long."""
    refused = _refused(replace(WANTED, name=name))
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert "Expected an execution name" in refused.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"project": ""}, "project and a domain"),
        ({"domain": ""}, "project and a domain"),
        ({"launch_plan": replace(PLAN, version="")}, "with a version"),
        ({"launch_plan": replace(PLAN, kind="WORKFLOW")}, "LAUNCH_PLAN or TASK"),
        ({"domain": "elsewhere"}, "Expected a domain of d"),
    ],
)
def test_a_bad_place_or_plan_is_refused(change: dict[str, Any], words: str) -> None:
    """The launch plan, project and domain must be complete."""
    refused = _refused(replace(WANTED, **change))
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert words in refused.detail


def test_a_project_must_exist_and_be_active() -> None:
    """Unknown and archived projects run no executions."""
    assert "to exist" in _refused(context=_context(project=None)).detail
    archived = project_pb2.Project(id="p", state=project_pb2.Project.ARCHIVED)
    assert "to be active" in _refused(context=_context(project=archived)).detail


def test_a_launch_plan_that_is_not_there_is_not_found() -> None:
    """The refusal names it as Flyte does."""
    refused = _refused(context=_context(launch_plan=None))
    assert refused.reason is Reason.NOT_FOUND
    expected = "missing entity of type LAUNCH_PLAN with identifier p/d/lp/1"
    assert expected in refused.detail


def test_notifications_are_for_ends_and_for_somebody() -> None:
    """Phases must be terminal, and there must be recipients."""
    spec = Spec()
    notice = spec.notifications.notifications.add(phases=[RUNNING])
    notice.email.recipients_email.append("a@example.org")
    assert "terminal phases" in _refused(spec=spec).detail
    notice.phases[:] = [SUCCEEDED]
    _admitted(spec, _context())
    notice.email.ClearField("recipients_email")
    assert "recipients" in _refused(spec=spec).detail


@pytest.mark.parametrize(
    ("labels", "good"),
    [
        ({"a": "b", "example.org/team": ""}, True),
        ({"-a": "b"}, False),
        ({"a": "b c"}, False),
        ({"a": "b" * 64}, False),
        ({"a" * 64: "b"}, False),
        ({f"l{i}": "x" for i in range(17)}, False),
    ],
)
def test_labels_are_kubernetes_labels(labels: dict[str, str], *, good: bool) -> None:
    """Labels may be put on pods, so they follow the rules of Kubernetes."""
    spec = Spec()
    spec.labels.values.update(labels)
    found = admit(WANTED, spec, literals(), _context())
    assert good == isinstance(found, Admitted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda spec: spec.annotations.values.update(
                {"flightlog.org/timeout": "soon"}
            ),
            "Expected annotation flightlog.org/timeout to be a duration",
        ),
        (
            lambda spec: spec.quality_of_service.spec.queueing_budget.MergeFrom(
                Duration(seconds=10**12)
            ),
            "queueing_budget to be a duration within its range",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(change: Any, words: str) -> None:
    """A wrong setting is reported when it is given, not when it would be used."""
    spec = Spec()
    change(spec)
    refused = _refused(spec=spec)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert words in refused.detail


def test_an_input_that_is_neither_given_nor_required_is_left_out() -> None:
    """An optional input of a child's launch plan may stay unset."""
    expected = _expected(required=("a",))
    expected.parameters["b"].var.type.CopyFrom(INT)
    found = merge_inputs(literals(a=number(1)), expected, literals())
    assert found == literals(a=number(1))


RECOVERING = replace(
    WANTED, recovers=ExecutionRef(project="p", domain="d", name="run-0")
)


def test_what_is_recovered_must_exist_and_have_ended() -> None:
    """An execution that is still running can't be recovered (ref §9)."""
    ended = check_recovery_source(RECOVERING, exists=True, has_ended=True)
    running = check_recovery_source(RECOVERING, exists=True, has_ended=False)
    missing = check_recovery_source(RECOVERING, exists=False, has_ended=False)
    assert ended is None
    assert running is not None
    assert running.reason is Reason.FAILED_PRECONDITION
    assert running.detail == "Expected execution p/d/run-0 to have ended, but it hasn't"
    assert missing is not None
    assert missing.reason is Reason.NOT_FOUND
    assert "Expected execution p/d/run-0 to exist" in missing.detail


def test_a_parent_recovers_its_child_whatever_became_of_it() -> None:
    """A child that was lost neither exists nor has ended; others recover nothing."""
    parent = ParentNode(stream="execution/p/d/parent", node_id="n0", attempt=0)
    by_parent = replace(RECOVERING, parent=parent)
    for command in (by_parent, WANTED):
        assert check_recovery_source(command, exists=False, has_ended=False) is None


def test_inputs_are_given_defaulted_or_fixed() -> None:
    """Given inputs override defaults; fixed ones are added."""
    plan = PlanSpec(fixed_inputs=literals(c=number(30)))
    expected = _expected(required=("a",), b=number(2))
    given = literals(a=number(1))
    found = merge_inputs(given, expected, plan.fixed_inputs)
    assert found == literals(a=number(1), b=number(2), c=number(30))
    given = literals(a=number(1), b=number(9))
    assert merge_inputs(given, expected, literals()).literals["b"] == number(9)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (literals(), "expected_inputs a missing"),
        (literals(a=text("x")), "invalid a input wrong type"),
        (literals(a=number(1), z=number(1)), "invalid input z"),
        (literals(a=number(1), f=number(1)), "cannot be overridden"),
    ],
)
def test_bad_inputs_are_refused(given: Any, words: str) -> None:
    """Missing, mistyped, unknown and fixed inputs are named in the refusal."""
    plan = PlanSpec(fixed_inputs=literals(f=number(0)))
    context = _context(plan, _expected(required=("a",)))
    refused = _refused(given=given, context=context)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert words in refused.detail


def test_an_input_without_a_value_is_refused() -> None:
    """An empty literal isn't a value."""
    empty = literals()
    empty.literals["a"].SetInParent()
    context = _context(expected=_expected(required=("a",)))
    assert "to have a value" in _refused(given=empty, context=context).detail


@pytest.mark.parametrize(
    ("request_", "plan", "project", "expected"),
    [(1, 2, 3, 1), (0, 2, 3, 2), (0, 0, 3, 3), (0, 0, 0, 25)],
)
def test_the_most_specific_setting_wins(
    request_: int, plan: int, project: int, expected: int
) -> None:
    """The request takes precedence, then the plan, the attributes, the server."""
    context = _context(
        PlanSpec(max_parallelism=plan), levels=(Config(max_parallelism=project),)
    )
    found = _admitted(Spec(max_parallelism=request_), context)
    assert found.max_parallelism == expected
    assert found.spec.max_parallelism == expected


def test_settings_come_from_the_first_level_that_sets_them() -> None:
    """An empty setting doesn't count; false for interruptible does."""
    spec, plan, level = Spec(), PlanSpec(), Config()
    spec.interruptible.value = False
    plan.interruptible.value = True
    spec.annotations.SetInParent()
    plan.annotations.values["from"] = "plan"
    level.raw_output_data_config.output_location_prefix = "s3://b"
    level.security_context.run_as.k8s_service_account = "sa"
    level.overwrite_cache = True
    found = _admitted(spec, _context(plan, levels=(level,))).spec
    assert found.HasField("interruptible")
    assert not found.interruptible.value
    assert dict(found.annotations.values) == {"from": "plan"}
    assert found.raw_output_data_config.output_location_prefix == "s3://b"
    assert found.security_context.run_as.k8s_service_account == "sa"
    assert found.overwrite_cache


def test_the_plans_notifications_hold_unless_others_or_none_are_asked() -> None:
    """A request may bring its own notifications, or turn all of them off."""
    plan = PlanSpec()
    plan.entity_metadata.notifications.add(phases=[SUCCEEDED])
    found = _admitted(Spec(), _context(plan)).spec
    assert len(found.notifications.notifications) == 1
    off = _admitted(Spec(disable_all=True), _context(plan)).spec
    assert not off.HasField("notifications")


def test_the_request_is_left_as_it_was() -> None:
    """Resolving returns a new spec, without the deprecated inputs."""
    spec = Spec(inputs=literals(a=number(1)))
    before = spec.SerializeToString()
    found = _admitted(spec, _context(PlanSpec(max_parallelism=4)))
    assert spec.SerializeToString() == before
    assert not found.spec.HasField("inputs")

"""Execution specs: settings in stored attributes, and those of a relaunch."""

from __future__ import annotations

import pytest
from flyteidl.admin import execution_pb2, launch_plan_pb2, matchable_resource_pb2
from flyteidl.core import identifier_pb2

from domain.execution_specs import execution_config, relaunch_spec, resolved_spec


def test_attributes_hold_a_configuration() -> None:
    """Settings are read from serialized matching attributes."""
    config = matchable_resource_pb2.WorkflowExecutionConfig(max_parallelism=7)
    stored = matchable_resource_pb2.MatchingAttributes(workflow_execution_config=config)
    assert execution_config(stored.SerializeToString()).max_parallelism == 7


@pytest.mark.parametrize(("asked_s", "expected_s"), [(7, 7), (None, 60)])
def test_the_queueing_budget_is_the_requests_or_the_plans(
    asked_s: int | None, expected_s: int
) -> None:
    """An execution that names none waits in the queue as long as its plan says."""
    request, plan = execution_pb2.ExecutionSpec(), launch_plan_pb2.LaunchPlanSpec()
    plan.quality_of_service.spec.queueing_budget.seconds = 60
    if asked_s is not None:
        request.quality_of_service.spec.queueing_budget.seconds = asked_s
    found = resolved_spec(request, plan, (), max_parallelism=25)
    assert found.quality_of_service.spec.queueing_budget.seconds == expected_s


def test_a_relaunch_keeps_the_settings_and_names_its_origin() -> None:
    """A relaunch is its original, with a reference and without the parent node."""
    original = execution_pb2.ExecutionSpec(max_parallelism=3)
    original.metadata.parent_node_execution.node_id = "n0"
    reference = identifier_pb2.WorkflowExecutionIdentifier(name="first")
    mode = execution_pb2.ExecutionMetadata.RELAUNCH
    found = relaunch_spec(
        original, overwrite_cache=True, mode=mode, reference=reference
    )
    assert (found.max_parallelism, found.overwrite_cache) == (3, True)
    assert found.metadata.reference_execution.name == "first"
    assert found.metadata.mode == mode
    assert not found.metadata.HasField("parent_node_execution")

"""Dynamic nodes: a task returns a workflow, which the node then runs (ref §5.5)."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.nodes import attempt
from domain.execution.outcomes.completion import fail_node
from domain.execution.state.saved_nodes import DynamicWorkflow
from domain.graph import START
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import NO_VALUES, ErrorKind, Failure


def expanded(decision: Decision, report: c.ReportTaskExpanded) -> None:
    """End the attempt, and begin the workflow; its outputs become the node's.

    The runner has finalized the attempt before it reports, so that the parent's
    finalization begins and ends within this decision.
    """
    node = attempt.hold(decision, report)
    if node is None:
        return
    attempt.end_succeeded(decision, report, NO_VALUES)
    if node.site.element is not None:
        message = "Expected an element of an array to yield outputs, but it is dynamic"
        kind = ErrorKind.USER
        failure = Failure(code="BadTaskDefinition", message=message, kind=kind)
        fail_node(decision, report.node_id, failure)
        return
    workflow = DynamicWorkflow(
        workflow=report.workflow, closure=report.inside, spec_uri=report.spec_uri
    )
    _expand(decision, report.node_id, workflow)


def expand_saved(decision: Decision, node_id: str, workflow: DynamicWorkflow) -> None:
    """Begin the workflow that the task returned in the recovered execution (ref §9)."""
    decision.emit(ne.NodeStarted(occurred_at_us=decision.now_us, node_id=node_id))
    deadline_us = attempt.deadline_us(decision, decision.node(node_id))
    if deadline_us is not None:
        decision.emit(
            ne.NodeTimeLimited(
                occurred_at_us=decision.now_us, node_id=node_id, deadline_us=deadline_us
            )
        )
    _expand(decision, node_id, workflow)


def _expand(decision: Decision, node_id: str, workflow: DynamicWorkflow) -> None:
    decision.emit(
        ne.NodeExpanded(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            attempt=decision.node(node_id).attempt,
            workflow=workflow.workflow,
            inside=workflow.closure,
            spec_uri=workflow.spec_uri,
        )
    )
    decision.ready.append((node_id, START))


def try_again(decision: Decision, node_id: str, failure: Failure) -> None:
    """End an attempt whose workflow timed out: the next one returns a new workflow."""
    if decision.node(node_id).phase is NodePhase.DYNAMIC_RUNNING:
        attempt.retry_or_fail(decision, node_id, failure, recoverable=True)

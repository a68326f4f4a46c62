"""Dynamic nodes: a task whose outcome is a workflow, run in its place (ref §5.5)."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.execution.nodes import task
from domain.execution.outcomes.completion import fail_node
from domain.execution.state.saved_nodes import Made
from domain.graph import START
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import NO_VALUES, Failure


def expanded(step: Step, report: c.ReportTaskExpanded) -> None:
    """End the attempt well, and begin what it made; its outputs become the node's.

    The runner has finalized the attempt before it reports: that its parent is being
    finalized, and is, falls into this decision.
    """
    node = task.held_by(step, report)
    if node is None:
        return
    task.end_well(step, report, NO_VALUES)
    if node.site.element >= 0:
        message = "Expected an element of an array to yield outputs, but it is dynamic"
        failure = Failure(code="BadTaskDefinition", message=message, kind="USER")
        fail_node(step, report.node_id, failure)
        return
    made = Made(
        workflow=report.workflow, inside=report.inside, spec_uri=report.spec_uri
    )
    _expand(step, report.node_id, made)


def expand_again(step: Step, node_id: str, made: Made) -> None:
    """Begin what a task had made in the execution that this one recovers (ref §9)."""
    step.emit(ne.NodeStarted(occurred_at_us=step.now_us, node_id=node_id))
    deadline_us = task.deadline_us(step, step.node(node_id))
    if deadline_us:
        step.emit(
            ne.NodeTimeLimited(
                occurred_at_us=step.now_us, node_id=node_id, deadline_us=deadline_us
            )
        )
    _expand(step, node_id, made)


def _expand(step: Step, node_id: str, made: Made) -> None:
    step.emit(
        ne.NodeExpanded(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=step.node(node_id).attempt,
            workflow=made.workflow,
            inside=made.inside,
            spec_uri=made.spec_uri,
        )
    )
    step.ready.append((node_id, START))


def try_again(step: Step, node_id: str, failure: Failure) -> None:
    """End an attempt whose inside timed out: the next one makes an inside anew."""
    if step.node(node_id).phase is NodePhase.DYNAMIC_RUNNING:
        task.retry_or_fail(step, node_id, failure, recoverable=True)

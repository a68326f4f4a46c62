"""Finishing: how a node's, a scope's and the execution's end follow from each other."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.execution.outcomes.caching import keep_outputs
from domain.execution.state.state import Node
from domain.graph import START
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import TERMINAL_TASK, ExecutionPhase, NodePhase
from schemas.values import Failure, Values

AUTO_ABORT = "Some node execution failed, auto-abort."
LEFT_BEHIND = "the workflow succeeded without it"
TIMED_OUT = "ExecutionTimedOut"


def succeed_node(step: Step, node_id: str, outputs: Values, deck_uri: str = "") -> None:
    """End a node well; a branch ends with its arm."""
    keep_outputs(step, node_id, outputs)
    step.emit(ne.NodeSucceeding(occurred_at_us=step.now_us, node_id=node_id))
    step.emit(
        ne.NodeSucceeded(
            occurred_at_us=step.now_us,
            node_id=node_id,
            outputs=outputs,
            deck_uri=deck_uri,
        )
    )
    succeed_branch_around(step, node_id, outputs)


def succeed_branch_around(step: Step, node_id: str, outputs: Values) -> None:
    """End the branch whose arm ended well, or the workflow that was cleaned up."""
    branch = _branch_around(step, node_id)
    if branch:
        succeed_node(step, branch, outputs)
    elif step.is_failure_node(node_id):
        _end_handled(step, step.node(node_id).site.scope)


def fail_node(step: Step, node_id: str, failure: Failure) -> None:
    """End a node badly, with everything inside it; then see what that ends."""
    step.emit(
        ne.NodeFailing(occurred_at_us=step.now_us, node_id=node_id, failure=failure)
    )
    abort_inside(step, node_id, AUTO_ABORT)
    if step.node(node_id).site.kind != "workflow" or not _handle(step, node_id):
        _node_failed(step, node_id, failure)


def _node_failed(step: Step, node_id: str, failure: Failure) -> None:
    step.emit(
        ne.NodeFailed(occurred_at_us=step.now_us, node_id=node_id, failure=failure)
    )
    _after_bad_end(step, node_id, failure)


def _handle(step: Step, scope: str) -> bool:
    """Let a failing workflow's failure node run, if it has one; tell whether it does.

    A workflow that hasn't begun has nothing to clean up.
    """
    failure_node = step.graph(scope).failure_node
    begun = step.unique_id(scope, START) in step.state.nodes
    if failure_node is None or not begun:
        return False
    step.ready.append((scope, failure_node.id))
    return True


def _end_handled(step: Step, scope: str, own: Failure | None = None) -> None:
    """End a failing workflow whose failure node has ended; that one's failure counts.

    (ref §4.1)
    """
    first = step.node(scope).last_failure if scope else step.state.failure
    failure = own or first
    assert failure is not None  # noqa: S101 - it is failing
    if scope:
        _node_failed(step, scope, failure)
    elif first is not None and first.code == TIMED_OUT:
        step.emit(e.ExecutionTimedOut(occurred_at_us=step.now_us, failure=first))
    else:
        step.emit(e.ExecutionFailed(occurred_at_us=step.now_us, failure=failure))


def _after_bad_end(step: Step, node_id: str, failure: Failure) -> None:
    """See what else a bad end ends: its branch, or its workflow.

    Under the late policy nothing follows the end node that could end the workflow.
    What the end of an element ends is its array's to say.
    """
    site = step.node(node_id).site
    if site.element >= 0:
        return
    branch = _branch_around(step, node_id)
    if branch:
        fail_node(step, branch, failure)
    elif step.is_failure_node(node_id):
        _end_handled(step, site.scope, failure)
    elif site.kind == "end" or step.graph(site.scope).fails_immediately:
        if step.node(node_id).phase is NodePhase.TIMED_OUT and _made(step, site.scope):
            step.to_retry[site.scope] = failure
        else:
            fail_scope(step, site.scope, failure)


def _made(step: Step, scope: str) -> bool:
    """Tell whether a scope's workflow was made by a task: that may be tried again."""
    return bool(scope) and step.node(scope).inside is not None


def time_out_node(step: Step, node_id: str, message: str) -> None:
    """End a node that was active for too long; that isn't tried again (ref §4.6)."""
    code = "TimedOut" if step.is_failure_node(node_id) else "Timeout"
    late = Failure(code=code, message=message, kind="USER")
    step.emit(
        ne.NodeTimingOut(occurred_at_us=step.now_us, node_id=node_id, failure=late)
    )
    abort_task(step, step.node(node_id), message)
    abort_inside(step, node_id, message)
    step.emit(
        ne.NodeTimedOut(occurred_at_us=step.now_us, node_id=node_id, failure=late)
    )
    _after_bad_end(step, node_id, late)


def succeed_scope(step: Step, scope: str, outputs: Values) -> None:
    """End a workflow well: the execution, or the node that it runs inside.

    What only an arm that wasn't chosen waited for is left behind: it ends with all.
    """
    if scope:
        succeed_node(step, scope, outputs, step.node(scope).deck_uri)
        return
    _abort_inside(step, "", LEFT_BEHIND)
    step.emit(e.ExecutionSucceeding(occurred_at_us=step.now_us))
    step.emit(e.ExecutionSucceeded(occurred_at_us=step.now_us, outputs=outputs))


def fail_scope(step: Step, scope: str, failure: Failure) -> None:
    """End a workflow badly: the execution, or the node that it runs inside."""
    if scope:
        fail_node(step, scope, failure)
        return
    step.emit(e.ExecutionFailing(occurred_at_us=step.now_us, failure=failure))
    _abort_inside(step, "", AUTO_ABORT)
    if not _handle(step, ""):
        step.emit(e.ExecutionFailed(occurred_at_us=step.now_us, failure=failure))


def time_out_execution(step: Step, message: str) -> None:
    """End an execution that took too long; one that was running may clean up.

    Its failure node isn't given up halfway; what failed before it was late has failed.
    """
    if step.state.phase is not ExecutionPhase.RUNNING:
        return
    late = Failure(code=TIMED_OUT, message=message, kind="USER")
    step.emit(e.ExecutionFailing(occurred_at_us=step.now_us, failure=late))
    _abort_inside(step, "", message)
    if not _handle(step, ""):
        step.emit(e.ExecutionTimedOut(occurred_at_us=step.now_us, failure=late))


def end_scope_blocked(step: Step, scope: str) -> None:
    """End a workflow whose end node was skipped: with its last failure (ref §4.3)."""
    fail_scope(step, scope, step.state.failures[scope])


def end_branch_blocked(step: Step, node_id: str) -> None:
    """End a branch whose arm was skipped: with the last failure of its scope."""
    branch = _branch_around(step, node_id)
    if branch:
        fail_node(step, branch, step.state.failures[step.node(branch).site.scope])


def abort_all(step: Step, reason: str) -> None:
    """Stop everything that runs for the execution."""
    _abort_inside(step, "", reason)


def _branch_around(step: Step, node_id: str) -> str:
    parent = step.node(node_id).site.parent_id
    return parent if parent and step.node(parent).site.kind == "branch" else ""


def abort_inside(step: Step, node_id: str, reason: str) -> None:
    """Stop everything that runs inside a node; an element holds nothing."""
    if step.node(node_id).site.element < 0:
        _abort_inside(step, node_id, reason)


def _abort_inside(step: Step, owner: str, reason: str) -> None:
    chains = {node_id: _chain(step, node_id) for node_id in step.state.active}
    inside = [n for n, chain in chains.items() if not owner or owner in chain[1:]]
    for node_id in sorted(inside, key=lambda n: (-len(chains[n]), n)):
        _abort_node(step, node_id, reason)


def _chain(step: Step, node_id: str) -> list[str]:
    chain = [node_id]
    while parent := step.node(chain[-1]).site.parent_id:
        chain.append(parent)
    return chain


def abort_task(step: Step, node: Node, reason: str) -> None:
    """Stop a node's attempt, if it has one under way."""
    if node.task is None or node.task in TERMINAL_TASK:
        return
    step.emit(
        ne.TaskAborted(
            occurred_at_us=step.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
            failure=Failure(code="Task Aborted", message=reason, kind="SYSTEM"),
        )
    )


def _abort_node(step: Step, node_id: str, reason: str) -> None:
    node = step.node(node_id)
    abort_task(step, node, reason)
    if node.phase is NodePhase.NOT_YET_STARTED:
        step.emit(ne.NodeSkipped(occurred_at_us=step.now_us, site=node.site))
        return
    step.emit(
        ne.NodeAborted(
            occurred_at_us=step.now_us,
            node_id=node_id,
            failure=Failure(code="NodeAborted", message=reason, kind="SYSTEM"),
        )
    )

"""Completion: what the end of a node means for its branch, its scope, the execution."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.outcomes.abort import abort_all, abort_inside, abort_task
from domain.execution.outcomes.caching import store_outputs
from domain.execution.view import ExecutionView
from domain.graph import START
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import ExecutionPhase, NodePhase
from schemas.sites import NodeKind
from schemas.values import ErrorKind, Failure, Values

_AUTO_ABORT = "Some node execution failed, auto-abort."
_NOT_NEEDED = "the workflow succeeded without it"
_TIMED_OUT = "ExecutionTimedOut"


def succeed_node(
    decision: Decision, node_id: str, outputs: Values, deck_uri: str = ""
) -> None:
    """End a node with outputs; a branch ends with its arm."""
    store_outputs(decision, node_id, outputs)
    outputs = decision.within_budget(outputs)
    now_us = decision.now_us
    decision.emit(ne.NodeSucceeding(occurred_at_us=now_us, node_id=node_id))
    decision.emit(
        ne.NodeSucceeded(
            occurred_at_us=now_us, node_id=node_id, outputs=outputs, deck_uri=deck_uri
        )
    )
    succeed_branch_around(decision, node_id, outputs)


def succeed_branch_around(decision: Decision, node_id: str, outputs: Values) -> None:
    """End the branch whose arm succeeded, or the workflow whose failure node did."""
    branch = _branch_around(decision, node_id)
    if branch is not None:
        succeed_node(decision, branch, outputs)
    elif decision.is_failure_node(node_id):
        _end_handled(decision, decision.node(node_id).site.scope)


def fail_node(decision: Decision, node_id: str, failure: Failure) -> None:
    """Fail a node and abort everything inside it; then end what that ends."""
    decision.emit(
        ne.NodeFailing(occurred_at_us=decision.now_us, node_id=node_id, failure=failure)
    )
    abort_inside(decision, node_id, _AUTO_ABORT)
    is_workflow = decision.node(node_id).site.kind is NodeKind.WORKFLOW
    if not is_workflow or not _handle(decision, node_id):
        _node_failed(decision, node_id, failure)


def _node_failed(decision: Decision, node_id: str, failure: Failure) -> None:
    decision.emit(
        ne.NodeFailed(occurred_at_us=decision.now_us, node_id=node_id, failure=failure)
    )
    _after_failure(decision, node_id, failure)


def _handle(decision: Decision, scope: str) -> bool:
    """Let the failure node of a failing workflow run; return whether it has one.

    A workflow that hasn't begun has nothing to clean up.
    """
    failure_node = decision.graph(scope).failure_node
    has_begun = decision.unique_id(scope, START) in decision.state.nodes
    if failure_node is None or not has_begun:
        return False
    decision.ready.append((scope, failure_node.id))
    return True


def _end_handled(decision: Decision, scope: str, own: Failure | None = None) -> None:
    """End a failing workflow whose failure node has ended (ref §4.1).

    Its failure is the failure node's own, if that failed too.
    """
    first = decision.node(scope).last_failure if scope else decision.state.failure
    failure, now_us = own or first, decision.now_us
    assert failure is not None  # noqa: S101 - it is failing
    if scope:
        _node_failed(decision, scope, failure)
    elif first is not None and first.code == _TIMED_OUT:
        decision.emit(e.ExecutionTimedOut(occurred_at_us=now_us, failure=first))
    else:
        decision.emit(e.ExecutionFailed(occurred_at_us=now_us, failure=failure))


def _after_failure(decision: Decision, node_id: str, failure: Failure) -> None:
    """End what a failed node ends: its branch, or its workflow.

    Under the late policy, the end node is the last one that can end the workflow. What
    a failed element ends is decided by its array.
    """
    node = decision.node(node_id)
    site = node.site
    if site.element is not None:
        return
    branch = _branch_around(decision, node_id)
    if branch is not None:
        fail_node(decision, branch, failure)
    elif decision.is_failure_node(node_id):
        _end_handled(decision, site.scope, failure)
    elif site.kind is NodeKind.END or decision.graph(site.scope).fails_immediately:
        timed_out = node.phase is NodePhase.TIMED_OUT
        if timed_out and _is_dynamic(decision, site.scope):
            decision.to_retry[site.scope] = failure
        else:
            fail_scope(decision, site.scope, failure)


def _is_dynamic(view: ExecutionView, scope: str) -> bool:
    """Return whether a task returned a scope's workflow: it may be tried again."""
    return bool(scope) and view.node(scope).dynamic_closure is not None


def time_out_node(decision: Decision, node_id: str, message: str) -> None:
    """End a node that was active for too long; it isn't tried again (ref §4.6)."""
    code = "TimedOut" if decision.is_failure_node(node_id) else "Timeout"
    late = Failure(code=code, message=message, kind=ErrorKind.USER)
    now_us = decision.now_us
    decision.emit(
        ne.NodeTimingOut(occurred_at_us=now_us, node_id=node_id, failure=late)
    )
    abort_task(decision, decision.node(node_id), message)
    abort_inside(decision, node_id, message)
    decision.emit(ne.NodeTimedOut(occurred_at_us=now_us, node_id=node_id, failure=late))
    _after_failure(decision, node_id, late)


def succeed_scope(decision: Decision, scope: str, outputs: Values) -> None:
    """End a workflow with outputs: the execution, or the node that it runs inside.

    Nodes that only an arm that wasn't chosen depends on are still active: they end too.
    """
    if scope:
        task = decision.node(scope).task
        succeed_node(decision, scope, outputs, task.deck_uri if task else "")
        return
    abort_all(decision, _NOT_NEEDED)
    decision.emit(e.ExecutionSucceeding(occurred_at_us=decision.now_us))
    decision.emit(e.ExecutionSucceeded(occurred_at_us=decision.now_us, outputs=outputs))


def fail_scope(decision: Decision, scope: str, failure: Failure) -> None:
    """Fail a workflow: the execution, or the node that it runs inside."""
    if scope:
        fail_node(decision, scope, failure)
        return
    _end_execution(decision, failure, _AUTO_ABORT, e.ExecutionFailed)


def time_out_execution(decision: Decision, message: str) -> None:
    """End an execution that took too long; one that was running may clean up.

    Its failure node isn't interrupted; an execution that failed before has failed.
    """
    if decision.state.phase is not ExecutionPhase.RUNNING:
        return
    late = Failure(code=_TIMED_OUT, message=message, kind=ErrorKind.USER)
    _end_execution(decision, late, message, e.ExecutionTimedOut)


def _end_execution(
    decision: Decision,
    failure: Failure,
    abort_cause: str,
    end: type[e.ExecutionFailed | e.ExecutionTimedOut],
) -> None:
    """Abort what is active; then the failure node runs, or the execution ends."""
    now_us = decision.now_us
    decision.emit(e.ExecutionFailing(occurred_at_us=now_us, failure=failure))
    abort_all(decision, abort_cause)
    if not _handle(decision, ""):
        decision.emit(end(occurred_at_us=now_us, failure=failure))


def end_scope_blocked(decision: Decision, scope: str) -> None:
    """Fail a workflow whose end node was skipped: with its last failure (ref §4.3)."""
    fail_scope(decision, scope, decision.state.failures[scope].failure)


def end_branch_blocked(decision: Decision, node_id: str) -> None:
    """Fail a branch whose arm was skipped: with the last failure of its scope."""
    branch = _branch_around(decision, node_id)
    if branch is not None:
        scope = decision.node(branch).site.scope
        fail_node(decision, branch, decision.state.failures[scope].failure)


def _branch_around(view: ExecutionView, node_id: str) -> str | None:
    """Return the id of the branch whose arm a node is; None if it is no arm."""
    parent = view.node(node_id).site.parent_id
    if not parent or view.node(parent).site.kind is not NodeKind.BRANCH:
        return None
    return parent

"""How events of nodes change the state of their execution: a function for each."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.folds.node_updates import put_failure, put_node
from domain.execution.state.node import ChildExecution, Node
from domain.execution.state.site import read_site
from domain.execution.state.state import Execution
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import ErrorKind


def resolving(state: Execution, event: ne.NodeResolving) -> Execution:
    """Reach a node whose inputs aren't known yet."""
    site = read_site(event.site)
    return put_node(state, Node(site=site, phase=NodePhase.NOT_YET_STARTED))


def queued(state: Execution, event: ne.NodeQueued) -> Execution:
    """Reach a node with its inputs, or queue it after its look-up."""
    node = Node(
        site=read_site(event.site),
        phase=NodePhase.QUEUED,
        inputs=event.inputs,
        input_path=event.input_path,
    )
    return put_node(state, node)


def started(state: Execution, event: ne.NodeStarted) -> Execution:
    """Change the phase to RUNNING."""
    node = state.nodes[event.node_id]
    return put_node(state, replace(node, phase=NodePhase.RUNNING))


def succeeding(state: Execution, event: ne.NodeSucceeding) -> Execution:
    """Change the phase to SUCCEEDING."""
    node = state.nodes[event.node_id]
    return put_node(state, replace(node, phase=NodePhase.SUCCEEDING))


def succeeded(state: Execution, event: ne.NodeSucceeded) -> Execution:
    """Change the phase to SUCCEEDED, and set the outputs; inputs are dropped."""
    node = state.nodes[event.node_id]
    phase = NodePhase.SUCCEEDED
    return put_node(
        state, replace(node, phase=phase, outputs=event.outputs, inputs=None)
    )


def failing(state: Execution, event: ne.NodeFailing) -> Execution:
    """Change the phase to FAILING, and set the failure."""
    node, failure = state.nodes[event.node_id], event.failure
    return put_node(state, replace(node, phase=NodePhase.FAILING, last_failure=failure))


def failed(state: Execution, event: ne.NodeFailed) -> Execution:
    """Change the phase to FAILED and set the scope's failure; inputs are dropped."""
    node = state.nodes[event.node_id]
    state = put_node(state, replace(node, phase=NodePhase.FAILED, inputs=None))
    return put_failure(state, event.node_id, event.failure)


def timing_out(state: Execution, event: ne.NodeTimingOut) -> Execution:
    """Change the phase to TIMING_OUT, and set the failure."""
    node, failure = state.nodes[event.node_id], event.failure
    return put_node(
        state, replace(node, phase=NodePhase.TIMING_OUT, last_failure=failure)
    )


def timed_out(state: Execution, event: ne.NodeTimedOut) -> Execution:
    """Change the phase to TIMED_OUT and set the scope's failure; inputs are dropped."""
    node = state.nodes[event.node_id]
    state = put_node(state, replace(node, phase=NodePhase.TIMED_OUT, inputs=None))
    return put_failure(state, event.node_id, event.failure)


def retry_scheduled(state: Execution, event: ne.NodeRetryScheduled) -> Execution:
    """Count the failure of an attempt, and set when the next one begins."""
    node, failure = state.nodes[event.node_id], event.failure
    is_system = failure.kind == ErrorKind.SYSTEM
    retries = replace(
        node.retries,
        system_failures=node.retries.system_failures + is_system,
        retry_at_us=event.retry_at_us or None,
    )
    return put_node(
        state,
        replace(
            node,
            phase=NodePhase.RETRYABLE_FAILURE,
            retries=retries,
            last_failure=failure,
        ),
    )


def requeued(state: Execution, event: ne.NodeRequeued) -> Execution:
    """Begin the next attempt; nothing of the one before it counts any more."""
    node_id = event.node_id
    if node_id in state.failures:
        state = replace(state, failures=state.failures.delete(node_id))
    node = state.nodes[node_id]
    return put_node(
        state,
        replace(
            node,
            phase=NodePhase.QUEUED,
            attempt=event.attempt,
            task=None,
            retries=replace(
                node.retries, memory_factor=event.memory_factor, retry_at_us=None
            ),
            limits=replace(node.limits, deadline_us=None),
            dynamic_closure=None,
        ),
    )


def skipped(state: Execution, event: ne.NodeSkipped) -> Execution:
    """Reach a node that will never run."""
    site = read_site(event.site)
    return put_node(state, Node(site=site, phase=NodePhase.SKIPPED))


def recovered(state: Execution, event: ne.NodeRecovered) -> Execution:
    """Reach a node with the outputs that it had in the recovered execution."""
    child = ChildExecution(execution=event.child) if event.child else None
    node = Node(
        site=read_site(event.site),
        phase=NodePhase.RECOVERED,
        outputs=event.outputs,
        input_path=event.input_path,
        child=child,
    )
    return put_node(state, node)


def aborted(state: Execution, event: ne.NodeAborted) -> Execution:
    """Change the phase to ABORTED; inputs are dropped."""
    node = state.nodes[event.node_id]
    return put_node(state, replace(node, phase=NodePhase.ABORTED, inputs=None))


def time_limited(state: Execution, event: ne.NodeTimeLimited) -> Execution:
    """Set when a node must have ended."""
    node = state.nodes[event.node_id]
    limits = replace(node.limits, deadline_us=event.deadline_us or None)
    return put_node(state, replace(node, limits=limits))


def branch_decided(state: Execution, event: ne.BranchDecided) -> Execution:
    """Set the arm that a branch chose."""
    node = state.nodes[event.node_id]
    return put_node(state, replace(node, chosen_arm=event.chosen))


def gate_sleeping(state: Execution, event: ne.GateSleeping) -> Execution:
    """Set when a sleep gate ends."""
    node = state.nodes[event.node_id]
    return put_node(state, replace(node, sleeps_until_us=event.wakes_at_us))


def child_requested(state: Execution, event: ne.ChildRequested) -> Execution:
    """Set the child execution that a launch plan node requested."""
    node = state.nodes[event.node_id]
    child = ChildExecution(execution=event.child)
    return put_node(state, replace(node, child=child))


def child_created(state: Execution, event: ne.ChildCreated) -> Execution:
    """Note that the child execution exists."""
    node = state.nodes[event.node_id]
    child = node.child or ChildExecution(execution=event.child)
    child = replace(child, is_created=True)
    return put_node(state, replace(node, child=child))


def expanded(state: Execution, event: ne.NodeExpanded) -> Execution:
    """Set the workflow that a dynamic node runs."""
    node, phase = state.nodes[event.node_id], NodePhase.DYNAMIC_RUNNING
    return put_node(state, replace(node, phase=phase, dynamic_closure=event.inside))

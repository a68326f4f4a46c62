"""Array nodes: one node for each index, and lists of their outputs (ref §5.7)."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.nodes import array_elements, time_limits
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.state.node import Array, Node
from domain.execution.view import literal_map
from domain.literals import array_values
from schemas.ids import generated_name
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import ErrorKind, Failure, Values


def enter(decision: Decision, node_id: str, inputs: Values) -> None:
    """Begin an array whose inputs are inline."""
    site = decision.node(node_id).site
    bound = decision.graph_node(site).spec.array_node.bound_inputs
    size = array_values.array_size(literal_map(inputs.inline or b""), bound)
    if isinstance(size, Failure):
        fail_node(decision, node_id, size)
    else:
        enter_sized(decision, node_id, size)


def enter_sized(decision: Decision, node_id: str, size: int) -> None:
    """Begin an array of so many elements."""
    node = decision.node(node_id)
    graph_node = decision.graph_node(node.site)
    kind = graph_node.element.kind if graph_node.element else None
    if kind not in array_elements.ENTER or graph_node.target is None:
        message = f"Expected an array of tasks or launch plans, but got '{kind or ''}'"
        user = ErrorKind.USER
        failure = Failure(code="Unimplemented", message=message, kind=user)
        fail_node(decision, node_id, failure)
        return
    decision.emit(
        ne.ArrayStarted(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            attempt=node.attempt,
            size=size,
            target=graph_node.target,
            generated_name=generated_name(
                decision.created.execution.name, node_id, node.attempt
            ),
        )
    )
    proceed(decision, node_id)


def proceed(decision: Decision, node_id: str) -> None:
    """Continue an array whose elements changed: begin more, gather outputs, or fail."""
    node = decision.node(node_id)
    array = node.array
    if array is None or node.task is None or not node.task.is_open:
        return
    if node.phase is NodePhase.QUEUED and array.started:
        _run(decision, node)
    spec = decision.graph_node(node.site).spec.array_node
    wanted = min(array_values.required_successes(spec, array.size), array.size)
    is_over = array.succeeded + array.failed == array.size
    is_lost = array.size - array.failed < wanted
    if is_lost and (is_over or not spec.run_all_sub_nodes):
        _end_failed(decision, node, _failure(array, wanted))
    elif not is_over:
        limit = decision.context.limits.array_elements
        _begin_elements(decision, node, min(spec.parallelism or limit, limit))
    elif not array.is_gathering:
        _gather(decision, node, array)


def _run(decision: Decision, node: Node) -> None:
    node_id, now_us = node.site.node_id, decision.now_us
    decision.emit(
        ne.TaskStarted(
            occurred_at_us=now_us,
            node_id=node_id,
            attempt=node.attempt,
            dispatch_no=0,
            runner="",
            incarnation="",
            started_at_us=now_us,
        )
    )
    decision.emit(ne.NodeStarted(occurred_at_us=now_us, node_id=node_id))
    time_limits.begin(decision, node_id)


def _begin_elements(decision: Decision, node: Node, open_max: int) -> None:
    while True:
        array = decision.node(node.site.node_id).array
        assert array is not None  # noqa: S101 - it was started
        if array.open >= open_max or array.started >= array.size:
            return
        array_elements.begin(decision, node, array.started)


def _gather(decision: Decision, node: Node, array: Array) -> None:
    """Gather small outputs at once; let a runner gather others."""
    inline_max = decision.inline_max
    if not array.by_reference and array.inline_bytes <= inline_max:
        outputs = {
            index: literal_map(values.inline or b"")
            for index, values in array_elements.element_outputs(decision, node).items()
        }
        names = array_elements.output_names(decision, node)
        lists = array_values.collect_outputs(names, array.size, outputs)
        data = lists.SerializeToString(deterministic=True)
        if len(data) <= inline_max:
            _end_succeeded(decision, node, Values(inline=data))
            return
    decision.emit(
        ne.ArrayGathering(
            occurred_at_us=decision.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
        )
    )


def gathered(decision: Decision, node: Node, found: Values | Failure) -> None:
    """End an array with the lists that a runner gathered; it may have no elements."""
    if node.array is None or not node.array.is_gathering:
        return
    if node.task is None or not node.task.is_open:
        return
    if isinstance(found, Values):
        _end_succeeded(decision, node, found)
    else:
        _end_failed(decision, node, found)


def _end_succeeded(decision: Decision, node: Node, outputs: Values) -> None:
    decision.emit(
        ne.TaskSucceeded(
            occurred_at_us=decision.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
            ended_at_us=decision.now_us,
            outputs=outputs,
        )
    )
    succeed_node(decision, node.site.node_id, outputs)


def _failure(array: Array, wanted: int) -> Failure:
    """Return why an array failed: its code and kind are those of its first failure."""
    lines = "\n".join(f"[{index}]: {why.message}" for index, why in array.failures)
    first = array.failures[0][1] if array.failures else None
    message = (
        f"Expected at least {wanted} of {array.size} elements to succeed, "
        f"but {array.failed} failed:\n{lines}"
    )
    return Failure(
        code=first.code if first else "ArrayNodeFailed",
        message=message,
        kind=first.kind if first else ErrorKind.USER,
    )


def _end_failed(decision: Decision, node: Node, failure: Failure) -> None:
    decision.emit(
        ne.TaskFailed(
            occurred_at_us=decision.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
            ended_at_us=decision.now_us,
            failure=failure,
            recoverable=False,
        )
    )
    fail_node(decision, node.site.node_id, failure)

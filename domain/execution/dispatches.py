"""Dispatches: the work for runners that follows from an event."""

from __future__ import annotations

from collections.abc import Iterable

from domain.execution.context import Context
from domain.execution.nodes import array_elements, launch_plan
from domain.execution.outcomes.inputs import data_path
from domain.execution.outcomes.recovery import saved_node
from domain.execution.state.node import Node
from domain.execution.state.state import Execution
from domain.execution.view import ExecutionView
from domain.literals import array_values
from domain.overrides import template_bytes
from schemas.ids import checkpoint_path, generated_name
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.paths import attempt_path, path_in, raw_outputs
from schemas.values import NO_VALUES, KeyValue, Values

_INLINE_BYTES = 512
"""Outputs in a blob are gathered inline up to this size …"""
_INLINE_BYTES_ALL = 2**19
"""… and as long as they fit into this, all together."""
_NO_INDEX = -1
"""What RunTask carries where the task isn't given an array's lists."""


def run_task(
    event: ne.TaskQueued | ne.TaskRedispatched, state: Execution, context: Context
) -> d.RunTask:
    """Return the dispatch of an attempt."""
    view = ExecutionView(state, context)
    node, created, spec = view.node(event.node_id), view.created, view.spec
    task, graph_node = node.task, view.graph_node(node.site)
    assert task is not None  # noqa: S101 - the event says that it was dispatched
    given, index = _given(view, node)
    owner = view.owner(node.site.scope)
    return d.RunTask(
        stream=context.stream,
        node_id=event.node_id,
        attempt=event.attempt,
        dispatch_no=task.dispatch_no,
        execution=created.execution,
        task=node.site.entity,
        workflow=created.workflow,
        template=template_bytes(owner, graph_node, node.retries.memory_factor),
        inputs=given.inputs or NO_VALUES,
        generated_name=_generated_name(view, event.node_id, event.attempt),
        input_path=given.input_path,
        output_path=attempt_path(data_path(view, node.site), event.attempt),
        raw_output_prefix=_raw_outputs(view, event.node_id, event.attempt),
        interruptible=isinstance(event, ne.TaskQueued) and event.interruptible,
        envs=tuple(KeyValue(key=v.key, value=v.value) for v in spec.envs.values),
        previous_checkpoint=_previous_checkpoint(view, node),
        array_index=_NO_INDEX if index is None else index,
        inline_max=view.reported_inline_max,
    )


def _previous_checkpoint(view: ExecutionView, node: Node) -> str:
    """Return the checkpoint of the attempt before this one; '' for the first.

    The first attempt of a recovery continues from the last one of the original.
    """
    if not node.attempt:
        saved = saved_node(view, node.site)
        return saved.checkpoint if saved is not None else ""
    return checkpoint_path(_raw_outputs(view, node.site.node_id, node.attempt - 1))


def _given(view: ExecutionView, node: Node) -> tuple[Node, int | None]:
    """Return the node whose inputs a task is given, and the task's index in them."""
    site = node.site
    if site.element is None:
        return node, None
    owner = view.node(site.parent_id)
    if array_values.is_sliced(view.graph_node(owner.site)):
        return node, None
    return owner, site.element


def _raw_outputs(view: ExecutionView, node_id: str, attempt: int) -> str:
    created, name = view.created, _generated_name(view, node_id, attempt)
    base = view.spec.raw_output_data_config.output_location_prefix or "raw"
    execution, rules = created.execution, created.rules
    return raw_outputs(base, execution, node_id, attempt, name, rules)


def _generated_name(view: ExecutionView, node_id: str, attempt: int) -> str:
    return generated_name(view.created.execution.name, node_id, attempt)


def gather_outputs(
    event: ne.ArrayGathering, state: Execution, context: Context
) -> d.GatherOutputs:
    """Return the dispatch that gathers the outputs of an array's elements."""
    view = ExecutionView(state, context)
    node = view.node(event.node_id)
    assert node.array is not None  # noqa: S101 - it was started
    outputs = array_elements.element_outputs(view, node)
    return d.GatherOutputs(
        stream=context.stream,
        node_id=event.node_id,
        attempt=event.attempt,
        size=node.array.size,
        names=array_elements.output_names(view, node),
        indexes=tuple(outputs),
        sources=tuple(_by_reference(outputs.values())),
        output_path=_outputs_path(view, node),
    )


def store_outputs(
    report: c.ReportChild, state: Execution, context: Context
) -> d.GatherOutputs | None:
    """Return the dispatch that stores a child's outputs; None where that isn't due."""
    view = ExecutionView(state, context)
    outputs = launch_plan.outputs_to_store(view, report)
    if outputs is None:
        return None
    return d.GatherOutputs(
        stream=context.stream,
        node_id=report.node_id,
        attempt=report.attempt,
        size=1,
        names=(),
        indexes=(0,),
        sources=(outputs,),
        output_path=_outputs_path(view, view.node(report.node_id)),
        as_is=True,
    )


def _outputs_path(view: ExecutionView, node: Node) -> str:
    attempt = attempt_path(data_path(view, node.site), node.attempt)
    return path_in(attempt, "outputs.pb")


def _by_reference(outputs: Iterable[Values]) -> Iterable[Values]:
    """Yield outputs by reference where they are in a blob, except for small ones.

    A message must hold all of them, however many elements the array has.
    """
    left = _INLINE_BYTES_ALL
    for values in outputs:
        size = len(values.inline or b"")
        if values.uri and (size > _INLINE_BYTES or size > left):
            yield Values(uri=values.uri, size=values.size)
        else:
            left -= size
            yield values


def abort_task(
    event: ne.TaskAborted | ne.NodeAborted, attempt: int, context: Context
) -> d.AbortTask:
    """Return the message that stops what a runner does for a node."""
    return d.AbortTask(
        stream=context.stream,
        node_id=event.node_id,
        attempt=attempt,
        reason=event.failure.message,
    )

"""React: which messages must leave because of an event, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.decider import Outgoing, Send
from domain.execution.context import Context
from domain.execution.decision import Step, execution_spec
from domain.execution.nodes import array, time_limits
from domain.execution.outcomes.caching import look_up, stop_waiting
from domain.execution.outcomes.failure_node import bindings_of
from domain.execution.outcomes.inputs import data_path, inline_max, source
from domain.execution.outcomes.recovery import left_of
from domain.execution.state.state import Execution, Node
from domain.graph import START
from domain.literals import array_values
from domain.literals.bindings import source_node_ids
from domain.literals.conditions import operand_names
from domain.overrides import template_bytes
from schemas import sites
from schemas.ids import (
    ParentNode,
    checkpoint_path,
    execution_stream,
    generated_name,
    raw_output_prefix,
)
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.rejections import Rejected
from schemas.phases import ExecutionPhase
from schemas.values import NO_VALUES, Failure, KeyValue, Values

_LIGHT_BYTES = 512
_LIGHT_BYTES_ALL = 2**19


def react(
    event: e.ExecutionEvent, state: Execution, context: Context
) -> Sequence[Outgoing]:
    """Say what follows from an event; `state` is the state right after it."""
    match event:
        case ne.TaskQueued() | ne.TaskRedispatched():
            return (_run(event, state, context),)
        case ne.NodeResolving():
            return (_resolve(event, state, context),)
        case ne.CacheLookupRequested():
            return (look_up(event, state, context),)
        case ne.ChildRequested():
            return (_create_child(event, context),)
        case ne.ArrayGathering():
            return (_gather(event, state, context),)
        case ne.TaskAborted():
            if state.nodes[event.node_id].array is not None:
                return ()
            return (
                d.AbortTask(
                    stream=context.stream,
                    node_id=event.node_id,
                    attempt=event.attempt,
                    reason=event.failure.message,
                ),
            )
        case ne.NodeAborted() if state.nodes[event.node_id].awaits_outputs:
            return (stop_waiting(event, context),)
        case ne.NodeAborted():
            return _abort_child(event, state)
        case ne.NodeFailed() if event.failure.code == time_limits.EXPIRED:
            return _abort_child(event, state)
        case (
            e.ExecutionCreated()
            | e.ExecutionSucceeded()
            | e.ExecutionFailed()
            | e.ExecutionAborted()
            | e.ExecutionTimedOut()
        ):
            return _tell_parent(event, state)
        case _:
            return ()


def react_to_refusal(
    command: c.ExecutionCommand, rejected: Rejected
) -> Sequence[Outgoing]:
    """Say what follows from a refusal: the parent of a refused child is told."""
    if not isinstance(command, c.CreateExecution) or command.parent is None:
        return ()
    failure = Failure(code=rejected.reason.value, message=rejected.detail, kind="USER")
    report = c.ReportChild(
        node_id=command.parent.node_id,
        attempt=command.parent.attempt,
        child=f"{command.project}/{command.domain}/{command.name}",
        phase=ExecutionPhase.FAILED.value,
        failure=failure,
        refused=True,
    )
    return (Send(stream=command.parent.stream, command=report),)


def _run(
    event: ne.TaskQueued | ne.TaskRedispatched, state: Execution, context: Context
) -> d.RunTask:
    step = Step(state, context)
    node = step.node(event.node_id)
    created = step.created
    spec = execution_spec(created.spec)
    graph_node = step.graph_node(node)
    name = (
        event.generated_name
        if isinstance(event, ne.TaskQueued)
        else _generated_name(step, node.site.node_id, node.attempt)
    )
    prefix = spec.raw_output_data_config.output_location_prefix or "raw"
    assert graph_node.target is not None  # noqa: S101
    given, index = _given(step, node)
    return d.RunTask(
        stream=context.stream,
        node_id=event.node_id,
        attempt=event.attempt,
        dispatch_no=node.lease.dispatch_no,
        execution=created.execution,
        task=graph_node.target,
        workflow=created.workflow,
        template=template_bytes(
            step.owner(node.site.scope), graph_node, node.memory_factor
        ),
        inputs=given.inputs or Values(inline=b""),
        generated_name=name,
        input_path=given.input_path,
        output_path=f"{data_path(step, node.site)}/{event.attempt}",
        raw_output_prefix=raw_output_prefix(prefix, name),
        interruptible=isinstance(event, ne.TaskQueued) and event.interruptible,
        envs=tuple(KeyValue(key=v.key, value=v.value) for v in spec.envs.values),
        previous_checkpoint=_previous_checkpoint(step, node, prefix),
        array_index=index,
    )


def _previous_checkpoint(step: Step, node: Node, prefix: str) -> str:
    """Return where the attempt before this one kept what it had done; '' if first.

    The first one of a recovery goes on from the last one of the original.
    """
    if not node.attempt:
        known = left_of(step, node.site)
        return known.checkpoint if known is not None else ""
    name = _generated_name(step, node.site.node_id, node.attempt - 1)
    return checkpoint_path(raw_output_prefix(prefix, name))


def _given(step: Step, node: Node) -> tuple[Node, int]:
    """Return the node whose inputs a task is given, and its index there if any."""
    if node.site.element < 0:
        return node, -1
    owner = step.node(node.site.parent_id)
    if array_values.is_sliced(step.graph_node(owner)):
        return node, -1
    return owner, node.site.element


def _generated_name(step: Step, node_id: str, attempt: int) -> str:
    return generated_name(step.created.execution.name, node_id, attempt)


def _resolve(
    event: ne.NodeResolving, state: Execution, context: Context
) -> d.ResolveInputs:
    step = Step(state, context)
    site = event.site
    if site.element >= 0:
        return _resolve_element(step, site, context)
    graph_node = step.graph(site.scope).nodes[site.spec_node_id]
    shape = None
    if site.kind == "array":
        shape = d.ArrayShape(
            bound=tuple(graph_node.spec.array_node.bound_inputs),
            inline_max=inline_max(graph_node, context.limits.inline_bytes),
        )
    spec = graph_node.spec
    operands = operand_names(spec.branch_node.if_else) if site.kind == "branch" else ()
    bindings = bindings_of(step, site.scope, graph_node)
    return d.ResolveInputs(
        stream=context.stream,
        node_id=site.node_id,
        attempt=0,
        bindings=tuple(b.SerializeToString() for b in bindings),
        sources=tuple(
            d.SourceValues(node_id=node_id, values=source(step, site.scope, node_id))
            for node_id in sorted(source_node_ids(bindings))
        ),
        input_path=f"{data_path(step, site)}/inputs.pb",
        operands=tuple(operands),
        array=shape,
    )


def _resolve_element(
    step: Step, site: sites.NodeSite, context: Context
) -> d.ResolveInputs:
    owner = step.node(site.parent_id)
    spec = step.graph_node(owner).spec
    names = [binding.var for binding in spec.inputs]
    bindings = array_values.element_bindings(
        names, spec.array_node.bound_inputs, site.element
    )
    whole = d.SourceValues(node_id=START, values=owner.inputs or NO_VALUES)
    return d.ResolveInputs(
        stream=context.stream,
        node_id=site.node_id,
        attempt=0,
        bindings=tuple(b.SerializeToString() for b in bindings),
        sources=(whole,),
        input_path=f"{data_path(step, site)}/inputs.pb",
    )


def _gather(
    event: ne.ArrayGathering, state: Execution, context: Context
) -> d.GatherOutputs:
    step = Step(state, context)
    node = step.node(event.node_id)
    assert node.array is not None  # noqa: S101 - it was started
    outputs = array.element_outputs(step, node)
    return d.GatherOutputs(
        stream=context.stream,
        node_id=event.node_id,
        attempt=event.attempt,
        size=node.array.size,
        names=array.names_of(step, node),
        indexes=tuple(outputs),
        sources=tuple(_light(outputs.values())),
        output_path=f"{data_path(step, node.site)}/{node.attempt}/outputs.pb",
    )


def _light(found: Iterable[Values]) -> Iterable[Values]:
    """Yield values by reference where they lie in a blob, but for a few small ones.

    However wide the array is, a message of the log has to hold them.
    """
    left = _LIGHT_BYTES_ALL
    for values in found:
        size = len(values.inline or b"")
        if values.uri and (size > _LIGHT_BYTES or size > left):
            yield Values(uri=values.uri, size=values.size)
        else:
            left -= size
            yield values


def _create_child(event: ne.ChildRequested, context: Context) -> Send:
    command = c.CreateExecution(
        project=event.child.project,
        domain=event.child.domain,
        name=event.child.name,
        launch_plan=event.launch_plan,
        spec=event.spec,
        inputs=event.inputs.inline,
        inputs_uri=event.inputs.uri if event.inputs.inline is None else None,
        parent=ParentNode(
            stream=context.stream, node_id=event.node_id, attempt=event.attempt
        ),
        recovers=event.recovers,
    )
    return Send(stream=execution_stream(event.child), command=command)


def _abort_child(
    event: ne.NodeAborted | ne.NodeFailed, state: Execution
) -> Sequence[Outgoing]:
    node = state.nodes[event.node_id]
    if not node.child or state.created is None:
        return ()
    parent = state.created.execution.text()
    cause = (
        f"cascading abort as parent execution id [{parent}] aborted, "
        f"reason [{event.failure.message}]"
    )
    command = c.TerminateExecution(cause=cause, principal=state.created.principal)
    return (Send(stream=f"execution/{node.child}", command=command),)


def _tell_parent(event: e.ExecutionEvent, state: Execution) -> Sequence[Outgoing]:
    created = state.created
    if created is None or created.parent is None:
        return ()
    report = c.ReportChild(
        node_id=created.parent.node_id,
        attempt=created.parent.attempt,
        child=created.execution.text(),
        phase=state.phase.value,
        outputs=event.outputs if isinstance(event, e.ExecutionSucceeded) else None,
        failure=state.failure if state.is_terminal else None,
    )
    return (Send(stream=created.parent.stream, command=report),)

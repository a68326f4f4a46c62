"""Array nodes: one node for each index, and lists of what they yield (ref §5.7)."""

from __future__ import annotations

from domain.execution.decision import Step, literal_map
from domain.execution.nodes import launch_plan, task, time_limits
from domain.execution.outcomes.caching import policy_at
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.outcomes.recovery import recover
from domain.execution.state.state import Array, Node
from domain.graph import START
from domain.literals import array_values
from domain.literals.bindings import resolve
from schemas import sites
from schemas.ids import element_id, generated_name
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import SUCCESSES, NodePhase, TaskPhase
from schemas.values import NO_VALUES, Failure, Values

_ENTER = {"task": task.enter, "launch_plan": launch_plan.enter}


def enter(step: Step, node_id: str, inputs: Values) -> None:
    """Begin an array whose inputs are inline."""
    bound = step.graph_node(step.node(node_id)).spec.array_node.bound_inputs
    size = array_values.array_size(literal_map(inputs.inline or b""), bound)
    if isinstance(size, Failure):
        fail_node(step, node_id, size)
    else:
        enter_sized(step, node_id, size)


def enter_sized(step: Step, node_id: str, size: int) -> None:
    """Begin an array of so many elements."""
    node = step.node(node_id)
    graph_node = step.graph_node(node)
    kind = graph_node.element.kind if graph_node.element else ""
    if kind not in _ENTER or graph_node.target is None:
        message = f"Expected an array of tasks or launch plans, but got '{kind}'"
        failure = Failure(code="Unimplemented", message=message, kind="USER")
        fail_node(step, node_id, failure)
        return
    step.emit(
        ne.ArrayStarted(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=node.attempt,
            size=size,
            target=graph_node.target,
            generated_name=generated_name(
                step.created.execution.name, node_id, node.attempt
            ),
        )
    )
    proceed(step, node_id)


def proceed(step: Step, node_id: str) -> None:
    """Let an array go on after its elements moved: begin more, gather, or fail."""
    node = step.node(node_id)
    array = node.array
    if array is None or node.task not in {TaskPhase.QUEUED, TaskPhase.RUNNING}:
        return
    if node.phase is NodePhase.QUEUED and array.started:
        _run(step, node)
    spec = step.graph_node(node).spec.array_node
    wanted = min(array_values.required_successes(spec, array.size), array.size)
    is_over = array.succeeded + array.failed == array.size
    is_lost = array.size - array.failed < wanted
    if is_lost and (is_over or not spec.run_all_sub_nodes):
        _fail(step, node, array, wanted)
    elif not is_over:
        limit = step.context.limits.array_elements
        _begin_elements(step, node, min(spec.parallelism or limit, limit))
    elif not array.is_gathering:
        _gather(step, node, array)


def _run(step: Step, node: Node) -> None:
    node_id = node.site.node_id
    step.emit(
        ne.TaskStarted(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=node.attempt,
            dispatch_no=0,
            runner="",
            incarnation="",
            started_at_us=step.now_us,
        )
    )
    step.emit(ne.NodeStarted(occurred_at_us=step.now_us, node_id=node_id))
    time_limits.begin(step, node_id)


def _begin_elements(step: Step, node: Node, open_max: int) -> None:
    while True:
        array = step.node(node.site.node_id).array
        assert array is not None  # noqa: S101 - it was started
        if array.open >= open_max or array.started >= array.size:
            return
        _begin(step, node, array.started)


def _begin(step: Step, node: Node, index: int) -> None:
    """Queue an element: of a task that takes the whole lists, without inputs."""
    owner = step.graph_node(node)
    element = owner.element
    assert element is not None  # noqa: S101 - arrays have one
    site = sites.NodeSite(
        node_id=element_id(node.site.node_id, node.attempt, index),
        spec_node_id=f"n{index}",
        kind=element.kind,
        name=element.spec.metadata.name,
        parent_id=node.site.node_id,
        parent_attempt=node.attempt,
        scope=node.site.scope,
        target=element.target,
        element=index,
    )
    if recover(step, site):
        return
    inputs: Values | Failure = NO_VALUES
    path = ""
    if array_values.is_sliced(owner):
        whole = (node.inputs or NO_VALUES).inline
        if whole is None:
            step.emit(ne.NodeResolving(occurred_at_us=step.now_us, site=site))
            return
        bound = owner.spec.array_node.bound_inputs
        sources = {START: literal_map(whole)}
        names = sources[START].literals
        found = resolve(array_values.element_bindings(names, bound, index), sources)
        inputs = found
        if not isinstance(found, Failure):
            inputs = Values(inline=found.SerializeToString(deterministic=True))
        above = node.input_path.removesuffix("/inputs.pb")
        path = f"{above}/{node.attempt}/{index}/inputs.pb"
    given = NO_VALUES if isinstance(inputs, Failure) else inputs
    if given is inputs and policy_at(step, site) is not None:
        step.emit(
            ne.CacheLookupRequested(
                occurred_at_us=step.now_us, site=site, inputs=given, input_path=path
            )
        )
        return
    step.emit(
        ne.NodeQueued(
            occurred_at_us=step.now_us, site=site, inputs=given, input_path=path
        )
    )
    if isinstance(inputs, Failure):
        fail_node(step, site.node_id, inputs)
    else:
        _ENTER[site.kind](step, site.node_id, inputs)


def element_outputs(step: Step, node: Node) -> dict[int, Values]:
    """Return what the elements that succeeded yielded, by index."""
    assert node.array is not None  # noqa: S101 - it was started
    nodes = step.state.nodes
    found: dict[int, Values] = {}
    for index in range(node.array.size):
        element = nodes[element_id(node.site.node_id, node.attempt, index)]
        if element.phase in SUCCESSES:
            found[index] = element.outputs or NO_VALUES
    return found


def names_of(step: Step, node: Node) -> tuple[str, ...]:
    """Return the names of an array's outputs."""
    graph = step.graph(node.site.scope)
    return array_values.output_names(
        graph, step.graph_node(node), step.owner(node.site.scope).tasks
    )


def _gather(step: Step, node: Node, array: Array) -> None:
    """Put small outputs together at once; let a runner do it with others."""
    inline_max = step.context.limits.inline_bytes
    if not array.by_reference and array.inline_bytes <= inline_max:
        outputs = {
            index: literal_map(values.inline or b"")
            for index, values in element_outputs(step, node).items()
        }
        lists = array_values.collect_outputs(names_of(step, node), array.size, outputs)
        data = lists.SerializeToString(deterministic=True)
        if len(data) <= inline_max:
            _succeed(step, node, Values(inline=data))
            return
    step.emit(
        ne.ArrayGathering(
            occurred_at_us=step.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
        )
    )


def gathered(step: Step, report: c.ReportOutputsGathered) -> None:
    """Take up the lists that a runner put together."""
    node = step.state.nodes.get(report.node_id)
    if node is None or node.attempt != report.attempt or node.array is None:
        return
    if not node.array.is_gathering or node.task is not TaskPhase.RUNNING:
        return
    if report.outputs is not None:
        _succeed(step, node, report.outputs)
    else:
        nothing = Failure(code="OutputsNotFound", message="", kind="SYSTEM")
        _end_badly(step, node, report.failure or nothing)


def _succeed(step: Step, node: Node, outputs: Values) -> None:
    step.emit(
        ne.TaskSucceeded(
            occurred_at_us=step.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
            ended_at_us=step.now_us,
            outputs=outputs,
        )
    )
    succeed_node(step, node.site.node_id, outputs)


def _fail(step: Step, node: Node, array: Array, wanted: int) -> None:
    told = "\n".join(f"[{index}]: {why.message}" for index, why in array.failures)
    first = array.failures[0][1] if array.failures else None
    message = (
        f"Expected at least {wanted} of {array.size} elements to succeed, "
        f"but {array.failed} failed:\n{told}"
    )
    _end_badly(
        step,
        node,
        Failure(
            code=first.code if first else "ArrayNodeFailed",
            message=message,
            kind=first.kind if first else "USER",
        ),
    )


def _end_badly(step: Step, node: Node, failure: Failure) -> None:
    step.emit(
        ne.TaskFailed(
            occurred_at_us=step.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
            ended_at_us=step.now_us,
            failure=failure,
            recoverable=False,
        )
    )
    fail_node(step, node.site.node_id, failure)

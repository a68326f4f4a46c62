"""Compiles workflow templates to a checked closure (ref §3.1, §3.6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyteidl.core import compiler_pb2, identifier_pb2, workflow_pb2

from domain.branch import operand_names
from domain.compiler.bindings import check, check_promises
from domain.compiler.errors import CompileErrors, Findings
from domain.compiler.interfaces import (
    Interface,
    LaunchPlanInterface,
    Library,
    interface_of,
    types_of,
)
from domain.graph import END, START, arms_of, entity_ref
from schemas.ids import EntityRef


@dataclass(frozen=True, slots=True)
class Requirements:
    """What must be looked up before a workflow can compile."""

    tasks: tuple[EntityRef, ...]
    launch_plans: tuple[EntityRef, ...]


def requirements(template: Any, sub_workflows: Sequence[Any]) -> Requirements:
    """Return every task and launch plan that the templates name."""
    tasks: dict[EntityRef, None] = {}
    plans: dict[EntityRef, None] = {}
    for workflow in (template, *sub_workflows):
        for node in _all_nodes(workflow):
            kind = node.WhichOneof("target")
            if kind == "task_node":
                tasks[entity_ref(node.task_node.reference_id)] = None
            elif kind == "workflow_node" and node.workflow_node.HasField(
                "launchplan_ref"
            ):
                plans[entity_ref(node.workflow_node.launchplan_ref)] = None
    return Requirements(tuple(tasks), tuple(plans))


def _all_nodes(workflow: Any) -> Iterator[Any]:
    waiting = deque(workflow.nodes)
    if workflow.HasField("failure_node"):
        waiting.append(workflow.failure_node)
    while waiting:
        node = waiting.popleft()
        yield node
        if node.WhichOneof("target") == "branch_node":
            waiting.extend(arms_of(node.branch_node.if_else))
        elif node.WhichOneof("target") == "array_node":
            waiting.append(node.array_node.node)


def compile_workflow(
    template: Any,
    sub_workflows: Sequence[Any],
    tasks: Mapping[EntityRef, Any],
    launch_plans: Mapping[EntityRef, LaunchPlanInterface],
) -> Any | CompileErrors:
    """Return the core.CompiledWorkflowClosure, or everything that is wrong."""
    found = Findings()
    subs = {entity_ref(sub.id): sub for sub in sub_workflows}
    library = Library(tasks, launch_plans, subs)
    _refuse_recursion(template, subs, found)
    closure = compiler_pb2.CompiledWorkflowClosure()
    closure.primary.CopyFrom(_compile_one(template, library, found))
    for sub in sub_workflows:
        closure.sub_workflows.append(_compile_one(sub, library, found))
    for ref in requirements(template, sub_workflows).tasks:
        if ref in tasks:
            closure.tasks.add().template.CopyFrom(tasks[ref])
    return CompileErrors(tuple(found.errors)) if found.errors else closure


def _refuse_recursion(
    template: Any, subs: Mapping[EntityRef, Any], found: Findings
) -> None:
    """Refuse sub-workflows that hold themselves."""
    holds = {
        entity_ref(w.id): [
            entity_ref(n.workflow_node.sub_workflow_ref)
            for n in _all_nodes(w)
            if n.WhichOneof("target") == "workflow_node"
            and n.workflow_node.HasField("sub_workflow_ref")
        ]
        for w in (template, *subs.values())
    }
    done: set[EntityRef] = set()
    path: list[EntityRef] = []

    def visit(ref: EntityRef) -> None:
        if ref in path:
            names = " > ".join(r.name for r in (*path, ref))
            found.add("CycleDetected", "", f"A workflow holds itself: {names}.")
            return
        if ref in done:
            return
        path.append(ref)
        for inner in holds.get(ref, ()):
            visit(inner)
        path.pop()
        done.add(ref)

    visit(entity_ref(template.id))


def _compile_one(template: Any, library: Library, found: Findings) -> Any:
    compiled = compiler_pb2.CompiledWorkflow()
    compiled.template.CopyFrom(template)
    users = [n for n in compiled.template.nodes if not _is_boundary(n)]
    for node in users:
        _rename_arms(node)
    _point_at_start(users, compiled.template)
    start = workflow_pb2.Node(id=START)
    end = workflow_pb2.Node(id=END, inputs=compiled.template.outputs)
    nodes = [start, end, *users]
    if not users:
        found.add("NoNodesFound", "", "Expected nodes, but the workflow has none.")
    interfaces = _interfaces(compiled.template, users, library, found)
    for node in users:
        _check(node, interfaces, library, found)
    outputs = types_of(compiled.template.interface.outputs)
    check(END, end.inputs, Interface(outputs, {}), interfaces, found)
    if compiled.template.HasField("failure_node"):
        _check_failure_node(compiled.template, library, found)
    _connect(compiled.connections, users, end, found)
    rebuilt = [workflow_pb2.Node.FromString(n.SerializeToString()) for n in nodes]
    del compiled.template.nodes[:]
    compiled.template.nodes.extend(rebuilt)
    return compiled


def _is_boundary(node: Any) -> bool:
    return node.id in {START, END} and node.WhichOneof("target") is None


def _rename_arms(branch: Any) -> None:
    """Give arms their compiled ids: `<branch>-<arm>`, also inside arms."""
    if branch.WhichOneof("target") != "branch_node":
        return
    for arm in arms_of(branch.branch_node.if_else):
        if not arm.id.startswith(f"{branch.id}-"):
            arm.id = f"{branch.id}-{arm.id}"
        _rename_arms(arm)


def _with_arms(nodes: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    for node in nodes:
        yield node, ""
        yield from _arms_within(node)


def _arms_within(node: Any) -> Iterator[tuple[Any, str]]:
    if node.WhichOneof("target") == "branch_node":
        for arm in arms_of(node.branch_node.if_else):
            yield arm, node.id
            yield from _arms_within(arm)


def _promises(data: Any) -> Iterator[Any]:
    kind = data.WhichOneof("value")
    if kind == "promise":
        yield data.promise
    elif kind == "collection":
        for item in data.collection.bindings:
            yield from _promises(item)
    elif kind == "map":
        for item in data.map.bindings.values():
            yield from _promises(item)


def _point_at_start(users: Sequence[Any], template: Any) -> None:
    failure = [template.failure_node] if template.HasField("failure_node") else []
    bindings = [b for node, _ in _with_arms([*users, *failure]) for b in node.inputs]
    for binding in (*bindings, *template.outputs):
        for promise in _promises(binding.binding):
            if not promise.node_id:
                promise.node_id = START


def _interfaces(
    template: Any, users: Sequence[Any], library: Library, found: Findings
) -> dict[str, Interface | None]:
    known: dict[str, Interface | None] = {
        START: Interface({}, types_of(template.interface.inputs))
    }
    for node in users:
        if not node.id:
            found.add("ValueRequired", "", "Expected a node id, but one is empty.")
        elif node.id in known or node.id == END:
            found.add("DuplicateId", node.id, f"Node id [{node.id}] is used twice.")
        known[node.id] = interface_of(node, library, found)
    return known


def _check(
    node: Any, known: Mapping[str, Interface | None], library: Library, found: Findings
) -> None:
    kind = node.WhichOneof("target")
    if kind == "branch_node":
        for binding in node.inputs:
            check_promises(node.id, binding.binding, known, found)
        _check_branch(node, found)
        for arm in arms_of(node.branch_node.if_else):
            _check(arm, known, library, found)
        return
    if kind == "gate_node":
        for binding in node.inputs:
            check_promises(node.id, binding.binding, known, found)
        return
    quiet = Findings()
    interface = known.get(node.id) or interface_of(node, library, quiet)
    if interface is not None:
        check(node.id, node.inputs, interface, known, found)


def _check_branch(node: Any, found: Findings) -> None:
    block = node.branch_node.if_else
    bound = {binding.var for binding in node.inputs}
    for case in (block.case, *block.other):
        if case.condition.WhichOneof("expr") is None:
            found.add("BranchNodeHasNoCondition", node.id, "A case has no condition.")
        if not case.then_node.id:
            found.add("BranchNodeIdNotFound", node.id, "A case has no node.")
        for name in _variables(case.condition):
            if name not in bound:
                found.add(
                    "VariableNameNotFound", node.id, f"Variable [{name}] isn't bound."
                )
    if block.WhichOneof("default") is None:
        found.add("BranchNodeHasNoDefault", node.id, "Expected an else or an error.")


def _variables(expression: Any) -> Iterator[str]:
    block = workflow_pb2.IfElseBlock()
    block.case.condition.CopyFrom(expression)
    yield from operand_names(block)


def _check_failure_node(template: Any, library: Library, found: Findings) -> None:
    node = template.failure_node
    interface = interface_of(node, library, found)
    if interface is None:
        return
    inputs = types_of(template.interface.inputs)
    known = {START: Interface({}, inputs)}
    optional = interface.optional | (set(interface.inputs) - set(inputs))
    asked = Interface(interface.inputs, {}, frozenset(optional))
    bindings = [b for b in node.inputs if b.var in inputs or b.var != "err"]
    check(node.id, bindings, asked, known, found)


def _connect(connections: Any, users: Sequence[Any], end: Any, found: Findings) -> None:
    """Make the edges; refuse references to nothing, cycles and what is cut off."""
    before: dict[str, set[str]] = {}
    arms = {arm.id for arm, branch in _with_arms(users) if branch}
    top = {node.id for node in users}
    for node, _ in [*_with_arms(users), (end, "")]:
        named = {p.node_id for b in node.inputs for p in _promises(b.binding)}
        for upstream in node.upstream_node_ids:
            if upstream not in top and upstream != START:
                found.add(
                    "NodeReferenceNotFound",
                    node.id,
                    f"Referenced node [{upstream}] not found.",
                )
        named |= {u for u in node.upstream_node_ids if u in top}
        before[node.id] = {n for n in named if n in top or n == START}
    used = {n for upstream in before.values() for n in upstream}
    for node in users:
        if not before[node.id]:
            before[node.id].add(START)
        if node.id not in used:
            before[END].add(node.id)
    _refuse_cycles(before, arms, found)
    after: dict[str, list[str]] = {}
    for node_id, upstream in before.items():
        connections.upstream[node_id].ids.extend(sorted(upstream))
        if node_id not in arms:
            for other in upstream:
                after.setdefault(other, []).append(node_id)
    for node_id, downstream in after.items():
        connections.downstream[node_id].ids.extend(sorted(downstream))


def _refuse_cycles(
    before: Mapping[str, set[str]], arms: set[str], found: Findings
) -> None:
    """Take away what is ready until nothing is left; what is left is a cycle."""
    waits = {n: len(up - {START}) for n, up in before.items()}
    after: dict[str, list[str]] = {}
    for node_id, upstream in before.items():
        for other in upstream:
            after.setdefault(other, []).append(node_id)
    ready = deque(n for n, count in waits.items() if not count)
    done = 0
    while ready:
        done += 1
        for node_id in after.get(ready.popleft(), ()):
            waits[node_id] -= 1
            if not waits[node_id]:
                ready.append(node_id)
    if done < len(before):
        cycle = sorted(n for n, count in waits.items() if count and n not in arms)
        cycle = [n for n in cycle if n != END] or cycle
        found.add("CycleDetected", cycle[0], f"Nodes wait for each other: {cycle}.")


def single_task_workflow(task: Any) -> Any:
    """Return the workflow around one task, as a single-task execution (ref §2.4)."""
    name = task.id.name
    node_id = "".join(c for c in name if c.isalnum() or c == "-")[-63:]
    template = workflow_pb2.WorkflowTemplate()
    template.id.CopyFrom(task.id)
    template.id.resource_type = identifier_pb2.WORKFLOW
    template.id.name = f".flytegen.{name}"
    template.interface.CopyFrom(task.interface)
    node = template.nodes.add(id=node_id)
    node.task_node.reference_id.CopyFrom(task.id)
    node.metadata.name = name
    node.metadata.retries.retries = task.metadata.retries.retries or 3
    node.metadata.timeout.CopyFrom(task.metadata.timeout)
    for var in task.interface.inputs.variables:
        binding = node.inputs.add(var=var)
        binding.binding.promise.node_id = START
        binding.binding.promise.var = var
    for var in task.interface.outputs.variables:
        binding = template.outputs.add(var=var)
        binding.binding.promise.node_id = node_id
        binding.binding.promise.var = var
    return template

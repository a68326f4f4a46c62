"""One workflow: its template is copied, completed, connected and checked (ref §3.1)."""

from __future__ import annotations

from collections.abc import Iterable

from flyteidl.core import compiler_pb2, interface_pb2, literals_pb2, workflow_pb2

from domain.compiler.bindings import bound_types, check_bindings
from domain.compiler.branches import (
    arms,
    check_branch,
    common_outputs,
    rename_arms,
    with_arms,
)
from domain.compiler.edges import edges_of
from domain.compiler.errors import Code, Findings
from domain.compiler.interfaces import (
    Interface,
    Library,
    OutputTypes,
    declared_interface,
    types_of,
    with_aliases,
)
from domain.compiler.ordering import order_of
from domain.graph import END, START
from domain.literals.bindings import promises
from domain.literals.protobuf_checks import violation
from domain.text_limits import KEY_BYTES_MAX, too_long

Outputs = dict[str, OutputTypes | None]
"""Output types by node id; None for a node whose outputs aren't known."""


def compile_one(
    template: workflow_pb2.WorkflowTemplate, library: Library, found: Findings
) -> compiler_pb2.CompiledWorkflow:
    """Return a compiled copy of a template, valid only if nothing was found wrong."""
    compiled = compiler_pb2.CompiledWorkflow()
    completed = compiled.template
    _complete(template, completed)
    end, *nodes = completed.nodes[1:]
    failure = completed.failure_node if completed.HasField("failure_node") else None
    if not nodes and not completed.outputs:
        text = "Expected a workflow with nodes or outputs, but it has none"
        found.add(Code.NO_NODES_FOUND, completed.id.name, text)
    _check_ids(nodes if failure is None else [*nodes, failure], found)
    _check_variables(completed.interface, found)
    edges = edges_of(nodes, end, failure, found)
    edges.write(compiled.connections)
    order = order_of([*(node.id for node in nodes), END], edges.before, found)
    known: Outputs = {START: types_of(completed.interface.inputs)}
    by_id = {node.id: node for node in reversed(nodes)}
    for node_id in order:
        if node_id not in {START, END}:
            known[node_id] = _check_node(by_id[node_id], known, library, found)
    if failure is not None:
        _check_node(failure, known, library, found)
    outputs = Interface(types_of(completed.interface.outputs), {})
    check_bindings(END, end.inputs, outputs, known, found)
    return compiled


def _complete(
    template: workflow_pb2.WorkflowTemplate, completed: workflow_pb2.WorkflowTemplate
) -> None:
    """Copy a template, adding start and end, ids of arms, and the start node's id."""
    completed.CopyFrom(template)
    completed.ClearField("nodes")
    completed.nodes.add(id=START)
    completed.nodes.add(id=END)
    completed.nodes.extend(template.nodes)
    _point_at_start(completed.outputs)
    completed.nodes[1].inputs.extend(completed.outputs)
    roots = [*completed.nodes]
    if completed.HasField("failure_node"):
        roots.append(completed.failure_node)
    for root in roots:
        rename_arms(root)
        for node in with_arms(root):
            _point_at_start(node.inputs)
            node.upstream_node_ids.sort()


def _point_at_start(bindings: Iterable[literals_pb2.Binding]) -> None:
    for binding in bindings:
        for promise in promises(binding.binding):
            if not promise.node_id:
                promise.node_id = START


def _check_ids(roots: Iterable[workflow_pb2.Node], found: Findings) -> None:
    seen = {START, END}
    for root in roots:
        for node in with_arms(root):
            if not node.id or _is_unnamed_arm(root, node.id):
                text = "Expected a node with an id, but it is empty"
                found.add(Code.VALUE_REQUIRED, node.id or "<node>", text)
            elif node.id in seen:
                text = "Expected an id of one node only, but it is another's too"
                found.add(Code.DUPLICATE_ID, node.id, text)
            seen.add(node.id)


def _is_unnamed_arm(root: workflow_pb2.Node, arm_id: str) -> bool:
    """Return whether an arm's id was empty before its branch's id was prefixed."""
    if not arm_id.endswith("-"):
        return False
    return any(arms(node) and arm_id == f"{node.id}-" for node in with_arms(root))


def _check_variables(interface: interface_pb2.TypedInterface, found: Findings) -> None:
    for node_id, side in ((START, interface.inputs), (END, interface.outputs)):
        for name, variable in side.variables.items():
            if not name or variable.type.WhichOneof("type") is None:
                text = f"Expected variable '{name}' to have a name and a type"
                found.add(Code.VALUE_REQUIRED, node_id, f"{text}, but it has not")


def _check_node(
    node: workflow_pb2.Node, known: Outputs, library: Library, found: Findings
) -> OutputTypes | None:
    """Check a node and its arms; return its output types, None if they aren't known."""
    _check_times(node, found)
    _check_lengths(node, found)
    interface: Interface | None
    if node.WhichOneof("target") == "branch_node":
        interface = _branch_interface(node, known, library, found)
    elif node.gate_node.WhichOneof("condition") == "approve":
        interface = Interface({}, bound_types(node.id, node.inputs, known, found))
    else:
        interface = declared_interface(node, library, found)
        if interface is not None:
            check_bindings(node.id, node.inputs, interface, known, found)
    if interface is None:
        return None
    return with_aliases(node, interface, found).outputs


def _check_times(node: workflow_pb2.Node, found: Findings) -> None:
    sleep = node.gate_node.sleep
    for part, name in ((node.metadata, "metadata"), (sleep, "sleep")):
        wrong = violation(part, name)
        if wrong:
            found.add(Code.INVALID_VALUE, node.id, wrong)


def _check_lengths(node: workflow_pb2.Node, found: Findings) -> None:
    """Check the texts that become keys: signals' ids, and versions of the cache."""
    gate = node.gate_node
    for what, text in (
        ("a signal id", gate.signal.signal_id),
        ("a signal id", gate.approve.signal_id),
        ("a cache version", node.metadata.cache_version),
    ):
        wrong = too_long(what, text, KEY_BYTES_MAX)
        if wrong:
            found.add(Code.INVALID_VALUE, node.id, wrong)


def _branch_interface(
    node: workflow_pb2.Node, known: Outputs, library: Library, found: Findings
) -> Interface | None:
    check_branch(node, bound_types(node.id, node.inputs, known, found), found)
    offers = [_check_node(arm, known, library, found) for arm in arms(node)]
    outputs = common_outputs(node, offers, found)
    return None if outputs is None else Interface({}, outputs)

"""The compiled DAG: nodes by id, what each waits for, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from flyteidl.core import compiler_pb2, identifier_pb2, tasks_pb2, workflow_pb2
from immutables import Map

from schemas.ids import EntityRef
from schemas.sites import NodeKind

START = "start-node"
END = "end-node"
SLOT_KINDS = frozenset({NodeKind.TASK, NodeKind.LAUNCH_PLAN, NodeKind.ARRAY})
"""Kinds of nodes that count against max_parallelism (ref §4.4)."""
_RESOURCE_TYPES = {number: name for name, number in identifier_pb2.ResourceType.items()}


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One node of a compiled workflow.

    `branch` is the id of the branch node that has this one as an arm, '' otherwise.
    `waits_for` counts what must end before it is ready: its upstream nodes, and the
    decision of its branch if it is an arm. `element` is what an array runs for each
    index; its target is the array's too. `is_failure` marks the failure node (and its
    arms), which only the failure of the workflow starts.
    """

    id: str
    kind: NodeKind
    spec: workflow_pb2.Node
    upstream: tuple[str, ...]
    branch: str
    waits_for: int
    target: EntityRef | None
    element: GraphNode | None = None
    is_failure: bool = False

    @property
    def takes_slot(self) -> bool:
        """Return whether it waits for a slot of max_parallelism (ref §4.4)."""
        return not self.is_failure and self.kind in SLOT_KINDS


@dataclass(frozen=True)
class Graph:
    """One compiled workflow as a graph; arms of branches are nodes like all others."""

    workflow: EntityRef
    template: workflow_pb2.WorkflowTemplate
    nodes: Mapping[str, GraphNode]
    downstream: Mapping[str, tuple[str, ...]]

    @cached_property
    def fails_immediately(self) -> bool:
        """Return whether the first failure ends the workflow (ref §4.3)."""
        on_failure = self.template.metadata.on_failure
        return on_failure == workflow_pb2.WorkflowMetadata.FAIL_IMMEDIATELY

    @property
    def failure_node(self) -> GraphNode | None:
        """Return the node that runs when the workflow fails, if there is one."""
        if not self.template.HasField("failure_node"):
            return None
        return self.nodes[self.template.failure_node.id]


@dataclass(frozen=True)
class Definition:
    """A compiled closure, indexed for the decider.

    `dynamic_closures` holds the workflows that dynamic nodes of the execution have
    returned, by the nodes' unique ids.
    """

    primary: Graph
    sub_workflows: Mapping[EntityRef, Graph]
    tasks: Mapping[EntityRef, tasks_pb2.TaskTemplate]
    dynamic_closures: Map[str, Definition] = field(default_factory=Map)

    def with_dynamic_closure(self, node_id: str, closure: Definition) -> Definition:
        """Return this definition with the workflow that a dynamic node returned."""
        closures = self.dynamic_closures.set(node_id, closure)
        return replace(self, dynamic_closures=closures)

    def without_dynamic_closure(self, node_id: str) -> Definition:
        """Return this definition without the workflow of a dynamic node, if any."""
        if node_id not in self.dynamic_closures:
            return self
        closures = self.dynamic_closures.delete(node_id)
        return replace(self, dynamic_closures=closures)

    @property
    def node_count(self) -> int:
        """Return how many nodes all graphs have together."""
        graphs = (self.primary, *self.sub_workflows.values())
        return sum(len(graph.nodes) for graph in graphs)


def definition_of(closure: compiler_pb2.CompiledWorkflowClosure) -> Definition:
    """Index a core.CompiledWorkflowClosure."""
    subs = [_graph(workflow) for workflow in closure.sub_workflows]
    return Definition(
        primary=_graph(closure.primary),
        sub_workflows={graph.workflow: graph for graph in subs},
        tasks={entity_ref(t.template.id): t.template for t in closure.tasks},
    )


def entity_ref(
    identifier: identifier_pb2.Identifier, kind: str | None = None
) -> EntityRef:
    """Return the reference of a core.Identifier.

    Its kind is `kind`, where it's known, or that of the identifier; an unknown type
    is UNSPECIFIED.
    """
    return EntityRef(
        kind=kind or _RESOURCE_TYPES.get(identifier.resource_type, "UNSPECIFIED"),
        project=identifier.project,
        domain=identifier.domain,
        name=identifier.name,
        version=identifier.version,
    )


def to_identifier(ref: EntityRef) -> identifier_pb2.Identifier:
    """Return the core.Identifier of a registered entity."""
    return identifier_pb2.Identifier(
        resource_type=ref.kind,
        project=ref.project,
        domain=ref.domain,
        name=ref.name,
        version=ref.version,
    )


def _graph(workflow: compiler_pb2.CompiledWorkflow) -> Graph:
    template = workflow.template
    upstream = {k: tuple(v.ids) for k, v in workflow.connections.upstream.items()}
    nodes: dict[str, GraphNode] = {}
    for spec, branch in _with_arms(template.nodes):
        before = tuple(i for i in upstream.get(spec.id, ()) if i != branch)
        if not before and not branch and spec.id != START:
            before = (START,)
        waits_for = len(before) + bool(branch)
        nodes[spec.id] = _node(spec, branch, upstream=before, waits_for=waits_for)
    if template.HasField("failure_node"):
        # It and its arms wait for one event only: the nodes that their inputs are
        # bound to have ended by then, or never will.
        for spec, branch in _with_arms([template.failure_node]):
            node = _node(spec, branch, waits_for=1)
            nodes[spec.id] = replace(node, is_failure=True)
    downstream: dict[str, list[str]] = {}
    for node in nodes.values():
        for before_id in node.upstream:
            downstream.setdefault(before_id, []).append(node.id)
    return Graph(
        workflow=entity_ref(template.id),
        template=template,
        nodes=nodes,
        downstream={k: tuple(v) for k, v in downstream.items()},
    )


def _node(
    spec: workflow_pb2.Node,
    branch: str = "",
    *,
    upstream: tuple[str, ...] = (),
    waits_for: int = 0,
) -> GraphNode:
    kind, target = _kind(spec)
    return GraphNode(
        id=spec.id,
        kind=kind,
        spec=spec,
        upstream=upstream,
        branch=branch,
        waits_for=waits_for,
        target=target,
        element=_node(spec.array_node.node) if kind is NodeKind.ARRAY else None,
    )


def _with_arms(
    specs: Iterable[workflow_pb2.Node], branch: str = ""
) -> Iterator[tuple[workflow_pb2.Node, str]]:
    """Yield nodes and the arms at every depth below, each with its branch's id."""
    for spec in specs:
        yield spec, branch
        if spec.WhichOneof("target") == "branch_node":
            yield from _with_arms(arms_of(spec.branch_node.if_else), spec.id)


def arms_of(block: workflow_pb2.IfElseBlock) -> list[workflow_pb2.Node]:
    """Return the nodes that a core.IfElseBlock chooses from."""
    arms = [block.case.then_node, *(case.then_node for case in block.other)]
    if block.WhichOneof("default") == "else_node":
        arms.append(block.else_node)
    return arms


def _kind(spec: workflow_pb2.Node) -> tuple[NodeKind, EntityRef | None]:
    if spec.id == START:
        return NodeKind.START, None
    if spec.id == END:
        return NodeKind.END, None
    target = spec.WhichOneof("target") or ""
    if target == "task_node":
        return NodeKind.TASK, entity_ref(spec.task_node.reference_id)
    if target == "workflow_node":
        if spec.workflow_node.WhichOneof("reference") == "launchplan_ref":
            plan = spec.workflow_node.launchplan_ref
            return NodeKind.LAUNCH_PLAN, entity_ref(plan)
        return NodeKind.WORKFLOW, entity_ref(spec.workflow_node.sub_workflow_ref)
    if target == "array_node":
        return NodeKind.ARRAY, _kind(spec.array_node.node)[1]
    return NodeKind(target.removesuffix("_node")), None

"""A read-only view of an execution: its state, and what its definition says of it."""

from __future__ import annotations

from functools import lru_cache
from itertools import count

from flyteidl.admin import execution_pb2
from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2

from domain.execution.context import Context
from domain.execution.state.node import Node
from domain.execution.state.scopes import graph_of, owner_of
from domain.execution.state.site import Site
from domain.execution.state.state import Execution
from domain.graph import Definition, Graph, GraphNode
from schemas.ids import element_id, element_name, longer_node_id, node_unique_id
from schemas.levels import INLINE_BUDGETS, UNIQUE_NODE_IDS
from schemas.messages.execution_events import ExecutionCreated
from schemas.sites import NodeKind
from schemas.values import Values


class ExecutionView:
    """Queries on a state, with the context of a decision; nothing is changed here."""

    __slots__ = ("_inline_outputs", "_state", "context")

    def __init__(self, state: Execution, context: Context) -> None:
        self._state = state
        self._inline_outputs = context.inline_outputs
        self.context = context

    @property
    def state(self) -> Execution:
        """The state that is looked at."""
        return self._state

    @property
    def now_us(self) -> int:
        """The time of the decision."""
        return self.context.now_us

    @property
    def has_inline_budget(self) -> bool:
        """Return whether the state may hold more outputs inline."""
        return self._inline_outputs < self.context.limits.inline_budget

    @property
    def inline_max(self) -> int:
        """How many bytes of values may be inline: none once the budget is used up."""
        return self.context.limits.inline_bytes if self.has_inline_budget else 0

    @property
    def reported_inline_max(self) -> int:
        """How many bytes a runner may report inline; -1: as many as it would anyway."""
        is_told = self.context.format_level >= INLINE_BUDGETS
        return 0 if is_told and not self.has_inline_budget else -1

    def within_budget(self, values: Values) -> Values:
        """Return values by reference alone if the budget is used up.

        Those that are in no blob stay inline.
        """
        if self.has_inline_budget or not values.inline or not values.uri:
            return values
        return Values(uri=values.uri, digest=values.digest, size=values.size)

    @property
    def definition(self) -> Definition:
        """The compiled workflow; every created execution has one."""
        assert self.context.definition is not None  # noqa: S101 - it was loaded
        return self.context.definition

    @property
    def created(self) -> ExecutionCreated:
        """The event that began the execution."""
        assert self._state.created is not None  # noqa: S101 - decisions check it
        return self._state.created

    @property
    def spec(self) -> execution_pb2.ExecutionSpec:
        """The execution's settings; shared, so never to be changed."""
        return execution_spec(self.created.spec)

    def node(self, node_id: str) -> Node:
        """Return a node that was reached."""
        return self._state.nodes[node_id]

    def graph(self, scope: str) -> Graph:
        """Return the graph of a scope."""
        return graph_of(self.definition, self._state, scope)

    def owner(self, scope: str) -> Definition:
        """Return the closure that defines a scope."""
        return owner_of(self.definition, self._state, scope)

    def task_template(self, site: Site) -> tasks_pb2.TaskTemplate:
        """Return the task that the node at a site runs."""
        return self.owner(site.scope).tasks[site.entity]

    def interface(
        self, scope: str, graph_node: GraphNode
    ) -> interface_pb2.TypedInterface | None:
        """Return the interface of a task or sub-workflow; None for other nodes."""
        target, owner = graph_node.target, self.owner(scope)
        if target is not None and graph_node.kind is NodeKind.TASK:
            return owner.tasks[target].interface
        if target is not None and graph_node.kind is NodeKind.WORKFLOW:
            return owner.sub_workflows[target].template.interface
        return None

    def graph_node(self, site: Site) -> GraphNode:
        """Return what the compiled workflow says of the node at a site."""
        if site.element is None:
            return self.graph(site.scope).nodes[site.spec_node_id]
        element = self.graph_node(self.node(site.parent_id).site).element
        assert element is not None  # noqa: S101 - arrays have one
        return element

    def is_failure_node(self, node_id: str) -> bool:
        """Return whether a node is the failure node of its workflow."""
        site = self.node(node_id).site
        if site.element is not None:
            return False
        graph_node = self.graph_node(site)
        return graph_node.is_failure and not graph_node.branch

    def unique_id(self, scope: str, spec_node_id: str) -> str:
        """Return the id, unique in the execution, of a place (ref §4.7)."""
        parent = self.parent_id(scope, spec_node_id)
        attempt = self._state.nodes[parent].attempt if parent else 0
        plain = node_unique_id(parent, attempt, spec_node_id)
        return self._own_id(plain, parent, attempt, spec_node_id)

    def element_id(self, array: Node, index: int) -> str:
        """Return the id, unique in the execution, of an element of an array."""
        parent, attempt = array.site.node_id, array.attempt
        plain = element_id(parent, attempt, index)
        return self._own_id(plain, parent, attempt, element_name(index))

    def _own_id(self, plain: str, parent: str, attempt: int, spec_node_id: str) -> str:
        """Return the first of a place's ids that no node of another place has.

        Nodes are never removed, so a place that was reached keeps its id.
        """
        if self.created.rules < UNIQUE_NODE_IDS:
            return plain
        nodes, found = self._state.nodes, plain
        for number in count():
            node = nodes.get(found)
            if node is None or _is_at(node.site, parent, attempt, spec_node_id):
                break
            found = longer_node_id(parent, attempt, spec_node_id, number)
        return found

    def parent_id(self, scope: str, spec_node_id: str) -> str:
        """Return the unique id of what contains a place: its branch, or its scope."""
        branch = self.graph(scope).nodes[spec_node_id].branch
        return self.unique_id(scope, branch) if branch else scope


def _is_at(site: Site, parent: str, attempt: int, spec_node_id: str) -> bool:
    return (
        site.spec_node_id == spec_node_id
        and site.parent_id == parent
        and site.parent_attempt == attempt
    )


@lru_cache(maxsize=256)
def literal_map(data: bytes) -> literals_pb2.LiteralMap:
    """Return the literal map in these bytes; shared, so never to be changed."""
    return literals_pb2.LiteralMap.FromString(data)


@lru_cache(maxsize=256)
def execution_spec(data: bytes) -> execution_pb2.ExecutionSpec:
    """Return the spec in these bytes; shared, so never to be changed."""
    return execution_pb2.ExecutionSpec.FromString(data)

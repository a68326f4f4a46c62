"""One decision in the making: events so far, and the state that they lead to.

Mutable, but only inside one call of `decide`; nothing of it gets out but the events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from flyteidl.admin import execution_pb2
from flyteidl.core import literals_pb2

from domain.execution.context import Context
from domain.execution.state.evolve import evolve
from domain.execution.state.frontier import Frontier, Place, advance, graph_of, owner_of
from domain.execution.state.state import Execution, Node
from domain.graph import Definition, Graph, GraphNode
from schemas.ids import node_unique_id
from schemas.messages import node_events as ne
from schemas.messages.execution_events import ExecutionCreated, ExecutionEvent
from schemas.sites import NodeSite
from schemas.values import Failure

_MOVES = (ne.NodeStarted, ne.NodeSucceeded, ne.NodeFailed, ne.NodeTimedOut)


class Step:
    """The accumulator of a decision."""

    def __init__(self, state: Execution, context: Context) -> None:
        """Begin from a state and its frontier."""
        self.state = state
        self.context = context
        self.frontier = context.frontier or Frontier()
        self.events: list[ExecutionEvent] = []
        self.ready: deque[Place] = deque()
        self.arrays: dict[str, None] = {}
        self.to_retry: dict[str, Failure] = {}

    @property
    def now_us(self) -> int:
        """The time of this decision."""
        return self.context.now_us

    @property
    def definition(self) -> Definition:
        """The compiled workflow; the loop brings it for every created execution."""
        assert self.context.definition is not None  # noqa: S101
        return self.context.definition

    @property
    def created(self) -> ExecutionCreated:
        """The event that began the execution."""
        assert self.state.created is not None  # noqa: S101
        return self.state.created

    def emit(self, event: ExecutionEvent) -> None:
        """Take one more event up, and note what it makes ready."""
        self.events.append(event)
        self.state = evolve(self.state, event)
        if isinstance(event, _MOVES):
            self._note_element(self.state.nodes[event.node_id].site)
        elif isinstance(event, ne.NodeRecovered):
            self._note_element(event.site)
        if self.state.created is not None:
            self.frontier, ready = advance(
                self.frontier, self.definition, self.state, event
            )
            self.ready.extend(ready)

    def _note_element(self, site: NodeSite) -> None:
        """Note the array whose element has begun or ended: it may go on."""
        if site.element >= 0:
            self.arrays[site.parent_id] = None

    def node(self, node_id: str) -> Node:
        """Return a node that was reached."""
        return self.state.nodes[node_id]

    def graph(self, scope: str) -> Graph:
        """Return the graph of a scope."""
        return graph_of(self.definition, self.state, scope)

    def owner(self, scope: str) -> Definition:
        """Return the closure whose workflow runs in a scope."""
        return owner_of(self.definition, self.state, scope)

    def task_template(self, site: NodeSite) -> Any:
        """Return the core.TaskTemplate that the node at a site runs."""
        assert site.target is not None  # noqa: S101 - the compiler refuses others
        return self.owner(site.scope).tasks[site.target]

    def interface(self, scope: str, graph_node: GraphNode) -> Any | None:
        """Return the core.TypedInterface of a task or sub-workflow, else None."""
        target, owner = graph_node.target, self.owner(scope)
        if target is not None and graph_node.kind == "task":
            return owner.tasks[target].interface
        if target is not None and graph_node.kind == "workflow":
            return owner.sub_workflows[target].template.interface
        return None

    def graph_node(self, node: Node) -> GraphNode:
        """Return what the compiled workflow says of a node."""
        site = node.site
        if site.element >= 0:
            element = self.graph_node(self.node(site.parent_id)).element
            assert element is not None  # noqa: S101 - arrays have one
            return element
        return self.graph(site.scope).nodes[site.spec_node_id]

    def is_failure_node(self, node_id: str) -> bool:
        """Tell whether a node is the failure node of its workflow."""
        site = self.node(node_id).site
        if site.element >= 0:
            return False
        graph_node = self.graph_node(self.node(node_id))
        return graph_node.is_failure and not graph_node.branch

    def unique_id(self, scope: str, spec_node_id: str) -> str:
        """Return the id, unique in the execution, of a place (ref §4.7)."""
        parent = self.parent_id(scope, spec_node_id)
        attempt = self.state.nodes[parent].attempt if parent else 0
        return node_unique_id(parent, attempt, spec_node_id)

    def parent_id(self, scope: str, spec_node_id: str) -> str:
        """Return the unique id of what a place lies in: its branch, or its scope."""
        branch = self.graph(scope).nodes[spec_node_id].branch
        return self.unique_id(scope, branch) if branch else scope


@lru_cache(maxsize=256)
def literal_map(data: bytes) -> Any:
    """Return the core.LiteralMap in these bytes; shared, so never to be changed."""
    return literals_pb2.LiteralMap.FromString(data)


@lru_cache(maxsize=256)
def execution_spec(data: bytes) -> Any:
    """Return the admin.ExecutionSpec in these bytes; shared, never to be changed."""
    return execution_pb2.ExecutionSpec.FromString(data)


def outcome(step: Step) -> Sequence[ExecutionEvent]:
    """Return the events of a finished decision."""
    return tuple(step.events)

"""Where the time of an execution went: its views' rows as a tree of spans; pure.

Between what took time lies what the engine did, by the names that Flyte gives it
(ref §14): set-ups, transitions, tear-downs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flyteidl.core import metrics_pb2

from domain.graph import END, START, Definition, Graph
from gateway.translate.identifiers import execution_id, identifier, node_id
from projections.rows import ExecutionRow, NodeRow, TaskRow
from schemas.ids import execution_of


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One execution and what is known of its time.

    `children` are the executions that its nodes started, by the nodes' ids.
    """

    row: ExecutionRow
    definition: Definition
    nodes: Sequence[NodeRow]
    attempts: Mapping[str, Sequence[TaskRow]] = field(default_factory=dict)
    children: Mapping[str, Timed] = field(default_factory=dict)


def span_of(timed: Timed, depth: int) -> Any:
    """Return the core.Span of an execution, down to a depth; a negative one is all."""
    row = timed.row
    span = _span(row.created_at, row.updated_at)
    span.workflow_id.CopyFrom(execution_id(execution_of(row.stream)))
    if depth:
        span.spans.extend(_Tree(timed).of_execution(depth - 1))
    return span


def _span(begin: datetime, end: datetime) -> Any:
    span = metrics_pb2.Span()
    span.start_time.FromDatetime(begin)
    span.end_time.FromDatetime(max(begin, end))
    return span


def _operation(name: str, begin: datetime, end: datetime) -> Any:
    span = _span(begin, end)
    span.operation_id = name
    return span


@dataclass(frozen=True, slots=True)
class _Place:
    """The workflow that some nodes are of, and the definition that owns it."""

    owner: Definition | None
    graph: Graph | None


class _Tree:
    """The spans inside of one execution."""

    def __init__(self, timed: Timed) -> None:
        self._timed = timed
        self._inside: dict[str, list[NodeRow]] = {}
        self._found: dict[tuple[str, str], NodeRow] = {}
        for node in timed.nodes:
            self._inside.setdefault(node.parent_id, []).append(node)
            self._found[(node.scope, node.spec_node_id)] = node

    def of_execution(self, depth: int) -> Iterator[Any]:
        """Yield set-up, nodes and tear-down."""
        row = self._timed.row
        begun = self._found.get(("", START))
        if begun is None:
            yield _operation("WORKFLOW_SETUP", row.created_at, row.updated_at)
            return
        yield _operation("WORKFLOW_SETUP", row.created_at, begun.updated_at)
        at = _Place(self._timed.definition, self._timed.definition.primary)
        yield from self._nodes("", at, depth)
        yield from self._teardown("WORKFLOW_TEARDOWN", "", at, row.updated_at)

    def _nodes(self, parent_id: str, at: _Place, depth: int) -> Iterator[Any]:
        for node in self._inside.get(parent_id, ()):
            if node.spec_node_id in {START, END}:
                continue
            before = self._latest_upstream(node, at)
            if before is not None and node.created_at >= before.updated_at:
                yield _operation("NODE_TRANSITION", before.updated_at, node.created_at)
            yield self._node(node, at, depth)

    def _node(self, node: NodeRow, at: _Place, depth: int) -> Any:
        span = _span(node.created_at, node.updated_at)
        span.node_id.CopyFrom(node_id(execution_of(node.stream), node.node_id))
        if depth:
            span.spans.extend(self._within(node, at, depth - 1))
        return span

    def _within(self, node: NodeRow, at: _Place, depth: int) -> Iterator[Any]:
        """Yield what a node did; one that never started was set up all the time."""
        attempts = self._timed.attempts.get(node.node_id, ())
        child = self._timed.children.get(node.node_id)
        inside = self._inside.get(node.node_id, ())
        if node.kind == "gate" and node.started_at is not None:
            yield _operation("NODE_SETUP", node.created_at, node.started_at)
            yield _operation("NODE_IDLE", node.started_at, node.updated_at)
        elif attempts:
            yield _operation("NODE_SETUP", node.created_at, attempts[0].created_at)
            yield from _attempts(attempts, depth)
            last = attempts[-1].updated_at
            if inside:
                begun = inside[0].updated_at if _is_start(inside[0]) else last
                yield _operation("NODE_RESET", last, max(last, begun))
                yield from self._nodes(node.node_id, self._made(node), depth)
                last = max(last, *(row.updated_at for row in inside))
            yield _operation("NODE_TEARDOWN", last, node.updated_at)
        elif child is not None:
            yield _operation("NODE_SETUP", node.created_at, child.row.created_at)
            yield span_of(child, depth)
            yield _operation("NODE_TEARDOWN", child.row.updated_at, node.updated_at)
        elif inside:
            yield from self._parent(node, inside, at, depth)
        else:
            yield _operation("NODE_SETUP", node.created_at, node.updated_at)

    def _made(self, node: NodeRow) -> _Place:
        """Return the place of what a dynamic node made."""
        made = self._timed.definition.dynamic_closures.get(node.node_id)
        return _Place(made, made.primary if made else None)

    def _sub(self, node: NodeRow, at: _Place) -> _Place:
        """Return the place inside a sub-workflow or a branch; arms follow nothing."""
        if node.kind != "workflow" or at.owner is None or node.target is None:
            return _Place(at.owner, None)
        return _Place(at.owner, at.owner.sub_workflows.get(node.target))

    def _parent(
        self, node: NodeRow, inside: Sequence[NodeRow], at: _Place, depth: int
    ) -> Iterator[Any]:
        first = inside[0]
        begun = first.updated_at if _is_start(first) else first.created_at
        yield _operation("NODE_SETUP", node.created_at, begun)
        yield from self._nodes(node.node_id, self._sub(node, at), depth)
        last = max(row.updated_at for row in inside)
        yield _operation("NODE_TEARDOWN", last, node.updated_at)

    def _latest_upstream(self, node: NodeRow, at: _Place) -> NodeRow | None:
        graph = at.graph
        if graph is None or node.spec_node_id not in graph.nodes:
            return None
        return self._latest(node.scope, graph, node.spec_node_id)

    def _latest(self, scope: str, graph: Graph, spec_node_id: str) -> NodeRow | None:
        upstream = graph.nodes[spec_node_id].upstream
        known = (self._found.get((scope, before)) for before in upstream)
        rows = [row for row in known if row is not None]
        return max(rows, key=lambda row: row.updated_at, default=None)

    def _teardown(
        self, name: str, scope: str, at: _Place, end: datetime
    ) -> Iterator[Any]:
        last = self._latest(scope, at.graph, END) if at.graph else None
        if last is not None and end >= last.updated_at:
            yield _operation(name, last.updated_at, end)


def _is_start(row: NodeRow) -> bool:
    return row.spec_node_id == START


def _attempts(attempts: Sequence[TaskRow], depth: int) -> Iterator[Any]:
    before: TaskRow | None = None
    for attempt in attempts:
        if before is not None:
            yield _operation("NODE_RESET", before.updated_at, attempt.created_at)
        before = attempt
        span = _span(attempt.created_at, attempt.updated_at)
        span.task_id.task_id.CopyFrom(identifier(attempt.task))
        at = node_id(execution_of(attempt.stream), attempt.node_id)
        span.task_id.node_execution_id.CopyFrom(at)
        span.task_id.retry_attempt = attempt.retry_attempt
        if depth:
            span.spans.extend(_within_attempt(attempt))
        yield span


def _within_attempt(attempt: TaskRow) -> Iterator[Any]:
    begun = attempt.started_at
    if begun is None:
        yield _operation("TASK_SETUP", attempt.created_at, attempt.updated_at)
        return
    yield _operation("TASK_SETUP", attempt.created_at, begun)
    ended = attempt.ended_at or attempt.updated_at
    yield _operation("TASK_RUNTIME", begun, ended)
    if attempt.ended_at is not None:
        yield _operation("TASK_TEARDOWN", ended, attempt.updated_at)

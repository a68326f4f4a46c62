"""How long the parts of an execution took: rows as a tree of spans; pure.

The engine's own overhead has spans too, named as in Flyte (ref §14): set-ups,
transitions, tear-downs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flyteidl.core import metrics_pb2

from domain.graph import END, START, Definition, Graph, to_identifier
from gateway.translate.identifiers import to_execution_id, to_node_id
from projections.rows import ExecutionRow, NodeRow, TaskRow
from schemas.ids import execution_of

Spans = Iterator[metrics_pb2.Span]


@dataclass(frozen=True, kw_only=True)
class ExecutionTiming:
    """The rows of one execution that have times.

    `attempts` and `children`, which are the executions that nodes started, go by the
    nodes' ids.
    """

    row: ExecutionRow
    definition: Definition
    nodes: Sequence[NodeRow]
    attempts: Mapping[str, Sequence[TaskRow]] = field(default_factory=dict)
    children: Mapping[str, ExecutionTiming] = field(default_factory=dict)


def span_of(timing: ExecutionTiming, depth: int) -> metrics_pb2.Span:
    """Return the span of an execution, down to a depth; a negative one is unlimited."""
    row = timing.row
    span = _span(row.created_at, row.updated_at)
    span.workflow_id.CopyFrom(to_execution_id(execution_of(row.stream)))
    if depth:
        span.spans.extend(_Tree(timing).of_execution(depth - 1))
    return span


def _span(begin: datetime, end: datetime) -> metrics_pb2.Span:
    span = metrics_pb2.Span()
    span.start_time.FromDatetime(begin)
    span.end_time.FromDatetime(max(begin, end))
    return span


def _operation(name: str, begin: datetime, end: datetime) -> metrics_pb2.Span:
    span = _span(begin, end)
    span.operation_id = name
    return span


@dataclass(frozen=True, slots=True)
class _Level:
    """The workflow that sibling nodes belong to, and the definition that holds it."""

    owner: Definition | None
    graph: Graph | None


class _Tree:
    """The spans within one execution."""

    def __init__(self, timing: ExecutionTiming) -> None:
        self._timing = timing
        self._children: dict[str, list[NodeRow]] = {}
        self._by_spec_id: dict[tuple[str, str], NodeRow] = {}
        for node in timing.nodes:
            self._children.setdefault(node.parent_id, []).append(node)
            self._by_spec_id[(node.scope, node.spec_node_id)] = node

    def of_execution(self, depth: int) -> Spans:
        """Yield set-up, nodes and tear-down."""
        row = self._timing.row
        start = self._by_spec_id.get(("", START))
        if start is None:
            yield _operation("WORKFLOW_SETUP", row.created_at, row.updated_at)
            return
        yield _operation("WORKFLOW_SETUP", row.created_at, start.updated_at)
        definition = self._timing.definition
        level = _Level(definition, definition.primary)
        yield from self._nodes("", level, depth)
        yield from self._workflow_teardown(level, row.updated_at)

    def _nodes(self, parent_id: str, level: _Level, depth: int) -> Spans:
        for node in self._children.get(parent_id, ()):
            if node.spec_node_id in {START, END}:
                continue
            before = self._latest_upstream(node, level)
            if before is not None and node.created_at >= before.updated_at:
                yield _operation("NODE_TRANSITION", before.updated_at, node.created_at)
            yield self._node(node, level, depth)

    def _node(self, node: NodeRow, level: _Level, depth: int) -> metrics_pb2.Span:
        span = _span(node.created_at, node.updated_at)
        span.node_id.CopyFrom(to_node_id(execution_of(node.stream), node.node_id))
        if depth:
            span.spans.extend(self._activities(node, level, depth - 1))
        return span

    def _activities(self, node: NodeRow, level: _Level, depth: int) -> Spans:
        """Yield what a node did; one that never started was only being set up."""
        attempts = self._timing.attempts.get(node.node_id)
        execution = self._timing.children.get(node.node_id)
        if node.kind == "gate" and node.started_at is not None:
            yield _operation("NODE_SETUP", node.created_at, node.started_at)
            yield _operation("NODE_IDLE", node.started_at, node.updated_at)
        elif attempts:
            yield from self._task(node, attempts, depth)
        elif execution is not None:
            begin, end = execution.row.created_at, execution.row.updated_at
            yield _operation("NODE_SETUP", node.created_at, begin)
            yield span_of(execution, depth)
            yield _operation("NODE_TEARDOWN", end, node.updated_at)
        elif node.node_id in self._children:
            yield from self._parent(node, level, depth)
        else:
            yield _operation("NODE_SETUP", node.created_at, node.updated_at)

    def _task(self, node: NodeRow, attempts: Sequence[TaskRow], depth: int) -> Spans:
        """Yield the attempts of a node's task, then the nodes of a dynamic one."""
        yield _operation("NODE_SETUP", node.created_at, attempts[0].created_at)
        yield from _attempts(attempts, depth)
        last = attempts[-1].updated_at
        children = self._children.get(node.node_id)
        if children:
            begin = children[0].updated_at if _is_start(children[0]) else last
            yield _operation("NODE_RESET", last, max(last, begin))
            closure = self._timing.definition.dynamic_closures.get(node.node_id)
            level = _Level(closure, closure.primary if closure else None)
            yield from self._nodes(node.node_id, level, depth)
            last = max(last, *(row.updated_at for row in children))
        yield _operation("NODE_TEARDOWN", last, node.updated_at)

    def _parent(self, node: NodeRow, level: _Level, depth: int) -> Spans:
        """Yield the nodes of a sub-workflow, branch or array."""
        children = self._children[node.node_id]
        first = children[0]
        begin = first.updated_at if _is_start(first) else first.created_at
        yield _operation("NODE_SETUP", node.created_at, begin)
        yield from self._nodes(node.node_id, _level_below(node, level), depth)
        last = max(row.updated_at for row in children)
        yield _operation("NODE_TEARDOWN", last, node.updated_at)

    def _latest_upstream(self, node: NodeRow, level: _Level) -> NodeRow | None:
        graph = level.graph
        if graph is None or node.spec_node_id not in graph.nodes:
            return None
        return self._latest(node.scope, graph, node.spec_node_id)

    def _latest(self, scope: str, graph: Graph, spec_node_id: str) -> NodeRow | None:
        upstream = graph.nodes[spec_node_id].upstream
        known = (self._by_spec_id.get((scope, node_id)) for node_id in upstream)
        rows = [row for row in known if row is not None]
        return max(rows, key=lambda row: row.updated_at, default=None)

    def _workflow_teardown(self, level: _Level, end: datetime) -> Spans:
        last = self._latest("", level.graph, END) if level.graph else None
        if last is not None and end >= last.updated_at:
            yield _operation("WORKFLOW_TEARDOWN", last.updated_at, end)


def _level_below(node: NodeRow, level: _Level) -> _Level:
    """Return the level within a node; arms of a branch have no order among them."""
    if node.kind != "workflow" or level.owner is None or node.target is None:
        return _Level(level.owner, None)
    return _Level(level.owner, level.owner.sub_workflows.get(node.target))


def _is_start(row: NodeRow) -> bool:
    return row.spec_node_id == START


def _attempts(attempts: Sequence[TaskRow], depth: int) -> Spans:
    before: TaskRow | None = None
    for attempt in attempts:
        if before is not None:
            yield _operation("NODE_RESET", before.updated_at, attempt.created_at)
        before = attempt
        span = _span(attempt.created_at, attempt.updated_at)
        span.task_id.task_id.CopyFrom(to_identifier(attempt.task))
        node_id = to_node_id(execution_of(attempt.stream), attempt.node_id)
        span.task_id.node_execution_id.CopyFrom(node_id)
        span.task_id.retry_attempt = attempt.retry_attempt
        if depth:
            span.spans.extend(_attempt_phases(attempt))
        yield span


def _attempt_phases(attempt: TaskRow) -> Spans:
    begin = attempt.started_at
    if begin is None:
        yield _operation("TASK_SETUP", attempt.created_at, attempt.updated_at)
        return
    yield _operation("TASK_SETUP", attempt.created_at, begin)
    end = attempt.ended_at or attempt.updated_at
    yield _operation("TASK_RUNTIME", begin, end)
    if attempt.ended_at is not None:
        yield _operation("TASK_TEARDOWN", end, attempt.updated_at)

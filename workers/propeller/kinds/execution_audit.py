"""What no log may hold of an execution: illegal transitions, nodes left active."""

from __future__ import annotations

from collections.abc import Iterator

from domain.execution.state.state import Execution
from schemas.ids import execution_stream
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import EXECUTION_MOVES, NODE_MOVES, NodePhase
from workers.propeller.kinds.rules import AuditRules, Link


def _violations(
    before: Execution, event: e.ExecutionEvent, after: Execution
) -> Iterator[str]:
    moves = EXECUTION_MOVES[before.phase]
    if after.phase is not before.phase and after.phase not in moves:
        yield (
            f"Expected no transition of the execution {before.phase} → {after.phase}, "
            "but there is one"
        )
    yield from _node_violations(before, event, after)
    if after.is_terminal:
        for node_id in sorted(after.active):
            phase = after.nodes[node_id].phase
            yield f"Expected every node to have ended, but {node_id} is {phase}"


def _node_violations(
    before: Execution, event: e.ExecutionEvent, after: Execution
) -> Iterator[str]:
    site = getattr(event, "site", None)
    node_id = site.node_id if site is not None else getattr(event, "node_id", "")
    if node_id not in after.nodes:
        return
    new, old = after.nodes[node_id].phase, NodePhase.NOT_YET_STARTED
    if node_id in before.nodes:
        old = before.nodes[node_id].phase
    if new is not old and new not in NODE_MOVES[old]:
        yield f"Expected no transition of {node_id} {old} → {new}, but there is one"


def _link(event: e.ExecutionEvent) -> Link | None:
    if isinstance(event, e.ExecutionCreated) and event.parent is not None:
        return Link(parent=event.parent.stream)
    if isinstance(event, ne.ChildCreated):
        return Link(child=execution_stream(event.child))
    return None


AUDIT: AuditRules[e.ExecutionEvent, Execution] = AuditRules(
    violations=_violations, link=_link
)

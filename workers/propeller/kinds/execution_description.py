"""An execution's state for people, as JSON and as text."""

from __future__ import annotations

import msgspec

from domain.execution.state.node import Node
from domain.execution.state.state import Execution
from schemas.json_types import JsonObject
from workers.propeller.kinds.rules import Description

_HEADING = ("node", "kind", "phase", "attempt", "task", "runner", "note")


def to_json(state: Execution) -> JsonObject:
    """Return what people are shown of a state, besides its phase."""
    return {
        "failure": _fields(state.failure),
        "parked": _fields(state.parked),
        "active": [*sorted(state.active)],
        "nodes": {key: _node(node) for key, node in sorted(state.nodes.items())},
    }


def describe(state: Execution) -> Description:
    """Return the failure, if any, and a table of nodes."""
    failure = state.failure
    rows = [
        (
            key,
            node.site.kind,
            node.phase.value,
            str(node.attempt),
            node.task.phase.value if node.task else "",
            _runner(node),
            _note(node),
        )
        for key, node in sorted(state.nodes.items())
    ]
    lines = [] if failure is None else [f"{failure.code}: {failure.message}"]
    return Description(lines, _HEADING, rows)


def _node(node: Node) -> JsonObject:
    return {
        "kind": node.site.kind,
        "spec_node_id": node.site.spec_node_id,
        "parent_id": node.site.parent_id,
        "phase": node.phase.value,
        "attempt": node.attempt,
        "task": node.task.phase.value if node.task else None,
        "runner": _runner(node),
        "dispatch_no": node.task.dispatch_no if node.task else 0,
        "chosen": node.chosen_arm or "",
        "child": node.child.execution.text() if node.child else "",
        "last_failure": _fields(node.last_failure),
    }


def _runner(node: Node) -> str:
    """Return the runner that holds the node's attempt; '' without one."""
    return node.task.lease.runner if node.task and node.task.lease else ""


def _note(node: Node) -> str:
    if node.child is not None:
        return node.child.execution.text()
    return f"chose {node.chosen_arm}" if node.chosen_arm else ""


def _fields(value: msgspec.Struct | None) -> JsonObject | None:
    if value is None:
        return None
    fields: JsonObject = msgspec.to_builtins(value)
    return fields

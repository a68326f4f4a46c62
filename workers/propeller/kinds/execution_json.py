"""An execution's state as JSON, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.execution.state.node import Node
from domain.execution.state.state import Execution


def to_json(state: Execution) -> Mapping[str, Any]:
    """Return what people are shown of a state, its phase left out."""
    return {
        "failure": _plain(state.failure),
        "parked": _plain(state.parked),
        "active": sorted(state.active),
        "nodes": {key: _node(node) for key, node in sorted(state.nodes.items())},
    }


def _node(node: Node) -> Mapping[str, Any]:
    task = node.task
    return {
        "kind": node.site.kind,
        "spec_node_id": node.site.spec_node_id,
        "parent_id": node.site.parent_id,
        "phase": node.phase.value,
        "attempt": node.attempt,
        "task": task.phase.value if task else None,
        "runner": task.lease.runner if task and task.lease else "",
        "dispatch_no": task.dispatch_no if task else 0,
        "chosen": node.chosen_arm or "",
        "child": node.child.execution.text() if node.child else "",
        "last_failure": _plain(node.last_failure),
    }


def _plain(value: msgspec.Struct | None) -> Mapping[str, Any] | None:
    return None if value is None else msgspec.to_builtins(value)

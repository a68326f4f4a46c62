"""Inline outputs: how many bytes of them a state holds, and an event adds.

Nodes are never removed and keep their outputs, also when what contains them is tried
again: the count only grows. Inputs aren't counted, as they are dropped with a node's
end; at any time there are only those of what runs.
"""

from __future__ import annotations

from domain.execution.state.state import Execution
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.values import Values

_WITH_OUTPUTS = (ne.NodeSucceeded, ne.NodeRecovered, e.ExecutionSucceeded)


def added(event: e.ExecutionEvent) -> int:
    """Return how many bytes of outputs an event adds to the state."""
    return _size(event.outputs) if isinstance(event, _WITH_OUTPUTS) else 0


def held(state: Execution) -> int:
    """Return how many bytes of outputs a state holds; it looks at every node."""
    return _size(state.outputs) + sum(_size(n.outputs) for n in state.nodes.values())


def _size(outputs: Values | None) -> int:
    return len(outputs.inline or b"") if outputs is not None else 0

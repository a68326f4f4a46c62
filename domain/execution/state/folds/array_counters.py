"""Counting an array's elements: O(1) for each event, whatever the array's size."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.node import Array, Node
from domain.execution.state.state import Execution
from schemas.phases import SUCCESSES

FAILURES_MAX = 10


def count_element(state: Execution, element: Node) -> Execution:
    """Update the counts of an element's array; `state` is the one before the change."""
    array_id = element.site.parent_id
    owner = state.nodes[array_id]
    known = state.nodes.get(element.site.node_id)
    if owner.array is None:
        return state
    array = owner.array
    if known is None:
        array = replace(array, started=array.started + 1)
    if element.is_terminal and not (known is not None and known.is_terminal):
        array = _with_ended(array, element)
    if array is owner.array:
        return state
    return replace(state, nodes=state.nodes.set(array_id, replace(owner, array=array)))


def _with_ended(array: Array, element: Node) -> Array:
    if element.phase in SUCCESSES:
        outputs = element.outputs
        inline = outputs.inline if outputs is not None else b""
        return replace(
            array,
            succeeded=array.succeeded + 1,
            inline_bytes=array.inline_bytes + len(inline or b""),
            by_reference=array.by_reference or inline is None,
        )
    failures, index = array.failures, element.site.element
    failure = element.last_failure
    if index is not None and failure is not None and len(failures) < FAILURES_MAX:
        failures = (*failures, (index, failure))
    return replace(array, failed=array.failed + 1, failures=failures)

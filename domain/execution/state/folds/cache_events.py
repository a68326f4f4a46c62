"""How events of cache look-ups change the state: a function for each."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.folds.node_updates import put_node
from domain.execution.state.node import CacheLookup, LookupState, Node
from domain.execution.state.site import read_site
from domain.execution.state.state import Execution
from schemas.messages import node_events as ne
from schemas.phases import CacheStatus, NodePhase, ReservationStatus

_PENDING = CacheLookup(state=LookupState.PENDING)


def lookup_requested(state: Execution, event: ne.CacheLookupRequested) -> Execution:
    """Reach a node with its inputs, whose outputs are being looked up."""
    node = Node(
        site=read_site(event.site),
        phase=NodePhase.NOT_YET_STARTED,
        inputs=event.inputs,
        input_path=event.input_path,
        cache=_PENDING,
    )
    return put_node(state, node)


def looked_up(state: Execution, event: ne.CacheLookedUp) -> Execution:
    """Set the key of outputs that the catalog doesn't have."""
    cache = None
    if event.reservation == ReservationStatus.EXISTS:
        cache = CacheLookup(state=LookupState.AWAITING, key=event.key)
    elif event.status != CacheStatus.HIT:
        cache = CacheLookup(state=LookupState.MISSED, key=event.key)
    return put_node(state, replace(state.nodes[event.node_id], cache=cache))


def populated(state: Execution, event: ne.CachePopulated) -> Execution:
    """Drop the key: the outputs are stored."""
    return put_node(state, replace(state.nodes[event.node_id], cache=None))


def put_failed(state: Execution, event: ne.CachePutFailed) -> Execution:
    """Drop the key: the outputs can't be stored."""
    return put_node(state, replace(state.nodes[event.node_id], cache=None))

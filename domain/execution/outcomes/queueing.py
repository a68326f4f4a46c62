"""The first events of a node: queued with its inputs, or looked up before that."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.state.site import Site
from schemas.messages.node_events import CacheLookupRequested, NodeQueued
from schemas.values import Values


def queue_node(decision: Decision, site: Site, inputs: Values, input_path: str) -> None:
    """Queue a node with its inputs, which are stored at a path."""
    _emit_first(decision, NodeQueued, site, inputs, input_path)


def request_lookup(
    decision: Decision, site: Site, inputs: Values, input_path: str
) -> None:
    """Look a node's outputs up in the catalog before it is queued."""
    _emit_first(decision, CacheLookupRequested, site, inputs, input_path)


def _emit_first(
    decision: Decision,
    event: type[NodeQueued | CacheLookupRequested],
    site: Site,
    inputs: Values,
    input_path: str,
) -> None:
    decision.emit(
        event(
            occurred_at_us=decision.now_us,
            site=site.to_message(),
            inputs=inputs,
            input_path=input_path,
        )
    )

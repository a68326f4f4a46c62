"""Recovery: what an execution leaves to the one that recovers it (ref §9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from flyteidl.admin import execution_pb2
from immutables import Map
from msgspec.structs import replace

from schemas import events as e
from schemas.ids import (
    AttemptRef,
    CatalogKey,
    ExecutionRef,
    checkpoint_path,
    raw_output_prefix,
)
from schemas.values import NO_VALUES, Values


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node that succeeded, or of use to one that didn't.

    That is its child, or where its last attempt kept what it had done.
    """

    site: e.NodeSite
    succeeded: bool = False
    inputs: Values = NO_VALUES
    input_path: str = ""
    outputs: Values = NO_VALUES
    deck_uri: str = ""
    child: ExecutionRef | None = None
    checkpoint: str = ""
    cache_status: str = ""
    catalog: CatalogKey | None = None
    source: AttemptRef | None = None

    @property
    def is_of_use(self) -> bool:
        """Tell whether a recovery takes anything of the node over."""
        return self.succeeded or self.child is not None or bool(self.checkpoint)


Recovery = Mapping[str, Saved]
"""What may be taken over, by the nodes' unique ids."""
NOTHING_SAVED: Recovery = Map()


def raw_outputs(spec: bytes) -> str:
    """Return below which prefix an execution's tasks put raw outputs."""
    found = execution_pb2.ExecutionSpec.FromString(spec)
    return found.raw_output_data_config.output_location_prefix or "raw"


def saved(
    facts: Iterable[e.ExecutionEvent], before: Recovery = NOTHING_SAVED
) -> Recovery:
    """Return what an execution's facts leave.

    `before` is what the execution had itself been given to recover: it may have ended
    before it came to take all of that over.
    """
    found: dict[str, Saved] = {}
    raw = ""
    for fact in facts:
        if isinstance(fact, e.ExecutionCreated):
            raw = raw_outputs(fact.spec)
        elif isinstance(fact, e.TaskQueued):
            prefix = raw_output_prefix(raw, fact.generated_name)
            _change(found, fact.node_id, checkpoint=checkpoint_path(prefix))
        else:
            _note(found, fact)
    useful = {node_id: node for node_id, node in found.items() if node.is_of_use}
    for node_id, node in before.items():
        newer = useful.get(node_id)
        if newer is None or (node.succeeded and not newer.succeeded):
            useful[node_id] = node
    return useful


def _note(found: dict[str, Saved], fact: Any) -> None:
    match fact:
        case e.NodeQueued(site=site):
            found[site.node_id] = replace(
                found.get(site.node_id) or Saved(site=site),
                inputs=fact.inputs,
                input_path=fact.input_path,
            )
        case e.ChildRequested():
            _change(found, fact.node_id, child=fact.child)
        case e.CacheLookedUp():
            _change(
                found,
                fact.node_id,
                cache_status=fact.status,
                catalog=fact.key,
                source=fact.source,
            )
        case e.CachePopulated():
            _change(found, fact.node_id, cache_status="POPULATED")
        case e.CachePutFailed():
            _change(found, fact.node_id, cache_status="PUT_FAILURE")
        case e.NodeSucceeded():
            _change(
                found,
                fact.node_id,
                succeeded=True,
                outputs=fact.outputs,
                deck_uri=fact.deck_uri,
            )
        case e.NodeRecovered(site=site):
            found[site.node_id] = Saved(
                site=site,
                succeeded=True,
                inputs=fact.inputs,
                input_path=fact.input_path,
                outputs=fact.outputs,
                deck_uri=fact.deck_uri,
                child=fact.child,
                cache_status=fact.cache_status,
                catalog=fact.catalog,
                source=fact.source,
            )
        case _:
            pass


def _change(found: dict[str, Saved], node_id: str, **fields: Any) -> None:
    found[node_id] = replace(found[node_id], **fields)

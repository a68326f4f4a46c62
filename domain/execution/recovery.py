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


Path = tuple[str, ...]
"""A node's ids in compiled workflows, after those of all that it lies in.

Other than a unique id it doesn't tell attempts apart.
"""
Recovery = Mapping[Path, Saved]
"""What may be taken over, by the nodes' paths."""
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
    notes = _Notes()
    for fact in facts:
        notes.take(fact)
    useful = {path: node for path, node in notes.found.items() if node.is_of_use}
    for path, node in before.items():
        newer = useful.get(path)
        if newer is None or (node.succeeded and not newer.succeeded):
            useful[path] = node
    return useful


class _Notes:
    """What the facts taken so far tell of each node."""

    def __init__(self) -> None:
        self.found: dict[Path, Saved] = {}
        self._paths: dict[str, Path] = {}
        self._raw = ""

    def take(self, fact: Any) -> None:
        """Take one fact up."""
        match fact:
            case e.ExecutionCreated():
                self._raw = raw_outputs(fact.spec)
            case e.NodeQueued(site=site):
                self._put(
                    Saved(site=site, inputs=fact.inputs, input_path=fact.input_path)
                )
            case e.NodeRecovered():
                self._put(_repeated(fact))
            case e.TaskQueued():
                prefix = raw_output_prefix(self._raw, fact.generated_name)
                self._change(fact.node_id, checkpoint=checkpoint_path(prefix))
            case e.ChildRequested():
                self._change(fact.node_id, child=fact.child)
            case e.CacheLookedUp():
                self._change(
                    fact.node_id,
                    cache_status=fact.status,
                    catalog=fact.key,
                    source=fact.source,
                )
            case e.CachePopulated():
                self._change(fact.node_id, cache_status="POPULATED")
            case e.CachePutFailed():
                self._change(fact.node_id, cache_status="PUT_FAILURE")
            case e.NodeSucceeded():
                self._change(
                    fact.node_id,
                    succeeded=True,
                    outputs=fact.outputs,
                    deck_uri=fact.deck_uri,
                )
            case _:
                pass

    def _put(self, node: Saved) -> None:
        site = node.site
        above = self._paths[site.parent_id] if site.parent_id else ()
        self._paths[site.node_id] = path = (*above, site.spec_node_id)
        self.found[path] = node

    def _change(self, node_id: str, **fields: Any) -> None:
        path = self._paths[node_id]
        self.found[path] = replace(self.found[path], **fields)


def _repeated(fact: e.NodeRecovered) -> Saved:
    """Return what was known of a node when it was recovered."""
    return Saved(
        site=fact.site,
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

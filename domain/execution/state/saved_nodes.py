"""Recovery: what an execution leaves to the one that recovers it (ref §9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from flyteidl.admin import execution_pb2
from immutables import Map
from msgspec.structs import replace

from schemas import sites
from schemas.ids import (
    AttemptRef,
    CatalogKey,
    EntityRef,
    ExecutionRef,
    checkpoint_path,
    node_unique_id,
    raw_output_prefix,
)
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.values import NO_VALUES, Blob, Values


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a dynamic node's task made: a workflow, compiled, and its spec."""

    workflow: EntityRef
    inside: Blob
    spec_uri: str


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node that succeeded, or of use to one that didn't.

    That is its child, where its last attempt kept what it had done, or the workflow
    that its task had made.
    """

    site: sites.NodeSite
    succeeded: bool = False
    inputs: Values = NO_VALUES
    input_path: str = ""
    outputs: Values = NO_VALUES
    deck_uri: str = ""
    child: ExecutionRef | None = None
    checkpoint: str = ""
    made: Made | None = None
    cache_status: str = ""
    catalog: CatalogKey | None = None
    source: AttemptRef | None = None

    @property
    def is_of_use(self) -> bool:
        """Tell whether a recovery takes anything of the node over."""
        return self.succeeded or bool(self.child or self.checkpoint or self.made)


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
    events: Iterable[e.ExecutionEvent], before: Recovery = NOTHING_SAVED
) -> Recovery:
    """Return what an execution's events leave.

    `before` is what the execution had itself been given to recover: it may have ended
    before it came to take all of that over.
    """
    notes = _Notes()
    for event in events:
        notes.take(event)
    useful = {path: node for path, node in notes.found.items() if node.is_of_use}
    remade = {
        path
        for path, node in useful.items()
        if node.made and path in before and before[path].made != node.made
    }
    for path, node in before.items():
        newer = useful.get(path)
        if any(path[:length] in remade for length in range(1, len(path))):
            continue
        if newer is None or (node.succeeded and not newer.succeeded):
            useful[path] = node
    return useful


def unique_id(path: Path) -> str:
    """Return a node's id in an execution in which all around it succeeds at once."""
    found = ""
    for part in path:
        found = node_unique_id(found, 0, part)
    return found


class _Notes:
    """What the events taken so far tell of each node."""

    def __init__(self) -> None:
        self.found: dict[Path, Saved] = {}
        self._paths: dict[str, Path] = {}
        self._raw = ""

    def take(self, event: Any) -> None:
        """Take one event up."""
        match event:
            case e.ExecutionCreated():
                self._raw = raw_outputs(event.spec)
            case ne.NodeQueued(site=site):
                self._put(
                    Saved(site=site, inputs=event.inputs, input_path=event.input_path)
                )
            case ne.NodeRecovered():
                self._put(_repeated(event))
            case ne.TaskQueued():
                prefix = raw_output_prefix(self._raw, event.generated_name)
                self._change(event.node_id, checkpoint=checkpoint_path(prefix))
            case ne.NodeExpanded():
                self._expand(event)
            case ne.ChildRequested():
                self._change(event.node_id, child=event.child)
            case ne.CacheLookedUp():
                self._change(
                    event.node_id,
                    cache_status=event.status,
                    catalog=event.key,
                    source=event.source,
                )
            case ne.CachePopulated():
                self._change(event.node_id, cache_status="POPULATED")
            case ne.CachePutFailed():
                self._change(event.node_id, cache_status="PUT_FAILURE")
            case ne.NodeSucceeded():
                self._change(
                    event.node_id,
                    succeeded=True,
                    outputs=event.outputs,
                    deck_uri=event.deck_uri,
                )
            case _:
                pass

    def _put(self, node: Saved) -> None:
        site = node.site
        above = self._paths[site.parent_id] if site.parent_id else ()
        self._paths[site.node_id] = path = (*above, site.spec_node_id)
        self.found[path] = node

    def _expand(self, event: ne.NodeExpanded) -> None:
        """Note what a task made; what an attempt before made is of no use then."""
        path = self._paths[event.node_id]
        inside = [p for p in self.found if p[: len(path)] == path and p != path]
        for stale in inside:
            del self.found[stale]
        made = Made(
            workflow=event.workflow, inside=event.inside, spec_uri=event.spec_uri
        )
        self._change(event.node_id, made=made)

    def _change(self, node_id: str, **fields: Any) -> None:
        path = self._paths[node_id]
        self.found[path] = replace(self.found[path], **fields)


def _repeated(event: ne.NodeRecovered) -> Saved:
    """Return what was known of a node when it was recovered."""
    return Saved(
        site=event.site,
        succeeded=True,
        inputs=event.inputs,
        input_path=event.input_path,
        outputs=event.outputs,
        deck_uri=event.deck_uri,
        child=event.child,
        cache_status=event.cache_status,
        catalog=event.catalog,
        source=event.source,
    )

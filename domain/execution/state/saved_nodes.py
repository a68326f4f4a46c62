"""Saved nodes: what an execution leaves to one that recovers it (ref §9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec
from flyteidl.admin import execution_pb2
from immutables import Map
from msgspec.structs import replace

from schemas.ids import (
    AttemptRef,
    CatalogKey,
    EntityRef,
    ExecutionRef,
    checkpoint_path,
    node_unique_id,
)
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.paths import raw_outputs
from schemas.phases import CacheStatus
from schemas.sites import NodeSite
from schemas.values import NO_VALUES, Blob, Values


class DynamicWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """The compiled workflow that a dynamic node's task returned, and its spec."""

    workflow: EntityRef
    closure: Blob
    spec_uri: str


class SavedNode(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node that succeeded, or may be reused of one that didn't.

    The latter are its child, the checkpoint of its last attempt, and the workflow that
    its task returned. `checkpoint` is a folder's path, '' for none.
    """

    site: NodeSite
    succeeded: bool = False
    inputs: Values = NO_VALUES
    input_path: str = ""
    outputs: Values = NO_VALUES
    deck_uri: str = ""
    child: ExecutionRef | None = None
    checkpoint: str = ""
    dynamic_workflow: DynamicWorkflow | None = None
    cache_status: CacheStatus | None = None
    catalog: CatalogKey | None = None
    source: AttemptRef | None = None

    @property
    def is_reusable(self) -> bool:
        """Return whether a recovery reuses anything of the node."""
        left = self.child or self.checkpoint or self.dynamic_workflow
        return self.succeeded or bool(left)


Path = tuple[str, ...]
"""The ids of a node and of all that contain it, outermost first, in compiled workflows.

Unlike a unique id, it is the same for all attempts.
"""
Recovery = Mapping[Path, SavedNode]
"""What may be reused, by the nodes' paths."""
NOTHING_SAVED: Recovery = Map()


def attempt_raw_outputs(
    created: e.ExecutionCreated, event: ne.TaskQueued | ne.ArrayStarted
) -> str:
    """Return the prefix of an attempt's raw outputs, by the events that began it."""
    base, execution, rules = _raw_base(created.spec), created.execution, created.rules
    name = event.generated_name
    return raw_outputs(base, execution, event.node_id, event.attempt, name, rules)


@lru_cache(maxsize=16)
def _raw_base(spec: bytes) -> str:
    """Return the prefix of all raw outputs in a serialized admin.ExecutionSpec."""
    found = execution_pb2.ExecutionSpec.FromString(spec)
    return found.raw_output_data_config.output_location_prefix or "raw"


def saved_nodes(
    events: Iterable[e.ExecutionEvent], before: Recovery = NOTHING_SAVED
) -> Recovery:
    """Return what an execution's events leave.

    `before` is what the execution was itself given to recover: it may have ended before
    it could reuse all of that.
    """
    collector = _Collector()
    for event in events:
        collector.collect(event)
    found = {path: node for path, node in collector.nodes.items() if node.is_reusable}
    replaced = {
        path
        for path, node in found.items()
        if node.dynamic_workflow
        and path in before
        and before[path].dynamic_workflow != node.dynamic_workflow
    }
    for path, node in before.items():
        newer = found.get(path)
        if any(path[:length] in replaced for length in range(1, len(path))):
            continue
        if newer is None or (node.succeeded and not newer.succeeded):
            found[path] = node
    return found


def unique_id(path: Path) -> str:
    """Return a node's id where all that contains it succeeds at the first try."""
    found = ""
    for part in path:
        found = node_unique_id(found, 0, part)
    return found


class _Collector:
    """What the events so far say of each node."""

    def __init__(self) -> None:
        self.nodes: dict[Path, SavedNode] = {}
        self._paths: dict[str, Path] = {}
        self._created: e.ExecutionCreated | None = None

    def collect(self, event: e.ExecutionEvent) -> None:
        """Note what one event says."""
        match event:
            case e.ExecutionCreated():
                self._created = event
            case ne.NodeQueued():
                self._put(
                    SavedNode(
                        site=event.site,
                        inputs=event.inputs,
                        input_path=event.input_path,
                    )
                )
            case ne.NodeRecovered():
                self._put(_recovered(event))
            case ne.TaskQueued():
                path = self._paths[event.node_id]
                assert self._created is not None  # noqa: S101 - it is the first event
                checkpoint = checkpoint_path(attempt_raw_outputs(self._created, event))
                self.nodes[path] = replace(self.nodes[path], checkpoint=checkpoint)
            case ne.NodeExpanded():
                self._expand(event)
            case (
                ne.ChildRequested()
                | ne.CacheLookedUp()
                | ne.CachePopulated()
                | ne.CachePutFailed()
                | ne.NodeSucceeded()
            ):
                path = self._paths[event.node_id]
                self.nodes[path] = _changed(self.nodes[path], event)
            case _:
                pass

    def _put(self, node: SavedNode) -> None:
        site = node.site
        above = self._paths[site.parent_id] if site.parent_id else ()
        self._paths[site.node_id] = path = (*above, site.spec_node_id)
        self.nodes[path] = node

    def _expand(self, event: ne.NodeExpanded) -> None:
        """Set what a task returned; what ran for an earlier attempt can't be reused."""
        path = self._paths[event.node_id]
        stale = [p for p in self.nodes if p[: len(path)] == path and p != path]
        for inner in stale:
            del self.nodes[inner]
        workflow = DynamicWorkflow(
            workflow=event.workflow, closure=event.inside, spec_uri=event.spec_uri
        )
        self.nodes[path] = replace(self.nodes[path], dynamic_workflow=workflow)


def _recovered(event: ne.NodeRecovered) -> SavedNode:
    """Return what was known of a node when it was recovered."""
    status = CacheStatus(event.cache_status) if event.cache_status else None
    return SavedNode(
        site=event.site,
        succeeded=True,
        inputs=event.inputs,
        input_path=event.input_path,
        outputs=event.outputs,
        deck_uri=event.deck_uri,
        child=event.child,
        cache_status=status,
        catalog=event.catalog,
        source=event.source,
    )


def _changed(
    node: SavedNode,
    event: (
        ne.ChildRequested
        | ne.CacheLookedUp
        | ne.CachePopulated
        | ne.CachePutFailed
        | ne.NodeSucceeded
    ),
) -> SavedNode:
    match event:
        case ne.ChildRequested():
            return replace(node, child=event.child)
        case ne.CacheLookedUp():
            return replace(
                node,
                cache_status=CacheStatus(event.status),
                catalog=event.key,
                source=event.source,
            )
        case ne.CachePopulated():
            return replace(node, cache_status=CacheStatus.POPULATED)
        case ne.CachePutFailed():
            return replace(node, cache_status=CacheStatus.PUT_FAILURE)
        case ne.NodeSucceeded():
            return replace(
                node, succeeded=True, outputs=event.outputs, deck_uri=event.deck_uri
            )

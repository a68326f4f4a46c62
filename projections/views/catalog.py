"""What events change in the catalog, and what nodes tell of it; pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from projections.views.changes import Apply, Changes, pack
from schemas.envelope import Envelope
from schemas.ids import (
    AttemptRef,
    CatalogKey,
    attempt_id,
    execution_of,
    execution_stream,
)
from schemas.messages import node_events as ne


def columns_of(key: CatalogKey) -> tuple[str, ...]:
    """Return a key as columns, in the order of its fields."""
    return key.project, key.domain, key.name, key.version, key.tag


def owner_of(stream: str, node_id: str) -> str:
    """Return the name under which a node reserves outputs."""
    return f"{stream}/{node_id}"


def _not_shown(_c: Changes, _v: Envelope, _m: Any, _at: datetime) -> None:
    """Leave the views as they are: this event isn't visible through the API."""


def _looked_up(c: Changes, v: Envelope, m: ne.CacheLookedUp, at: datetime) -> None:
    c.nodes.set(
        (v.stream, m.node_id),
        cache_status=m.status,
        catalog_key=pack(m.key),
        catalog_source=pack(m.source) if m.source else None,
        reservation_status=m.reservation,
        updated_at=at,
    )
    if m.source is not None:
        c.cache_uses.append((v.stream, execution_stream(m.source.execution)))


def _populated(c: Changes, v: Envelope, m: ne.CachePopulated, at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), cache_status="POPULATED")
    source = AttemptRef(
        execution=execution_of(v.stream),
        node_id=m.node_id,
        attempt=m.attempt,
        task=m.task,
    )
    source_id = attempt_id(v.stream, m.node_id, m.attempt)
    key = columns_of(m.key)
    known = c.catalog.get(key)
    if known is None or (known[-1], known[-2]) <= (at, source_id):
        c.catalog[key] = (*key, pack(m.outputs), pack(source), source_id, at)
    c.released.append((*key, owner_of(v.stream, m.node_id)))


def _put_failed(c: Changes, v: Envelope, m: ne.CachePutFailed, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), cache_status="PUT_FAILURE")


APPLY: dict[type, Apply] = {
    ne.CacheLookupRequested: _not_shown,
    ne.CacheLookedUp: _looked_up,
    ne.CachePopulated: _populated,
    ne.CachePutFailed: _put_failed,
}

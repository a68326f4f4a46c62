"""What events change in the catalog, and in the cache status of nodes; pure."""

from __future__ import annotations

from datetime import datetime

from projections.rows import CacheUseRow, CatalogRow
from projections.views.changes import Changes, not_shown, on
from schemas.envelope import Envelope
from schemas.ids import AttemptRef, attempt_id, execution_of, execution_stream
from schemas.messages import node_events as ne
from schemas.phases import CacheStatus, ReservationStatus


def owner_of(stream: str, node_id: str) -> str:
    """Return the name under which a node reserves outputs."""
    return f"{stream}/{node_id}"


def _looked_up(c: Changes, v: Envelope, m: ne.CacheLookedUp, at: datetime) -> None:
    c.nodes.set(
        v.stream,
        m.node_id,
        cache_status=CacheStatus(m.status),
        catalog_key=m.key,
        catalog_source=m.source,
        reservation_status=ReservationStatus(m.reservation),
        updated_at=at,
    )
    if m.source is not None:
        used = execution_stream(m.source.execution)
        c.cache_uses.append(CacheUseRow(stream=v.stream, source_stream=used))


def _populated(c: Changes, v: Envelope, m: ne.CachePopulated, at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, cache_status=CacheStatus.POPULATED)
    row = CatalogRow(
        project=m.key.project,
        domain=m.key.domain,
        name=m.key.name,
        version=m.key.version,
        tag=m.key.tag,
        outputs=m.outputs,
        source=AttemptRef(
            execution=execution_of(v.stream),
            node_id=m.node_id,
            attempt=m.attempt,
            task=m.task,
        ),
        source_id=attempt_id(v.stream, m.node_id, m.attempt),
        created_at=at,
    )
    known = c.catalog.get(m.key)
    if known is None or _age(known) <= _age(row):
        c.catalog[m.key] = row
    c.released.append((m.key, owner_of(v.stream, m.node_id)))


def _age(row: CatalogRow) -> tuple[datetime, str]:
    """Return what the newest row has the most of, as the catalog's table has it."""
    return row.created_at, row.source_id


def _put_failed(c: Changes, v: Envelope, m: ne.CachePutFailed, _at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, cache_status=CacheStatus.PUT_FAILURE)


APPLY = dict(
    [
        on(ne.CacheLookupRequested, not_shown),
        on(ne.CacheLookedUp, _looked_up),
        on(ne.CachePopulated, _populated),
        on(ne.CachePutFailed, _put_failed),
    ]
)

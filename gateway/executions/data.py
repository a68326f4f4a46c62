"""Values on their way out: whole up to a limit, by signed link above it (ref §12)."""

from __future__ import annotations

from typing import Any

from gateway.services.container import Services
from infra.blobs.files import BlobNotFoundError
from infra.blobs.signing import Grant
from schemas.values import Values

SECOND_US = 1_000_000


async def load(services: Services, values: Values, limit: int | None = None) -> bytes:
    """Return a serialized LiteralMap; raises BlobNotFound, BlobTooLarge."""
    if values.inline is not None:
        return values.inline
    return await services.blobs.get(values.uri, limit)


async def fill(
    services: Services, reply: Any, inputs: Values | None, outputs: Values | None
) -> None:
    """Fill a data reply: `full_…` up to a limit for all, links for whatever is a blob.

    Clients take messages up to a size, so that outputs and inputs share the limit.
    """
    left = services.settings.gateway.data_bytes_max
    for values, blob, full in (
        (outputs, reply.outputs, reply.full_outputs),
        (inputs, reply.inputs, reply.full_inputs),
    ):
        if values is None:
            continue
        size = await _size(services, values)
        if values.uri:
            blob.bytes = size
            blob.url = link(services, values.uri)
        if size <= left:
            full.ParseFromString(await load(services, values))
            left -= size


async def _size(services: Services, values: Values) -> int:
    if values.inline is not None:
        return len(values.inline)
    if values.size:
        return values.size
    size = await services.blobs.size(values.uri)
    if size is None:
        raise BlobNotFoundError(f"Expected values at {values.uri}, but there are none")
    return size


def link(services: Services, uri: str, lifetime_s: int | None = None) -> str:
    """Return a link to get a blob; good for as long as settings say, or shorter."""
    expires_at_us = expiry(services, lifetime_s)
    return services.links.url(Grant(method="GET", uri=uri, expires_at_us=expires_at_us))


def expiry(services: Services, lifetime_s: int | None = None) -> int:
    """Return when a link made now ends, in microseconds since 1970."""
    limit_s = services.settings.gateway.signed_url_ttl_s
    lifetime_s = min(lifetime_s or limit_s, limit_s)
    return services.clock.now_us() + lifetime_s * SECOND_US

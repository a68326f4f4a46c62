"""Inputs and outputs in replies: included up to a limit, linked above it (ref §12)."""

from __future__ import annotations

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2

from gateway.services.container import Services
from infra.blobs.files import BlobNotFoundError
from infra.blobs.signing import Grant
from schemas.values import Values

SECOND_US = 1_000_000

DataReply = (
    execution_pb2.WorkflowExecutionGetDataResponse
    | node_execution_pb2.NodeExecutionGetDataResponse
    | task_execution_pb2.TaskExecutionGetDataResponse
)


async def load_literals(
    services: Services, values: Values, bytes_max: int | None = None
) -> bytes:
    """Return a serialized LiteralMap; raises BlobNotFoundError, BlobTooLargeError."""
    if values.inline is not None:
        return values.inline
    return await services.blobs.get(values.uri, bytes_max)


async def fill_reply(
    services: Services,
    reply: DataReply,
    *,
    inputs: Values | None,
    outputs: Values | None,
) -> None:
    """Fill a data reply: a link for each blob, and `full_…` for what isn't too large.

    Clients limit the size of messages, so outputs and inputs share one limit.
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
            blob.url = download_link(services, values.uri, link_expiry(services))
        if size <= left:
            full.ParseFromString(await load_literals(services, values))
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


def download_link(services: Services, uri: str, expires_at_us: int) -> str:
    """Return a signed link to get a blob until a time."""
    return services.links.url(Grant(method="GET", uri=uri, expires_at_us=expires_at_us))


def link_expiry(services: Services) -> int:
    """Return when a link issued now expires by default, in µs since 1970."""
    ttl_s = services.settings.gateway.signed_url_ttl_s
    return services.clock.now_us() + ttl_s * SECOND_US

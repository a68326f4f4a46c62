"""Resolves inputs whose sources lie in the blob store, and reports them."""

from __future__ import annotations

import hashlib
from typing import Any

from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from domain.arrays import size_of
from domain.binding import resolve
from domain.offloading import in_the_way, is_offloaded, read_whole
from infra.blobs import BlobNotFound, Blobs
from schemas.commands import ReportInputsResolved, ReportResolutionFailed
from schemas.dispatches import ResolveInputs
from schemas.values import Failure, Values

Report = ReportInputsResolved | ReportResolutionFailed


async def resolve_inputs(
    dispatch: ResolveInputs, blobs: Blobs, inline_limit: int
) -> Report:
    """Return the report on a node's inputs; large ones are written as a blob."""
    try:
        sources = {s.node_id: await _load(s.values, blobs) for s in dispatch.sources}
        bindings = [literals_pb2.Binding.FromString(b) for b in dispatch.bindings]
        while offloaded := in_the_way(bindings, sources):
            await _read(offloaded, blobs)
    except (BlobNotFound, DecodeError) as error:
        message = f"Expected to read what the node takes its inputs from, but: {error}"
        return _failed(dispatch, message)
    resolved = resolve(bindings, sources)
    if isinstance(resolved, Failure):
        return _refused(dispatch, resolved)
    try:
        await _read(read_whole(resolved, _names_read_whole(dispatch, resolved)), blobs)
    except (BlobNotFound, DecodeError) as error:
        return _failed(dispatch, f"Expected to read what was put aside, but: {error}")
    size: int | Failure = -1
    if dispatch.array is not None:
        size = size_of(resolved, dispatch.array.bound)
        inline_limit = min(inline_limit, dispatch.array.inline_max)
    if isinstance(size, Failure):
        return _refused(dispatch, size)
    operands = literals_pb2.LiteralMap(
        literals={
            name: resolved.literals[name]
            for name in dispatch.operands
            if name in resolved.literals
        }
    )
    return ReportInputsResolved(
        node_id=dispatch.node_id,
        attempt=dispatch.attempt,
        inputs=await _keep(resolved, dispatch, blobs, inline_limit),
        operands=operands.SerializeToString(deterministic=True),
        size=size,
    )


async def _keep(
    resolved: Any, dispatch: ResolveInputs, blobs: Blobs, inline_limit: int
) -> Values:
    data = resolved.SerializeToString(deterministic=True)
    if len(data) <= inline_limit:
        digest = hashlib.sha256(data).hexdigest()
        return Values(inline=data, digest=digest, size=len(data))
    blob = await blobs.put(blobs.uri(dispatch.input_path), data)
    return Values(uri=blob.uri, digest=blob.digest, size=blob.size)


async def _load(values: Values, blobs: Blobs) -> Any:
    data = values.inline
    if data is None:
        data = await blobs.get(values.uri)
    return literals_pb2.LiteralMap.FromString(data)


async def _read(offloaded: list[Any], blobs: Blobs) -> None:
    """Fill literals in place with what their blobs hold."""
    for literal in offloaded:
        if not is_offloaded(literal):
            continue  # named twice, and read already
        data = await blobs.get(literal.offloaded_metadata.uri)
        known_hash = literal.hash
        literal.ParseFromString(data)
        literal.hash = literal.hash or known_hash


def _names_read_whole(dispatch: ResolveInputs, resolved: Any) -> tuple[str, ...]:
    if dispatch.array is None:
        return dispatch.operands
    return tuple(name for name in resolved.literals if name not in dispatch.array.bound)


def _refused(dispatch: ResolveInputs, failure: Failure) -> ReportResolutionFailed:
    return ReportResolutionFailed(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )


def _failed(dispatch: ResolveInputs, message: str) -> ReportResolutionFailed:
    failure = Failure(code="BindingResolutionFailure", message=message, kind="SYSTEM")
    return ReportResolutionFailed(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )

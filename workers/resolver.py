"""Resolves inputs whose sources lie in the blob store, and reports them."""

from __future__ import annotations

import hashlib
from typing import Any

from flyteidl.core import literals_pb2

from domain.binding import resolve
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
    except BlobNotFound as error:
        return _failed(dispatch, Failure(
            code="BindingResolutionFailure", message=str(error), kind="SYSTEM"
        ))  # fmt: skip
    bindings = [literals_pb2.Binding.FromString(b) for b in dispatch.bindings]
    resolved = resolve(bindings, sources)
    if isinstance(resolved, Failure):
        return _failed(dispatch, resolved)
    data = resolved.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) <= inline_limit:
        inputs = Values(inline=data, digest=digest, size=len(data))
    else:
        blob = await blobs.put(blobs.uri(dispatch.input_path), data)
        inputs = Values(uri=blob.uri, digest=digest, size=len(data))
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
        inputs=inputs,
        operands=operands.SerializeToString(deterministic=True),
    )


async def _load(values: Values, blobs: Blobs) -> Any:
    data = values.inline
    if data is None:
        data = await blobs.get(values.uri)
    return literals_pb2.LiteralMap.FromString(data)


def _failed(dispatch: ResolveInputs, failure: Failure) -> ReportResolutionFailed:
    return ReportResolutionFailed(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )

"""Resolves inputs whose sources lie in the blob store, and reports them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from domain.literals.array_values import size_of
from domain.literals.bindings import START, resolve
from domain.literals.offloading import in_the_way, is_offloaded, read_whole
from infra.blobs.files import BlobNotFoundError, Blobs
from schemas.messages.commands import ReportInputsResolved, ReportResolutionFailed
from schemas.messages.dispatches import ResolveInputs
from schemas.values import Failure, Values
from workers.plugins.plugin import interrupted
from workers.runner.literal_cache import LiteralMapCache

log_ = structlog.get_logger(__name__)

_UNREAD = "Expected to read what the node takes its inputs from"
Report = ReportInputsResolved | ReportResolutionFailed


@dataclass(frozen=True, slots=True)
class Resolver:
    """Answers each dispatch; what elements take a part of is read once for all."""

    blobs: Blobs
    inline_limit: int
    literal_maps: LiteralMapCache

    async def answer(self, dispatch: ResolveInputs) -> Report:
        """Return the report on a node's inputs, also where the unexpected happens."""
        try:
            return await self._resolve(dispatch)
        except Exception as error:
            log_.exception("resolution_failed", node=dispatch.node_id)
            message = f"Expected to carry the work out, but: {error!r}"
            return _refused(dispatch, interrupted("PluginFailure", message).failure)

    async def _resolve(self, dispatch: ResolveInputs) -> Report:
        literal_maps = self.literal_maps if _takes_a_part(dispatch) else None
        try:
            sources = {
                source.node_id: await _load(source.values, self.blobs, literal_maps)
                for source in dispatch.sources
            }
        except (BlobNotFoundError, DecodeError) as error:
            return _failed(dispatch, f"{_UNREAD}, but: {error}")
        return await _resolve_from(dispatch, sources, self.blobs, self.inline_limit)


def _takes_a_part(dispatch: ResolveInputs) -> bool:
    """Tell whether this is an element that is given its own items of an array's."""
    return dispatch.array is None and [s.node_id for s in dispatch.sources] == [START]


async def _resolve_from(
    dispatch: ResolveInputs,
    sources: Mapping[str, Any],
    blobs: Blobs,
    inline_limit: int,
) -> Report:
    """Return the report on a node's inputs; large ones are written as a blob."""
    try:
        bindings = [literals_pb2.Binding.FromString(b) for b in dispatch.bindings]
        while offloaded := in_the_way(bindings, sources):
            await _read(offloaded, blobs)
    except (BlobNotFoundError, DecodeError) as error:
        return _failed(dispatch, f"{_UNREAD}, but: {error}")
    resolved = resolve(bindings, sources)
    if isinstance(resolved, Failure):
        return _refused(dispatch, resolved)
    try:
        await _read(read_whole(resolved, _names_read_whole(dispatch, resolved)), blobs)
    except (BlobNotFoundError, DecodeError) as error:
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


async def _load(
    values: Values, blobs: Blobs, literal_maps: LiteralMapCache | None
) -> Any:
    data = values.inline
    if data is None and literal_maps is not None:
        return await literal_maps.read(values.uri)
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

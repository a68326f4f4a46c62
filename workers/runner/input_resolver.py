"""Input resolution: a node's inputs, where sources are in the blob store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from flyteidl.core import interface_pb2, literals_pb2
from google.protobuf.message import DecodeError

from domain.graph import START
from domain.literals.array_values import array_size
from domain.literals.bindings import resolve
from domain.literals.dataclass_times import restore
from domain.literals.offloading import (
    is_offloaded,
    offloaded_in_promises,
    offloaded_inputs,
)
from infra.blobs.files import BlobNotFoundError, Blobs
from schemas.messages.commands import ReportInputsResolved, ReportResolutionFailed
from schemas.messages.dispatches import ResolveInputs
from schemas.values import ErrorKind, Failure, Values
from workers.plugins.outputs import inline_values
from workers.plugins.plugin import inline_max, unexpected_failure
from workers.runner.literal_cache import LiteralMapCache
from workers.runner.reports import resolution_failed

log_ = structlog.get_logger(__name__)

Report = ReportInputsResolved | ReportResolutionFailed
_NO_ARRAY = -1
"""The size in the report on a node that is no array."""


@dataclass(frozen=True, slots=True)
class InputResolver:
    """Resolves inputs; the elements of an array share the read of its lists."""

    blobs: Blobs
    inline_limit: int
    literal_maps: LiteralMapCache

    async def resolve(self, dispatch: ResolveInputs) -> Report:
        """Return the report on a node's inputs, also after unexpected errors."""
        try:
            return await self._report(dispatch)
        except Exception as error:
            log_.exception("resolution_failed", node=dispatch.node_id)
            return resolution_failed(dispatch, unexpected_failure(error).failure)

    async def _report(self, dispatch: ResolveInputs) -> Report:
        try:
            resolved = await self._resolve(dispatch)
        except (BlobNotFoundError, DecodeError) as error:
            return _unreadable(dispatch, f"Cannot read the inputs' sources: {error}")
        if isinstance(resolved, Failure):
            return resolution_failed(dispatch, resolved)
        try:
            names = _inspected_names(dispatch, resolved)
            await self._read_offloaded(offloaded_inputs(resolved, names))
        except (BlobNotFoundError, DecodeError) as error:
            return _unreadable(dispatch, f"Cannot read offloaded inputs: {error}")
        size = None
        if dispatch.array is not None:
            size = array_size(resolved, dispatch.array.bound)
        if isinstance(size, Failure):
            return resolution_failed(dispatch, size)
        return ReportInputsResolved(
            node_id=dispatch.node_id,
            attempt=dispatch.attempt,
            inputs=await self._store(resolved, dispatch),
            operands=_operands(dispatch, resolved),
            size=_NO_ARRAY if size is None else size,
        )

    async def _resolve(
        self, dispatch: ResolveInputs
    ) -> literals_pb2.LiteralMap | Failure:
        literal_maps = self.literal_maps if _is_element(dispatch) else None
        sources: Mapping[str, literals_pb2.LiteralMap] = {
            source.node_id: await self._load(source.values, literal_maps)
            for source in dispatch.sources
        }
        bindings = [literals_pb2.Binding.FromString(b) for b in dispatch.bindings]
        while offloaded := offloaded_in_promises(bindings, sources):
            await self._read_offloaded(offloaded)
        resolved = resolve(bindings, sources)
        if dispatch.times and not isinstance(resolved, Failure):
            times = interface_pb2.VariableMap.FromString(dispatch.times)
            restore(resolved, times.variables)
        return resolved

    async def _load(
        self, values: Values, literal_maps: LiteralMapCache | None
    ) -> literals_pb2.LiteralMap:
        data = values.inline
        if data is None and literal_maps is not None:
            return await literal_maps.read(values.uri)
        if data is None:
            data = await self.blobs.get(values.uri)
        return literals_pb2.LiteralMap.FromString(data)

    async def _read_offloaded(self, literals: Iterable[literals_pb2.Literal]) -> None:
        """Replace literals in place by those in their blobs."""
        for literal in literals:
            if not is_offloaded(literal):
                continue  # it is listed twice, and was read already
            data = await self.blobs.get(literal.offloaded_metadata.uri)
            known_hash = literal.hash
            literal.ParseFromString(data)
            literal.hash = literal.hash or known_hash

    async def _store(
        self, resolved: literals_pb2.LiteralMap, dispatch: ResolveInputs
    ) -> Values:
        """Return the inputs: inline, or as a blob if they are large."""
        limit = inline_max(dispatch, self.inline_limit)
        if dispatch.array is not None:
            limit = min(limit, dispatch.array.inline_max)
        data = resolved.SerializeToString(deterministic=True)
        if len(data) <= limit:
            return inline_values(data)
        blob = await self.blobs.put(self.blobs.uri(dispatch.input_path), data)
        return Values(uri=blob.uri, digest=blob.digest, size=blob.size)


def _is_element(dispatch: ResolveInputs) -> bool:
    """Return whether this is an element that gets items of its array's lists."""
    return dispatch.array is None and [s.node_id for s in dispatch.sources] == [START]


def _inspected_names(
    dispatch: ResolveInputs, resolved: literals_pb2.LiteralMap
) -> tuple[str, ...]:
    """Return the inputs whose values the engine reads, offloaded or not."""
    if dispatch.array is None:
        return dispatch.operands
    return tuple(name for name in resolved.literals if name not in dispatch.array.bound)


def _operands(dispatch: ResolveInputs, resolved: literals_pb2.LiteralMap) -> bytes:
    literals = {
        name: resolved.literals[name]
        for name in dispatch.operands
        if name in resolved.literals
    }
    operands = literals_pb2.LiteralMap(literals=literals)
    return operands.SerializeToString(deterministic=True)


def _unreadable(dispatch: ResolveInputs, message: str) -> ReportResolutionFailed:
    failure = Failure(
        code="BindingResolutionFailure", message=message, kind=ErrorKind.SYSTEM
    )
    return resolution_failed(dispatch, failure)

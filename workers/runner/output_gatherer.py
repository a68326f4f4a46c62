"""Writes outputs as one blob: those of an array's elements as lists, or a child's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from domain.literals.array_values import collect_outputs
from infra.blobs.files import BlobNotFoundError, Blobs
from schemas.messages.commands import ReportOutputsGathered
from schemas.messages.dispatches import GatherOutputs
from schemas.values import ErrorKind, Failure, Values
from workers.plugins.outputs import written_values
from workers.plugins.plugin import unexpected_failure

log_ = structlog.get_logger(__name__)

_READS_MAX = 32
_SIZE_MAX = 2**20
"""More elements than any array's state could hold: such a dispatch is damaged."""


@dataclass(frozen=True, slots=True)
class OutputGatherer:
    """Writes the lists of an array's outputs as one blob, or the outputs of a child."""

    blobs: Blobs
    inline_limit: int

    async def gather(self, dispatch: GatherOutputs) -> ReportOutputsGathered:
        """Return the report on outputs, also after unexpected errors."""
        try:
            return await self._gather(dispatch)
        except (BlobNotFoundError, DecodeError) as error:
            message = f"Cannot read the outputs: {error}"
            return _not_gathered(dispatch, message)
        except Exception as error:
            log_.exception("gathering_failed", node=dispatch.node_id)
            message = unexpected_failure(error).failure.message
            return _not_gathered(dispatch, message)

    async def _gather(self, dispatch: GatherOutputs) -> ReportOutputsGathered:
        reading = asyncio.Semaphore(_READS_MAX)
        found = await asyncio.gather(
            *(self._load(values, reading) for values in dispatch.sources)
        )
        data = _outputs(dispatch, found).SerializeToString(deterministic=True)
        blob = await self.blobs.put(self.blobs.uri(dispatch.output_path), data)
        return ReportOutputsGathered(
            node_id=dispatch.node_id,
            attempt=dispatch.attempt,
            outputs=written_values(data, blob.uri, self.inline_limit),
        )

    async def _load(
        self, values: Values, reading: asyncio.Semaphore
    ) -> literals_pb2.LiteralMap:
        data = values.inline
        if data is None:
            async with reading:
                data = await self.blobs.get(values.uri)
        return literals_pb2.LiteralMap.FromString(data)


def _outputs(
    dispatch: GatherOutputs, found: Sequence[literals_pb2.LiteralMap]
) -> literals_pb2.LiteralMap:
    if dispatch.as_is:
        return found[0]
    if dispatch.size > _SIZE_MAX:
        message = f"Expected at most {_SIZE_MAX} elements, but got {dispatch.size}"
        raise ValueError(message)
    outputs = dict(zip(dispatch.indexes, found, strict=True))
    return collect_outputs(dispatch.names, dispatch.size, outputs)


def _not_gathered(dispatch: GatherOutputs, message: str) -> ReportOutputsGathered:
    failure = Failure(code="OutputsNotFound", message=message, kind=ErrorKind.SYSTEM)
    return ReportOutputsGathered(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )

"""Gathers the outputs of an array's elements into lists, and reports them."""

from __future__ import annotations

import asyncio
from typing import Any

from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from domain.literals.array_values import gathered
from infra.blobs.files import BlobNotFoundError, Blobs
from schemas.messages.commands import ReportOutputsGathered
from schemas.messages.dispatches import GatherOutputs
from schemas.values import Failure, Values
from workers.plugins.outputs import written_values

_READS_MAX = 32


async def gather_outputs(
    dispatch: GatherOutputs, blobs: Blobs, inline_limit: int
) -> ReportOutputsGathered:
    """Write an array's outputs as one blob; return the report on them."""
    reading = asyncio.Semaphore(_READS_MAX)

    async def load(values: Values) -> Any:
        data = values.inline
        if data is None:
            async with reading:
                data = await blobs.get(values.uri)
        return literals_pb2.LiteralMap.FromString(data)

    try:
        found = await asyncio.gather(*(load(values) for values in dispatch.sources))
    except (BlobNotFoundError, DecodeError) as error:
        message = f"Expected to read what the array's elements wrote, but: {error}"
        return not_gathered(dispatch, message)
    outputs = dict(zip(dispatch.indexes, found, strict=True))
    lists = gathered(dispatch.names, dispatch.size, outputs)
    data = lists.SerializeToString(deterministic=True)
    blob = await blobs.put(blobs.uri(dispatch.output_path), data)
    return ReportOutputsGathered(
        node_id=dispatch.node_id,
        attempt=dispatch.attempt,
        outputs=written_values(data, blob.uri, inline_limit),
    )


def not_gathered(dispatch: GatherOutputs, message: str) -> ReportOutputsGathered:
    """Return the report that an array's outputs can't be gathered."""
    failure = Failure(code="OutputsNotFound", message=message, kind="SYSTEM")
    return ReportOutputsGathered(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )

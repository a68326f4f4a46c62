"""Runs echo tasks for the runner: their inputs and outputs, inline or as blobs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from infra.blobs import Blobs
from schemas.values import Values
from workers.plugins.echo import echo
from workers.plugins.outputs import written_values
from workers.plugins.plugin import Result, Succeeded, Work, failed


@dataclass(frozen=True, slots=True)
class Echo:
    """Echoes tasks; small values never touch the blob store."""

    blobs: Blobs
    inline_limit: int

    def at_once(self, template: Any, inputs: bytes) -> Result | None:
        """Return the result if it can be had without I/O."""
        data = _echo(template, inputs)
        if not isinstance(data, bytes):
            return data
        if len(data) > self.inline_limit:
            return None
        digest = hashlib.sha256(data).hexdigest()
        return Succeeded(outputs=Values(inline=data, digest=digest, size=len(data)))

    async def run(self, work: Work, template: Any) -> Result:
        """Return the result; large outputs are written where a process would."""
        inputs = work.dispatch.inputs.inline
        if inputs is None:
            inputs = await self.blobs.get(work.dispatch.inputs.uri)
        data = _echo(template, inputs)
        if not isinstance(data, bytes):
            return data
        blob = await self.blobs.put(f"{work.output_prefix}/outputs.pb", data)
        outputs = written_values(data, blob.uri, self.inline_limit)
        return Succeeded(outputs=outputs)


def _echo(template: Any, inputs: bytes) -> bytes | Result:
    try:
        return echo(template, inputs)
    except DecodeError as error:
        message = f"Expected inputs that can be read, but they are damaged: {error}"
        return failed("BadTaskInputs", message, "SYSTEM")

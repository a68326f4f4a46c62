"""Runs echo tasks for the runner: their inputs and outputs, inline or as blobs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from infra.blobs.files import Blobs
from schemas.messages.dispatches import RunTask
from schemas.values import Values
from workers.plugins.echo import echo
from workers.plugins.outputs import written_values
from workers.plugins.plugin import Result, Succeeded, Work, failed
from workers.runner.literal_cache import LiteralMapCache


@dataclass(frozen=True, slots=True)
class Echo:
    """Echoes tasks; small values never touch the blob store."""

    blobs: Blobs
    inline_limit: int
    literal_maps: LiteralMapCache

    def at_once(self, template: Any, dispatch: RunTask) -> Result | None:
        """Return the result if it can be had without I/O."""
        given: Any = dispatch.inputs.inline
        if given is None:
            given = self.literal_maps.known(dispatch.inputs.uri)
        if given is None:
            return None
        data = _echo(template, given, dispatch.array_index)
        if not isinstance(data, bytes):
            return data
        return self._inline(data)

    def _inline(self, data: bytes) -> Result | None:
        if len(data) > self.inline_limit:
            return None
        digest = hashlib.sha256(data).hexdigest()
        return Succeeded(outputs=Values(inline=data, digest=digest, size=len(data)))

    async def run(self, work: Work, template: Any) -> Result:
        """Return the result; large outputs are written where a process would."""
        dispatch = work.dispatch
        inputs: Any = dispatch.inputs.inline
        if inputs is None:
            inputs = await self._read(dispatch)
        data = _echo(template, inputs, dispatch.array_index)
        if not isinstance(data, bytes):
            return data
        if dispatch.array_index >= 0 and (small := self._inline(data)):
            return small
        blob = await self.blobs.put(f"{work.output_prefix}/outputs.pb", data)
        outputs = written_values(data, blob.uri, self.inline_limit)
        return Succeeded(outputs=outputs)

    async def _read(self, dispatch: RunTask) -> Any:
        uri = dispatch.inputs.uri
        if dispatch.array_index < 0:
            return await self.blobs.get(uri)
        try:
            return await self.literal_maps.read(uri)
        except DecodeError:
            return await self.blobs.get(uri)  # echoing says it


def _echo(template: Any, inputs: Any, index: int) -> bytes | Result:
    try:
        return echo(template, inputs, index)
    except DecodeError as error:
        message = f"Expected inputs that can be read, but they are damaged: {error}"
        return failed("BadTaskInputs", message, "SYSTEM")

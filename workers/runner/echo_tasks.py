"""Echo tasks of the runner: their inputs and outputs, inline or as blobs."""

from __future__ import annotations

from dataclasses import dataclass

from flyteidl.core import literals_pb2, tasks_pb2
from google.protobuf.message import DecodeError

from infra.blobs.files import Blobs
from schemas.messages.dispatches import RunTask
from schemas.paths import path_in
from schemas.values import ErrorKind
from workers.plugins.echo import echo
from workers.plugins.outputs import inline_values, written_values
from workers.plugins.plugin import (
    Result,
    Succeeded,
    Work,
    element_index,
    inline_max,
    permanent_failure,
)
from workers.runner.literal_cache import LiteralMapCache

Inputs = bytes | literals_pb2.LiteralMap
"""The inputs of a task; read once for all elements of an array, or serialized."""


@dataclass(frozen=True, slots=True)
class EchoTasks:
    """Echoes tasks; small values never touch the blob store."""

    blobs: Blobs
    inline_limit: int
    literal_maps: LiteralMapCache

    def result_in_memory(
        self, template: tasks_pb2.TaskTemplate, dispatch: RunTask
    ) -> Result | None:
        """Return the result, if it needs no I/O."""
        inputs: Inputs | None = dispatch.inputs.inline
        if inputs is None:
            inputs = self.literal_maps.cached(dispatch.inputs.uri)
        if inputs is None:
            return None
        data = _echo(template, inputs, element_index(dispatch))
        if not isinstance(data, bytes):
            return data
        return self._small_result(data, dispatch)

    def _small_result(self, data: bytes, dispatch: RunTask) -> Result | None:
        if len(data) > inline_max(dispatch, self.inline_limit):
            return None
        return Succeeded(outputs=inline_values(data))

    async def run(self, work: Work, template: tasks_pb2.TaskTemplate) -> Result:
        """Return the result; large outputs are written where a process writes them."""
        index = element_index(work.dispatch)
        inputs: Inputs | None = work.dispatch.inputs.inline
        if inputs is None:
            inputs = await self._read(work.dispatch.inputs.uri, index)
        data = _echo(template, inputs, index)
        if not isinstance(data, bytes):
            return data
        if index is not None and (small := self._small_result(data, work.dispatch)):
            return small
        blob = await self.blobs.put(path_in(work.output_prefix, "outputs.pb"), data)
        limit = inline_max(work.dispatch, self.inline_limit)
        outputs = written_values(data, blob.uri, limit)
        return Succeeded(outputs=outputs)

    async def _read(self, uri: str, index: int | None) -> Inputs:
        if index is None:
            return await self.blobs.get(uri)
        try:
            return await self.literal_maps.read(uri)
        except DecodeError:
            return await self.blobs.get(uri)  # the echo fails, with a message


def _echo(
    template: tasks_pb2.TaskTemplate, inputs: Inputs, index: int | None
) -> bytes | Result:
    try:
        return echo(template, inputs, index)
    except DecodeError as error:
        message = f"Expected inputs that can be decoded, but: {error}"
        return permanent_failure("BadTaskInputs", message, ErrorKind.SYSTEM)

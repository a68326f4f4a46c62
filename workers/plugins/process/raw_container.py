"""Raw containers: commands that read inputs and write outputs as files (ref §6.7).

In Flyte a sidecar writes inputs as files and stores outputs from files. Here both are
in the attempt's own scratch folder, and the command's arguments name its folders
instead of those of the task's definition.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2
from msgspec.structs import replace

from domain.literals.json_values import to_literal
from infra.blobs.files import Blobs
from infra.errors import InfraError
from schemas.json_types import JsonValue
from schemas.messages.rejections import Rejected
from schemas.values import ErrorKind, Failure
from workers.plugins.plugin import Failed, Work, permanent_failure
from workers.plugins.process.attempt_log import read_chunks
from workers.plugins.process.command_rendering import Command
from workers.plugins.process.literal_text import literal_text

_TEXT_BYTES_MAX = 1024
_BLOB_BYTES_MAX = 1 << 40
_NUMBERS: Mapping[int, type[int | float]] = {
    types_pb2.INTEGER: int,
    types_pb2.FLOAT: float,
    types_pb2.DURATION: float,
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_MULTIPART = types_pb2.BlobType.MULTIPART


class RawContainer:
    """The files of one attempt whose task declares that it uses them."""

    def __init__(
        self,
        config: tasks_pb2.DataLoadingConfig,
        interface: interface_pb2.TypedInterface,
        scratch: Path,
        blobs: Blobs,
    ) -> None:
        """Keep files below the attempt's scratch folder."""
        self._config = config
        self._interface = interface
        self._inputs, self._outputs = scratch / "inputs", scratch / "outputs"
        self._blobs = blobs

    def with_own_folders(self, command: Command) -> Command:
        """Return the command with this attempt's folders for those that it names."""
        folders = {
            self._config.input_path.rstrip("/"): str(self._inputs),
            self._config.output_path.rstrip("/"): str(self._outputs),
        }
        named = sorted((f for f in folders if f), key=len, reverse=True)
        if not named:
            return command
        pattern = re.compile(rf"({'|'.join(map(re.escape, named))})(?![\w-])")

        def fill(text: str) -> str:
            return pattern.sub(lambda found: folders[found.group()], text)

        return replace(command, args=tuple(map(fill, command.args)))

    async def write_inputs(self, inputs: bytes) -> None:
        """Write each input into a file of its name, and all of them into one."""
        for folder in (self._inputs, self._outputs):
            folder.mkdir(parents=True, exist_ok=True)
        literals = literals_pb2.LiteralMap.FromString(inputs).literals
        for name, literal in literals.items():
            if literal.scalar.WhichOneof("value") == "blob":
                await self._fetch(literal.scalar.blob, self._inputs / name)
            else:
                (self._inputs / name).write_text(_file_text(literal))
        (self._inputs / "inputs.pb").write_bytes(inputs)
        values = {name: _to_json(literal) for name, literal in literals.items()}
        text = json.dumps(values, indent=2)  # JSON is YAML too
        for suffix in ("json", "yaml"):
            (self._inputs / f"inputs.{suffix}").write_text(text)

    async def _fetch(self, blob: literals_pb2.Blob, path: Path) -> None:
        folder = path.parent / "blobs"
        if blob.metadata.type.dimensionality != _MULTIPART or blob.uri.startswith("/"):
            _link(path, await self._local(blob.uri, folder))
            return
        for found in await self._blobs.list(blob.uri):
            below = found.uri.removeprefix(f"{blob.uri.rstrip('/')}/")
            _link(path / below, await self._local(found.uri, folder))

    async def _local(self, uri: str, folder: Path) -> Path:
        if uri.startswith("/"):
            return Path(uri)
        return await self._blobs.local_copy(uri, folder)

    async def store_outputs(self, work: Work) -> Failed | None:
        """Store the files that the command wrote as outputs; return what is wrong."""
        errors = self._outputs / "errors.pb"
        if errors.exists():
            text = errors.read_text(errors="replace")
            return permanent_failure("USER:ContainerError", text)
        outputs = literals_pb2.LiteralMap()
        for name, variable in self._interface.outputs.variables.items():
            try:
                literal = await self._output(name, variable.type, work)
            except (OSError, InfraError, ValueError) as error:
                return _not_stored(name, error)
            outputs.literals[name].CopyFrom(literal)
        if outputs.literals:
            data = outputs.SerializeToString(deterministic=True)
            await self._blobs.put(f"{work.output_prefix}/outputs.pb", data)
        return None

    async def _output(
        self, name: str, declared: types_pb2.LiteralType, work: Work
    ) -> literals_pb2.Literal:
        path = self._outputs / name
        if declared.WhichOneof("type") == "blob":
            uri = f"{work.raw_output_prefix}/{name}"
            await self._store(path, uri)
            return to_literal(uri, declared)
        if path.stat().st_size > _TEXT_BYTES_MAX:
            message = f"it has more than {_TEXT_BYTES_MAX} bytes"
            raise ValueError(message)
        return _parse(path.read_text(), declared)

    async def _store(self, path: Path, uri: str) -> None:
        for file, suffix in await asyncio.to_thread(_files, path):
            chunks = read_chunks(file)
            await self._blobs.put_stream(f"{uri}{suffix}", chunks, _BLOB_BYTES_MAX)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return a file, or those of a folder, each with the suffix of its address."""
    if not path.is_dir():
        path.stat()  # raises if there is no file either
        return [(path, "")]
    files = sorted(found for found in path.rglob("*") if found.is_file())
    return [(file, f"/{file.relative_to(path)}") for file in files]


def _not_stored(name: str, error: Exception) -> Failed:
    message = f"Expected output '{name}' in a file of that name, but: {error}"
    failure = Failure(
        code="OutputUploadFailed", message=message, kind=ErrorKind.UNKNOWN
    )
    return Failed(failure=failure, recoverable=True)


def _file_text(literal: literals_pb2.Literal) -> str:
    text = literal_text(literal)
    return json.dumps(_to_json(literal)) if isinstance(text, Rejected) else text


def _to_json(literal: literals_pb2.Literal) -> JsonValue:
    match literal.WhichOneof("value"):
        case "collection":
            return [_to_json(item) for item in literal.collection.literals]
        case "map":
            return {key: _to_json(item) for key, item in literal.map.literals.items()}
    primitive = literal.scalar.primitive
    match primitive.WhichOneof("value"):
        case "integer":
            return primitive.integer
        case "float_value":
            return primitive.float_value
        case "boolean":
            return primitive.boolean
    text = literal_text(literal)
    return None if isinstance(text, Rejected) else text


def _parse(text: str, declared: types_pb2.LiteralType) -> literals_pb2.Literal:
    """Return a file's text as a literal; raises ValueError."""
    if declared.WhichOneof("type") != "simple":
        return to_literal(text.strip(), declared)
    if declared.simple in _NUMBERS:
        return to_literal(_NUMBERS[declared.simple](text.strip()), declared)
    if declared.simple == types_pb2.BOOLEAN:
        return to_literal(_parse_boolean(text.strip().lower()), declared)
    if declared.simple == types_pb2.STRING:
        return to_literal(text, declared)
    return to_literal(text.strip(), declared)


def _parse_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        message = f"'{text[:40]}' is neither true nor false"
        raise ValueError(message)
    return _BOOLEANS[text]

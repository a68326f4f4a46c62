"""Raw containers: commands that know nothing but files (ref §6.7).

In Flyte a sidecar lays inputs out as files and takes outputs from files. Here both lie
in the attempt's own scratch folder, and the command is told these folders instead of
those that it names.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from flyteidl.core import literals_pb2, types_pb2
from msgspec.structs import replace

from domain.literals.json_values import TypeMismatchError, to_literal
from infra.blobs.files import CHUNK_BYTES, Blobs
from infra.errors import InfraError
from schemas.messages.rejections import Rejected
from schemas.values import Failure
from workers.plugins.plugin import Failed, Work
from workers.plugins.process.command_rendering import Command
from workers.plugins.process.literal_text import literal_text

_TEXT_BYTES_MAX = 1024
_BLOB_BYTES_MAX = 1 << 40
_NUMBERS: Mapping[int, type[int | float]] = {
    types_pb2.INTEGER: int,
    types_pb2.FLOAT: float,
    types_pb2.DURATION: float,
}
_MULTIPART = types_pb2.BlobType.MULTIPART


class RawContainer:
    """The files of one attempt whose task asks for them."""

    def __init__(
        self, config: Any, interface: Any, scratch: Path, blobs: Blobs
    ) -> None:
        """Serve a task of a core.DataLoadingConfig and a core.TypedInterface."""
        self._config = config
        self._interface = interface
        self._inputs, self._outputs = scratch / "inputs", scratch / "outputs"
        self._blobs = blobs

    def told(self, command: Command) -> Command:
        """Return the command with this attempt's folders in place of those it names."""
        places = {
            self._config.input_path.rstrip("/"): str(self._inputs),
            self._config.output_path.rstrip("/"): str(self._outputs),
        }
        named = sorted((p for p in places if p), key=len, reverse=True)
        if not named:
            return command
        pattern = re.compile(rf"({'|'.join(map(re.escape, named))})(?![\w-])")

        def place(text: str) -> str:
            return pattern.sub(lambda found: places[found.group()], text)

        return replace(command, words=tuple(map(place, command.words)))

    async def lay_out(self, inputs: bytes) -> None:
        """Write each input into a file of its name, and all of them into one."""
        for folder in (self._inputs, self._outputs):
            folder.mkdir(parents=True, exist_ok=True)
        literals = literals_pb2.LiteralMap.FromString(inputs).literals
        for name, literal in literals.items():
            if literal.scalar.WhichOneof("value") == "blob":
                await self._fetch(literal.scalar.blob, self._inputs / name)
            else:
                (self._inputs / name).write_text(_text(literal))
        (self._inputs / "inputs.pb").write_bytes(inputs)
        texts = {name: _plain(literal) for name, literal in literals.items()}
        listed = json.dumps(texts, indent=2)  # JSON is YAML too
        for form in ("json", "yaml"):
            (self._inputs / f"inputs.{form}").write_text(listed)

    async def _fetch(self, blob: Any, path: Path) -> None:
        folder = path.parent / "blobs"
        if blob.metadata.type.dimensionality != _MULTIPART or blob.uri.startswith("/"):
            _link(path, await self._local(blob.uri, folder))
            return
        for found in await self._blobs.list(blob.uri):
            inner = found.uri.removeprefix(f"{blob.uri.rstrip('/')}/")
            _link(path / inner, await self._local(found.uri, folder))

    async def _local(self, uri: str, folder: Path) -> Path:
        if uri.startswith("/"):
            return Path(uri)
        return await self._blobs.local_copy(uri, folder)

    async def collect(self, work: Work) -> Failed | None:
        """Store what the command left as its outputs; return what is wrong with it."""
        complaint = self._outputs / "errors.pb"
        if complaint.exists():
            text = complaint.read_text(errors="replace")
            return _failed("USER:ContainerError", text, "USER", recoverable=False)
        found = literals_pb2.LiteralMap()
        for name, variable in self._interface.outputs.variables.items():
            try:
                literal = await self._output(name, variable.type, work)
            except (OSError, InfraError, ValueError) as error:
                text = f"Expected output '{name}' in a file of that name, but: {error}"
                return _failed("OutputUploadFailed", text, "UNKNOWN", recoverable=True)
            found.literals[name].CopyFrom(literal)
        if found.literals:
            data = found.SerializeToString(deterministic=True)
            await self._blobs.put(f"{work.output_prefix}/outputs.pb", data)
        return None

    async def _output(self, name: str, asked: Any, work: Work) -> Any:
        path = self._outputs / name
        if asked.WhichOneof("type") == "blob":
            return await self._stored(path, asked, f"{work.raw_output_prefix}/{name}")
        if path.stat().st_size > _TEXT_BYTES_MAX:
            message = f"it has more than {_TEXT_BYTES_MAX} bytes"
            raise ValueError(message)
        return _parsed(path.read_text(), asked)

    async def _stored(self, path: Path, asked: Any, uri: str) -> Any:
        for inner, below in await asyncio.to_thread(_files, path):
            chunks = chunks_of(inner)
            await self._blobs.put_stream(f"{uri}{below}", chunks, _BLOB_BYTES_MAX)
        return to_literal(uri, asked)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return a file, or those of a folder, each with what its address adds."""
    if not path.is_dir():
        path.stat()
        return [(path, "")]
    inside = sorted(found for found in path.rglob("*") if found.is_file())
    return [(found, f"/{found.relative_to(path)}") for found in inside]


def _failed(code: str, text: str, kind: str, *, recoverable: bool) -> Failed:
    failure = Failure(code=code, message=text, kind=kind)
    return Failed(failure=failure, recoverable=recoverable)


def _text(literal: Any) -> str:
    text = literal_text(literal)
    return json.dumps(_plain(literal)) if isinstance(text, Rejected) else text


def _plain(literal: Any) -> Any:
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return [_plain(item) for item in literal.collection.literals]
    if kind == "map":
        return {key: _plain(item) for key, item in literal.map.literals.items()}
    primitive = literal.scalar.primitive
    if primitive.WhichOneof("value") in {"integer", "float_value", "boolean"}:
        return getattr(primitive, primitive.WhichOneof("value"))
    text = literal_text(literal)
    return None if isinstance(text, Rejected) else text


def _parsed(text: str, asked: Any) -> Any:
    """Return a file's text as a literal; raises ValueError."""
    simple = asked.simple if asked.WhichOneof("type") == "simple" else -1
    if simple in _NUMBERS:
        return to_literal(_NUMBERS[simple](text.strip()), asked)
    if simple == types_pb2.BOOLEAN:
        known = {"true": True, "1": True, "false": False, "0": False}
        word = text.strip().lower()
        if word not in known:
            message = f"'{word[:40]}' is neither true nor false"
            raise TypeMismatchError(message)
        return to_literal(known[word], asked)
    if simple == types_pb2.STRING:
        return to_literal(text, asked)
    return to_literal(text.strip(), asked)


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes, a chunk at a time."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk

"""A log's records in a file: an Avro object container, which any Avro tool reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from fastavro import parse_schema
from fastavro import reader as container_reader
from fastavro.types import AvroMessage
from fastavro.write import Writer

from infra.errors import PermanentError
from infra.eventlog.contract import Record
from schemas.envelope import Envelope

FORMAT = "1"
_FORMAT_KEY = "flightlog.format"
_TEXTS = ("topic", "key", "id", "type", "stream", "correlation", "causation", "actor")
_SCHEMA = parse_schema(
    {
        "type": "record",
        "name": "LogRecord",
        "namespace": "flightlog.log",
        "doc": "A record of a log: topic, key, envelope, and its body's Avro bytes.",
        "fields": [
            *({"name": name, "type": "string"} for name in _TEXTS),
            {"name": "traceparent", "type": "string"},
            {"name": "sequence", "type": "long"},
            {"name": "recorded_at_us", "type": "long"},
            {"name": "reply", "type": "boolean"},
            {"name": "body", "type": "bytes"},
        ],
    }
)
_MALFORMED = (
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    zlib.error,
    struct.error,
)


class _Row(Envelope, frozen=True, kw_only=True):
    """A record as the file has it: flat, beside the fields of its envelope."""

    topic: str
    key: str
    body: bytes


class AvroLogWriter:
    """Writes records to a file."""

    def __init__(self, out: IO[bytes], metadata: Mapping[str, str]) -> None:
        """Write to an open file, with metadata about the log."""
        with_format = {_FORMAT_KEY: FORMAT, **metadata}
        self._writer = Writer(out, _SCHEMA, codec="deflate", metadata=with_format)
        self.records = 0

    def write(self, records: Sequence[Record]) -> None:
        """Add records."""
        for record in records:
            self._writer.write(msgspec.structs.asdict(_row(record)))
        self.records += len(records)

    def finish(self) -> None:
        """Write what is buffered."""
        self._writer.flush()


@contextmanager
def open_writer(path: Path, metadata: Mapping[str, str]) -> Iterator[AvroLogWriter]:
    """Write a file beside its place, and move it there once it is complete."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as out:
            writer = AvroLogWriter(out, metadata)
            yield writer
            writer.finish()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_pages(path: Path, page: int) -> Iterator[tuple[Sequence[Record], int]]:
    """Yield a file's records in pages, each with the number of bytes read so far.

    Raises PermanentError for a file that is no export, is damaged or incomplete.
    """
    with path.open("rb") as source:
        found: list[Record] = []
        try:
            container = container_reader(source)
            _check_format(container.metadata)
            for row in container:
                found.append(_record(row))
                if len(found) >= page:
                    yield found, source.tell()
                    found = []
        except _MALFORMED as error:
            message = f"Expected {path.name} to be a complete export, but: {error!r}"
            raise PermanentError(message) from error
        yield found, source.tell()


def _check_format(metadata: Mapping[str, str]) -> None:
    found = metadata.get(_FORMAT_KEY)
    if found != FORMAT:
        message = f"Expected an export of format {FORMAT}, but it is {found or 'none'}"
        raise ValueError(message)


def _row(record: Record) -> _Row:
    return _Row(
        topic=record.topic,
        key=record.key,
        body=record.body,
        **msgspec.structs.asdict(record.envelope),
    )


def _record(row: AvroMessage) -> Record:
    found = msgspec.convert(row, _Row, builtin_types=(bytes,))
    fields = {name: getattr(found, name) for name in Envelope.__struct_fields__}
    return Record(
        topic=found.topic,
        key=found.key,
        envelope=Envelope(**fields),
        body=found.body,
    )

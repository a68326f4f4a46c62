"""A log's records in a file: an Avro object container, which any Avro tool reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastavro import parse_schema
from fastavro import reader as container_of
from fastavro.write import Writer

from infra.errors import PermanentError
from infra.eventlog.contract import Record
from schemas.envelope import Envelope

FORMAT = "1"
_FORMAT_KEY = "flightlog.format"
_TEXTS = ("topic", "key", "id", "type", "stream", "correlation", "causation", "actor")
_FIELDS: list[dict[str, Any]] = [
    *({"name": name, "type": "string"} for name in _TEXTS),
    {"name": "traceparent", "type": "string"},
    {"name": "sequence", "type": "long"},
    {"name": "recorded_at_us", "type": "long"},
    {"name": "reply", "type": "boolean"},
    {"name": "body", "type": "bytes"},
]
_SCHEMA = parse_schema(
    {
        "type": "record",
        "name": "LogRecord",
        "namespace": "flightlog.log",
        "doc": "A record of a log: topic, key, envelope, and its body's Avro bytes.",
        "fields": _FIELDS,
    }
)
_BROKEN = (ValueError, EOFError, IndexError, KeyError, TypeError, zlib.error)


class AvroLogWriter:
    """A file being written; `with` makes it appear whole, or not at all."""

    def __init__(self, out: Any, about: dict[str, str]) -> None:
        """Write to an open file, with words about the log it is of."""
        metadata = {_FORMAT_KEY: FORMAT} | about
        self._writer = Writer(out, _SCHEMA, codec="deflate", metadata=metadata)
        self.records = 0

    def write(self, records: Sequence[Record]) -> None:
        """Add records."""
        for record in records:
            self._writer.write(_row(record))
        self.records += len(records)

    def finish(self) -> None:
        """Write what is left."""
        self._writer.flush()


@contextmanager
def open_writer(path: Path, about: dict[str, str]) -> Iterator[AvroLogWriter]:
    """Write a file beside its place; it is moved there once it is whole."""
    beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("wb") as out:
            file = AvroLogWriter(out, about)
            yield file
            file.finish()
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_pages(path: Path, page: int) -> Iterator[tuple[Sequence[Record], int]]:
    """Yield a file's records in pages, each with how many bytes were read by then.

    Raises Permanent for a file that is no export, is damaged, or isn't whole.
    """
    with path.open("rb") as source:
        found: list[Record] = []
        try:
            container = container_of(source)
            _check(container.metadata)
            for row in container:
                found.append(_record(row))
                if len(found) >= page:
                    yield found, source.tell()
                    found = []
        except (*_BROKEN, struct.error) as error:
            message = f"Expected {path.name} to be a whole export, but: {error!r}"
            raise PermanentError(message) from error
        yield found, source.tell()


def read_metadata(path: Path) -> dict[str, str]:
    """Return the words that an export tells about itself."""
    with path.open("rb") as source:
        try:
            found = dict(container_of(source).metadata)
        except (*_BROKEN, struct.error) as error:
            message = f"Expected {path.name} to be an export of a log, but: {error!r}"
            raise PermanentError(message) from error
    _check(found)
    return {k: v for k, v in found.items() if k.startswith("flightlog.")}


def _check(metadata: dict[str, Any]) -> None:
    known = metadata.get(_FORMAT_KEY)
    if known != FORMAT:
        message = f"Expected an export of format {FORMAT}, but it is {known or 'none'}"
        raise ValueError(message)


def _row(record: Record) -> dict[str, Any]:
    e = record.envelope
    return {
        "topic": record.topic,
        "key": record.key,
        "id": e.id,
        "type": e.type,
        "stream": e.stream,
        "correlation": e.correlation,
        "causation": e.causation,
        "actor": e.actor,
        "traceparent": e.traceparent,
        "sequence": e.sequence,
        "recorded_at_us": e.recorded_at_us,
        "reply": e.reply,
        "body": record.body,
    }


def _record(row: Any) -> Record:
    fields = {name: row[name] for name in Envelope.__struct_fields__}
    return Record(
        topic=row["topic"],
        key=row["key"],
        envelope=Envelope(**fields),
        body=row["body"],
    )

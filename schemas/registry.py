"""The one table of messages: name and version ↔ class ↔ parsed Avro schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas import commands, dispatches, events, registry_events

AVRO = Path(__file__).parent / "avro"
NAMESPACE = "flightlog.v1"
VERSION = 1

CLASSES: tuple[type[Any], ...] = (
    *get_args(commands.ExecutionCommand),
    commands.Heartbeat,
    *get_args(events.ExecutionEvent),
    events.CommandRejected,
    events.CommandHadNoEffect,
    *get_args(dispatches.DispatchMessage),
    dispatches.AbortTask,
    *get_args(registry_events.RegistryFact),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message at one version: its class, schema and eight-byte fingerprint."""

    name: str
    cls: type[Any]
    schema: Any
    fingerprint: bytes


def schema_path(cls: type[Any]) -> Path:
    """Return where a message's released schema lies."""
    return AVRO / f"{cls.__name__}.v{VERSION}.avsc"


@cache
def entries() -> tuple[Entry, ...]:
    """Return every message; raises FileNotFoundError for one without a schema."""
    return tuple(_entry(cls) for cls in CLASSES)


@cache
def by_class() -> dict[type[Any], Entry]:
    """Return the table by class."""
    return {entry.cls: entry for entry in entries()}


@cache
def by_fingerprint() -> dict[bytes, Entry]:
    """Return the table by fingerprint."""
    return {entry.fingerprint: entry for entry in entries()}


def _entry(cls: type[Any]) -> Entry:
    raw = json.loads(schema_path(cls).read_text())
    digest = fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO")
    return Entry(
        name=f"{NAMESPACE}.{cls.__name__}",
        cls=cls,
        # With fastavro's hint in it: without, it is parsed anew for each message.
        schema=parse_schema(raw),
        fingerprint=bytes.fromhex(digest),
    )

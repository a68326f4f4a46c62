"""Messages ↔ Kafka records: the envelope as CloudEvents headers, the body as it is.

The headers are those of the CloudEvents 1.0 Kafka binding; attributes that CloudEvents
doesn't define are extensions, `ce_flightlog…`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from aiokafka.structs import ConsumerRecord

from infra.eventlog.contract import Received, Record
from schemas.envelope import Envelope

SOURCE = "/flightlog"
Headers = list[tuple[str, bytes]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_DIGITS_MAX = 18
"""Sequences have fewer digits: more wouldn't fit into 64 bits."""
_EXTENSION = "ce_flightlog"


class ProducerRecord(TypedDict):
    """Arguments of a producer's `send`; a record without a value is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


def headers_of(envelope: Envelope) -> Headers:
    """Return the headers of a record; empty fields of the envelope have none."""
    sequence = envelope.sequence
    found = {
        "ce_specversion": "1.0",
        "ce_id": envelope.id,
        "ce_type": envelope.type,
        "ce_source": SOURCE,
        "ce_subject": envelope.stream,
        "ce_time": _text_of(envelope.recorded_at_us),
        f"{_EXTENSION}sequence": str(sequence) if sequence else "",
        f"{_EXTENSION}correlation": envelope.correlation,
        f"{_EXTENSION}causation": envelope.causation,
        f"{_EXTENSION}actor": envelope.actor,
        f"{_EXTENSION}reply": "true" if envelope.reply else "",
        "traceparent": envelope.traceparent,
        "content-type": "application/avro",
    }
    return [(name, value.encode()) for name, value in found.items() if value]


def received(message: ConsumerRecord[bytes, bytes], prefix: str = "") -> Received:
    """Return a consumer's record as a message; unknown headers are ignored.

    A record that another program wrote is accepted, whatever it holds: its body
    decides what it is.
    """
    key = (message.key or b"").decode(errors="replace")
    return Received(
        topic=message.topic.removeprefix(prefix),
        key=key,
        envelope=_envelope(_texts(message.headers), key),
        body=message.value or b"",
        partition=message.partition,
        position=message.offset + 1,
    )


def sendable(record: Record, prefix: str = "") -> ProducerRecord:
    """Return the arguments of a producer's `send`, without the partition."""
    return ProducerRecord(
        topic=prefix + record.topic,
        key=record.key.encode(),
        value=record.body or None,
        headers=headers_of(record.envelope),
    )


def _texts(headers: Sequence[tuple[str, bytes]]) -> Mapping[str, str]:
    return {n: (v or b"").decode(errors="replace") for n, v in headers}


def _envelope(found: Mapping[str, str], key: str) -> Envelope:
    return Envelope(
        id=found.get("ce_id", ""),
        type=found.get("ce_type", ""),
        stream=found.get("ce_subject", key),
        sequence=_sequence_of(found.get(f"{_EXTENSION}sequence", "")),
        correlation=found.get(f"{_EXTENSION}correlation", ""),
        causation=found.get(f"{_EXTENSION}causation", ""),
        actor=found.get(f"{_EXTENSION}actor", ""),
        recorded_at_us=_us_of(found.get("ce_time", "")),
        reply=found.get(f"{_EXTENSION}reply") == "true",
        traceparent=found.get("traceparent", ""),
    )


def _sequence_of(text: str) -> int:
    is_number = len(text) <= _DIGITS_MAX and text.isascii() and text.isdecimal()
    return int(text) if is_number else 0


def _text_of(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat() if us else ""


def _us_of(text: str) -> int:
    """Return a time in microseconds; 0 for what is no time that can be written."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        us = (at - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return 0
    return us if 0 <= us <= _US_MAX else 0

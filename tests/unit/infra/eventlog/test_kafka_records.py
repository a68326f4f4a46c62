"""Records of Kafka as messages: whatever anybody wrote into them."""

from __future__ import annotations

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.eventlog.contract import Record
from infra.eventlog.kafka.records import headers_of, received, sendable
from schemas.envelope import Envelope

NAMES = [
    name
    for name, _ in headers_of(
        Envelope(
            id="i",
            type="t",
            stream="s",
            sequence=1,
            correlation="c",
            causation="b",
            actor="a",
            recorded_at_us=1,
            reply=True,
            traceparent="p",
        )
    )
]
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.integers(-(10**30), 10**30).map(lambda n: str(n).encode()),
    st.sampled_from(
        [
            b"9" * 5_000,
            "٣".encode(),
            b"\xff\xfe",
            b"0001-01-01T00:00:00+23:59",
            b"9999-12-31T23:59:59-23:59",
            b"1969-12-31T00:00:00Z",
            bytes(100_000),
        ]
    ),
)


def read(
    headers: list[tuple[str, bytes]],
    key: bytes | None = b"k",
    value: bytes | None = b"v",
) -> ConsumerRecord[bytes, bytes]:
    """Return a record as a consumer gives it."""
    return ConsumerRecord(
        topic="x.flightlog.commands",
        partition=3,
        offset=7,
        timestamp=0,
        timestamp_type=1,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=headers,
    )


@given(
    headers=st.lists(st.tuples(st.sampled_from([*NAMES, "other", ""]), VALUES)),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=20),
)
def test_any_record_is_a_message_that_can_be_written_again(
    headers: list[tuple[str, bytes]], key: bytes | None, value: bytes | None
) -> None:
    """Nothing raises; numbers fit into 64 bits; what was read can be sent."""
    found = received(read(headers, key, value), "x.")
    assert (found.topic, found.partition, found.position) == (
        "flightlog.commands",
        3,
        8,
    )
    envelope = found.envelope
    assert 0 <= envelope.sequence < 2**63
    assert 0 <= envelope.recorded_at_us < 2**63
    record = Record(
        topic=found.topic, key=found.key, envelope=envelope, body=found.body
    )
    sent = sendable(record)
    again = received(read(sent["headers"], sent["key"], sent["value"]), "x.")
    # An absent subject means that the key is the stream; so does an empty one.
    assert replace(again.envelope, stream="") == replace(envelope, stream="")


@pytest.mark.parametrize(
    "digits", ["9" * 19, "9" * 5_000, "-1", "", "1e3", "٣", "²", " 7"]
)
def test_a_sequence_that_is_none(digits: str) -> None:
    """It is no number of an event: 0."""
    found = received(read([("ce_flightlogsequence", digits.encode())]))
    assert found.envelope.sequence == 0


def test_a_sequence() -> None:
    """The longest one still fits."""
    found = received(read([("ce_flightlogsequence", b"9" * 18)]))
    assert found.envelope.sequence == 10**18 - 1

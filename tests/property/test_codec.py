"""The codec: every message comes back whole, and nothing else comes through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.levels import FORMAT_LEVEL
from schemas.messages.execution_events import ExecutionCreated
from schemas.messages.node_events import TaskStarted
from schemas.wire import codec, registry
from schemas.wire.codec import EncodingError, UndecodableMessageError
from tests.support.messages import bare, example, messages_of

EACH = pytest.mark.parametrize("cls", registry.CLASSES, ids=lambda cls: cls.__name__)
HEADER = 10


@EACH
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_message_comes_back_whole(cls: type[Any], data: st.DataObject) -> None:
    """What was encoded decodes to an equal message."""
    message = data.draw(messages_of(cls))
    assert message == codec.decode(codec.encode(message))


def test_bytes_that_say_something_else_are_noticed() -> None:
    """With the check a message is never written that would be read as another one."""
    checking = codec.Codec(registry.ENGINE)
    message = example(TaskStarted)
    wrong = replace(message, logs=list(message.logs))
    assert checking.decode(checking.encode(wrong)) == message

    checking.checks_encoding = True
    with pytest.raises(EncodingError, match="TaskStarted"):
        checking.encode(wrong)


@EACH
def test_defaults_come_back_as_defaults(cls: type[Any]) -> None:
    """A message with nothing but what it needs comes back equal."""
    message = bare(cls)
    assert message == codec.decode(codec.encode(message))


@EACH
def test_a_message_cut_anywhere_is_refused(cls: type[Any]) -> None:
    """No part of a message passes for a whole one."""
    whole = codec.encode(example(cls))
    for length in range(len(whole)):
        with pytest.raises(UndecodableMessageError, match="Expected"):
            codec.decode(whole[:length])


@EACH
def test_a_message_with_something_behind_it_is_refused(cls: type[Any]) -> None:
    """Bytes behind a message are no part of it."""
    with pytest.raises(UndecodableMessageError, match="1 bytes follow"):
        codec.decode(codec.encode(example(cls)) + b"\x00")


@EACH
@given(body=st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_a_damaged_body_is_refused_or_is_a_message(cls: type[Any], body: bytes) -> None:
    """A body of any bytes is a message of its class or undecodable, never a crash."""
    header = codec.encode(example(cls))[:HEADER]
    try:
        message = codec.decode(header + body)
    except UndecodableMessageError as refused:
        assert codec.type_name(cls) in str(refused)
    else:
        assert isinstance(message, cls)


@EACH
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_a_message_with_one_other_byte_never_crashes(
    cls: type[Any], at: int, byte: int
) -> None:
    """One damaged byte leaves a message or an undecodable one."""
    data = bytearray(codec.encode(example(cls)))
    data[at % len(data)] = byte
    try:
        codec.decode(bytes(data))
    except UndecodableMessageError as refused:
        assert str(refused).startswith("Expected")


@given(data=st.binary(max_size=64))
@settings(deadline=None)
def test_other_bytes_are_refused(data: bytes) -> None:
    """Bytes of something else are told from messages."""
    with pytest.raises(UndecodableMessageError, match="single-object"):
        codec.decode(b"{" + data)


def test_a_schema_of_a_newer_version_is_named() -> None:
    """An unknown fingerprint is shown, and what may have happened."""
    with pytest.raises(
        UndecodableMessageError, match=r"0102030405060708.*newer version"
    ):
        codec.decode(codec.MARKER + bytes(range(1, 9)) + b"body")


def test_a_message_is_written_in_the_oldest_version_that_says_all_of_it() -> None:
    """What uses nothing of a new level can be read by processes without it."""
    message = bare(ExecutionCreated)
    assert codec.type_name(message) == "flightlog.v2.ExecutionCreated"
    assert codec.ENGINE.entry_of(message).level == 0
    newer = replace(message, rules=1)
    assert codec.type_name(newer) == "flightlog.v3.ExecutionCreated"
    assert codec.ENGINE.entry_of(newer).level == 1
    assert codec.decode(codec.encode(message)) == message
    assert codec.decode(codec.encode(newer)) == newer


def test_versions_of_later_levels_only_add_fields() -> None:
    """So an older version says the same, as long as they have their defaults."""
    for (cls, version), level in registry.LEVELS.items():
        entries = {e.version: e for e in registry.ENGINE.entries if e.cls is cls}
        assert entries[version].level == level <= FORMAT_LEVEL
        if version == 1:
            continue  # a new message
        older, newer = (
            {f["name"]: f["type"] for f in entries[n].schema["fields"]}  # type: ignore[index,union-attr,call-overload]
            for n in (version - 1, version)
        )
        assert [*newer][: len(older)] == [*older]
        assert _without_docs({name: newer[name] for name in older}) == (
            _without_docs(older).replace(f"v{version - 1}.", f"v{version}.")
        )


def _without_docs(types: Any) -> str:
    """Return types as text without descriptions, which may change."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if k != "doc"}
        return [clean(v) for v in value] if isinstance(value, list) else value

    return json.dumps(clean(types))


def test_what_is_no_message_is_not_encoded() -> None:
    """Only messages of the registry can be written."""
    with pytest.raises(KeyError):
        codec.encode("text")


@EACH
def test_a_message_can_be_shown_as_json(cls: type[Any]) -> None:
    """People see any message as JSON, bytes as base64."""
    shown = codec.to_json(example(cls))
    assert shown == json.loads(json.dumps(shown))
    assert set(shown) == set(cls.__struct_fields__)


def test_a_type_name_is_that_of_the_message_and_of_its_class() -> None:
    """The full name is the same for a message and for its class."""
    cls = registry.CLASSES[0]
    assert codec.type_name(cls) == codec.type_name(example(cls))
    assert codec.type_name(cls) == "flightlog.v2.CreateExecution"

"""Golden bytes: what was once written is read for ever.

UPDATE_GOLDEN=1 writes what is missing: released bytes stay as they are.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastavro import schemaless_writer

from schemas.wire import codec, registry
from tests.support.messages import example

FOLDER = Path(__file__).parent / "avro"
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"


def _path(cls: type[Any], version: int) -> Path:
    return FOLDER / f"{cls.__name__}.v{version}.bin"


@pytest.mark.parametrize("cls", registry.CLASSES, ids=lambda cls: cls.__name__)
def test_released_bytes_are_read_and_written_as_ever(cls: type[Any]) -> None:
    """The bytes of a release are that message still, and are written the same."""
    message, path = example(cls), _path(cls, registry.ENGINE.newest(cls))
    if UPDATES and not path.exists():
        FOLDER.mkdir(exist_ok=True)
        path.write_bytes(codec.encode(message))
    released = path.read_bytes()
    assert message == codec.decode(released)
    assert released == codec.encode(message)


@pytest.mark.parametrize("entry", registry.ENGINE.entries, ids=lambda entry: entry.name)
def test_bytes_of_every_version_keep_what_they_say(entry: registry.Entry) -> None:
    """What an older version's bytes say is all there when they are read today."""
    released = _path(entry.cls, entry.version).read_bytes()
    message = codec.decode(released)
    assert isinstance(message, entry.cls)
    said, fields = io.BytesIO(), msgspec.to_builtins(message, builtin_types=(bytes,))
    schemaless_writer(said, entry.schema, fields)
    assert codec.MARKER + entry.fingerprint + said.getvalue() == released


def test_no_golden_bytes_lie_around_unread() -> None:
    """Each file of golden bytes belongs to a message."""
    expected = {
        _path(entry.cls, entry.version).name for entry in registry.ENGINE.entries
    }
    assert expected == {path.name for path in FOLDER.iterdir()}

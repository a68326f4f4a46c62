"""Golden bytes: what was once written is read for ever.

UPDATE_GOLDEN=1 writes them anew: for new messages only, as released ones stay.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from schemas import codec, registry
from tests.support.messages import example

FOLDER = Path(__file__).parent / "avro"
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"


def _path(cls: type[Any]) -> Path:
    return FOLDER / f"{cls.__name__}.v{registry.VERSION}.bin"


@pytest.mark.parametrize("cls", registry.CLASSES, ids=lambda cls: cls.__name__)
def test_released_bytes_are_read_and_written_as_ever(cls: type[Any]) -> None:
    """The bytes of a release are that message still, and are written the same."""
    message = example(cls)
    if UPDATES:
        FOLDER.mkdir(exist_ok=True)
        _path(cls).write_bytes(codec.encode(message))
    released = _path(cls).read_bytes()
    assert message == codec.decode(released)
    assert released == codec.encode(message)


def test_no_golden_bytes_lie_around_unread() -> None:
    """Each file of golden bytes belongs to a message."""
    expected = {_path(cls).name for cls in registry.CLASSES}
    assert expected == {path.name for path in FOLDER.iterdir()}

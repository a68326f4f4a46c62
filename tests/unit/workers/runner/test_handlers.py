"""The table of handlers: each kind of dispatch has one."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from schemas.messages.dispatches import DispatchMessage
from workers.runner.handlers import DispatchHandlers


def test_every_kind_of_dispatch_has_a_handler() -> None:
    """The type checker doesn't see a missing entry."""
    parts = {field.name: None for field in fields(DispatchHandlers)}

    table = DispatchHandlers(**parts).by_kind()
    assert table.keys() == set(get_args(DispatchMessage))

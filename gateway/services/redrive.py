"""Requests to redrive dead letters: what is asked, and of whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

PATH = "/flightlog/dead-letters/redrive"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be put back: executions' streams, letters' ids; and by whom."""

    streams: Sequence[str] = ()
    letters: Sequence[str] = ()
    principal: str = ""


Redrive = Callable[[Asked], Awaitable[Mapping[str, Any]]]
"""Puts dead letters back on the engine's log, and tells what became of them."""

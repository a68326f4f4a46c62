"""Requests to redrive dead letters, and the function that answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

PATH = "/flightlog/dead-letters/redrive"


class RedriveBody(
    msgspec.Struct, frozen=True, kw_only=True, rename={"dead_letters": "letters"}
):
    """What to redrive, and for whom, as JSON: `dead_letters` are ids, as "letters".

    `streams` are those of executions.
    """

    streams: Sequence[str] = ()
    dead_letters: Sequence[str] = ()
    principal: str = ""


Redrive = Callable[[RedriveBody], Awaitable[Mapping[str, Sequence[str]]]]
"""Redrives dead letters; returns ids of dead letters and streams by their outcome."""

"""The envelope: what every message on the log carries around its body."""

from __future__ import annotations

import msgspec


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Who, what, when and why of one message.

    `sequence` is the event's place in its stream, from 1; 0 for all that is no event.
    `causation` is the id of the message that led here, `correlation` the stream of the
    root execution. `reply` asks for exactly one outcome.
    """

    id: str
    type: str
    stream: str
    sequence: int = 0
    correlation: str = ""
    causation: str = ""
    actor: str = ""
    recorded_at_us: int = 0
    reply: bool = False
    traceparent: str = ""

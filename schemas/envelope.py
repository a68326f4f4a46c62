"""The envelope: what every message on the log has around its body."""

from __future__ import annotations

import msgspec


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Sender, type, time and cause of a message.

    `sequence` is an event's place in its stream, from 1, and 0 for other messages.
    `causation` is the id of the message that caused this one, `correlation` the stream
    of the root execution. `reply` asks for exactly one outcome.
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

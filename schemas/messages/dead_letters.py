"""Dead letters: messages that could not be read or handled, and their redriving."""

from __future__ import annotations

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A command or dispatch that could not be read or handled, as it was sent.

    `topic`, `partition` and `position` are its place on the log, `error` is why it
    is one, `body` its original bytes; the rest is its key and envelope. `answered` is
    the stream that was told by a command that this one failed: it isn't redriven.
    """

    topic: str
    partition: int
    position: int
    key: str
    error: str
    id: str
    type: str
    stream: str
    correlation: str
    causation: str
    actor: str
    sent_at_us: int
    traceparent: str
    occurred_at_us: int
    body: bytes
    answered: str = ""


class DeadLetterRedriven(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter was sent again to the topic that it came from."""

    letter: str
    principal: str
    occurred_at_us: int


DeadLetterMessage = DeadLetter | DeadLetterRedriven

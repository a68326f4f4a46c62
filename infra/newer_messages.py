"""Messages that a newer version wrote: which ones a partition waits with."""

from __future__ import annotations

from typing import Protocol

import msgspec


class NewerMessage(msgspec.Struct, frozen=True):
    """A message that only processes which know its format level can read."""

    name: str
    level: int


class NewerMessages(Protocol):
    """What is known of messages that this version can't read."""

    async def find(self, fingerprint: str) -> NewerMessage | None:
        """Return the message of a schema; None if no version announced that one.

        Raises TransientError while that can't be found out.
        """
        ...

    async def has_reader(self, message: NewerMessage) -> bool:
        """Return whether another process of this role runs that can read a message.

        Raises TransientError while that can't be found out.
        """
        ...


class _Nothing:
    async def find(self, _fingerprint: str) -> NewerMessage | None:
        return None

    async def has_reader(self, _message: NewerMessage) -> bool:
        return False


NOTHING_NEWER: NewerMessages = _Nothing()
"""Where there is no version gate, nothing is announced."""

"""Output that may be lost: its reader has gone, its terminal is closed, a disk full."""

from __future__ import annotations

import errno
import os
from typing import TextIO

_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})


class LossyStream:
    """A text stream that never raises: what can't be written is lost, nothing else.

    An engine goes on without the reader of what it prints.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream, as long as it can be written to."""
        self._stream = stream

    @property
    def encoding(self) -> str:
        """Return the stream's encoding."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Write a text, or lose it."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush what was written, or lose it."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def isatty(self) -> bool:
        """Return whether a person reads it."""
        return not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._stream.fileno()

    def _give_up(self, error: OSError | ValueError) -> None:
        if isinstance(error, OSError) and error.errno in _GONE:
            self.discard()

    def discard(self) -> None:
        """Let what is buffered go nowhere: Python would fail at its exit."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._stream.fileno())
        except (OSError, ValueError):
            return  # it has no descriptor
        finally:
            os.close(nowhere)

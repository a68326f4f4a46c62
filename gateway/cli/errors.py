"""How commands fail: one line on standard error, and an exit code that tells."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_ENGINE = 3


class CommandError(Exception):
    """A command can't do what was asked; its text is for the user."""

    def __init__(self, text: str, code: ExitCode = ExitCode.FAILED) -> None:
        """Keep the words and the exit code."""
        super().__init__(text)
        self.code = code

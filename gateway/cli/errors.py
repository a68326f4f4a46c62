"""Errors of commands: one line on standard error, and an exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_ENGINE = 3
    INTERRUPTED = 130


class CommandError(Exception):
    """A command failed; its text is for the user."""

    def __init__(self, text: str, code: ExitCode = ExitCode.FAILED) -> None:
        """Keep the text and the exit code."""
        super().__init__(text)
        self.code = code

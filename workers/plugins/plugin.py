"""What a plugin is: it runs one attempt of a task, and can stop it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from schemas.dispatches import RunTask
from schemas.values import Failure, TaskLog, Values


class Succeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt ended well."""

    outputs: Values
    deck_uri: str = ""
    logs: tuple[TaskLog, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt failed; a recoverable failure may be tried again."""

    failure: Failure
    recoverable: bool
    logs: tuple[TaskLog, ...] = ()


Result = Succeeded | Failed
Started = Callable[[tuple[TaskLog, ...]], Awaitable[None]]


class Plugin(Protocol):
    """Runs attempts. Each call is idempotent by the dispatch's attempt."""

    async def run(self, dispatch: RunTask, prefix: str, started: Started) -> Result:
        """Run an attempt to its end, writing below `prefix`.

        `started` is awaited once the work has begun. Cancelling the call stops the
        work: everything it started is gone when the cancellation comes out.
        """
        ...


def failed(code: str, message: str, kind: str = "USER") -> Failed:
    """Return a permanent failure."""
    return Failed(
        failure=Failure(code=code, message=message, kind=kind), recoverable=False
    )

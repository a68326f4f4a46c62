"""The plugin interface: what runs one attempt of a task, and can stop it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from domain.text_limits import cut
from infra.errors import PermanentError
from schemas.ids import EntityRef, attempt_id
from schemas.messages.dispatches import ResolveInputs, RunTask
from schemas.values import Blob, ErrorKind, Failure, TaskLog, Values

_ERROR_MAX = 10_000
"""Bytes kept of an unexpected error, which may repeat what the work was given."""


MayStart = Callable[[], Awaitable[None]]
"""Returns once work may be started: not while others may have been given it."""


async def _may_start() -> None:
    """Start at once."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One dispatch of a task, and the absolute addresses that belong to it.

    All runs of the attempt share its checkpoint, so that it outlives a lost runner. A
    plugin awaits `may_start` when it has waited for something, before it starts it.
    """

    dispatch: RunTask
    input_uri: str
    output_prefix: str
    raw_output_prefix: str
    checkpoint: str
    previous_checkpoint: str | None = None
    may_start: MayStart = _may_start

    @property
    def key(self) -> str:
        """Return the idempotency key of the calls of a plugin."""
        d = self.dispatch
        return f"{attempt_id(d.stream, d.node_id, d.attempt)}/{d.dispatch_no}"


def element_index(dispatch: RunTask) -> int | None:
    """Return the index of an array's element that gets the whole lists; else None."""
    return dispatch.array_index if dispatch.array_index >= 0 else None


def inline_max(dispatch: RunTask | ResolveInputs, configured: int) -> int:
    """Return how many bytes of values are reported inline, at most as configured."""
    wanted = dispatch.inline_max
    return configured if wanted < 0 else min(configured, wanted)


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The work is running. Its deck will be at `deck_uri`, if it generates one."""

    logs: tuple[TaskLog, ...] = ()
    deck_uri: str | None = None


class Succeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt succeeded."""

    outputs: Values
    deck_uri: str | None = None
    logs: tuple[TaskLog, ...] = ()


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt of a dynamic task succeeded and generated a workflow.

    `closure` is the blob of its compiled admin.WorkflowClosure.
    """

    workflow: EntityRef
    closure: Blob
    spec_uri: str
    deck_uri: str | None = None
    logs: tuple[TaskLog, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt failed; a recoverable failure may be retried.

    `exit_code` is that of its process, negative for a signal, if one has exited.
    """

    failure: Failure
    recoverable: bool
    logs: tuple[TaskLog, ...] = ()
    deck_uri: str | None = None
    exit_code: int | None = None


Result = Succeeded | Expanded | Failed


class Plugin(Protocol):
    """Runs attempts. Each call may be repeated: it is idempotent by the work's key."""

    async def start(self, work: Work) -> Started | Failed:
        """Start the work, or find that it was started; may wait for a free slot."""
        ...

    async def watch(self, work: Work) -> Result:
        """Wait until started work ends. Cancelling this leaves the work running."""
        ...

    async def abort(self, work: Work) -> None:
        """Stop the work: nothing that it started is left on return."""
        ...

    async def finalize(self, work: Work) -> None:
        """Release what the work held; called once it has ended, in whatever way."""
        ...


def permanent_failure(
    code: str, message: str, kind: ErrorKind = ErrorKind.USER
) -> Failed:
    """Return a failure that is not retried."""
    failure = Failure(code=code, message=message, kind=kind)
    return Failed(failure=failure, recoverable=False)


def system_retryable_failure(code: str, message: str) -> Failed:
    """Return a failure of the system, which costs the user no retry."""
    failure = Failure(code=code, message=message, kind=ErrorKind.SYSTEM)
    return Failed(failure=failure, recoverable=True)


def unexpected_failure(error: Exception) -> Failed:
    """Return the failure of work during which the runner or a plugin raised this.

    A result that the log can't store is the same the next time, and isn't retried.
    """
    if isinstance(error, PermanentError):
        message = cut(
            f"Expected a result that can be reported, but: {error}", _ERROR_MAX
        )
        return permanent_failure("ResultNotReported", message)
    message = cut(f"Unexpected error in the runner: {error!r}", _ERROR_MAX)
    return system_retryable_failure("PluginFailure", message)

"""What a plugin is: it runs one attempt of a task, and can stop it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from schemas.ids import EntityRef, attempt_id
from schemas.messages.dispatches import RunTask
from schemas.values import Blob, Failure, TaskLog, Values


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One dispatch to carry out, and the whole addresses that are its own.

    The checkpoint's is shared by all runs of the attempt: it outlives a lost runner.
    """

    dispatch: RunTask
    input_uri: str
    output_prefix: str
    raw_output_prefix: str
    checkpoint: str
    previous_checkpoint: str = ""

    @property
    def key(self) -> str:
        """Return what the calls of a plugin are idempotent by."""
        d = self.dispatch
        return f"{attempt_id(d.stream, d.node_id, d.attempt)}/{d.dispatch_no}"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The work is under way; its logs can be read, and its deck once it is there."""

    logs: tuple[TaskLog, ...] = ()
    deck_uri: str = ""


class Succeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt ended well."""

    outputs: Values
    deck_uri: str = ""
    logs: tuple[TaskLog, ...] = ()


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt ended well, and made a workflow: `inside` is it compiled."""

    workflow: EntityRef
    inside: Blob
    spec_uri: str
    deck_uri: str = ""
    logs: tuple[TaskLog, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt failed; a recoverable failure may be tried again.

    `exit_code` is what its process ended with, negative for a signal.
    """

    failure: Failure
    recoverable: bool
    logs: tuple[TaskLog, ...] = ()
    deck_uri: str = ""
    exit_code: int = 0


Result = Succeeded | Expanded | Failed


class Plugin(Protocol):
    """Runs attempts. Each call may be repeated: it is idempotent by the work's key."""

    async def start(self, work: Work) -> Begun | Failed:
        """Begin the work, or find that it has begun; may wait for a free slot."""
        ...

    async def watch(self, work: Work) -> Result:
        """Wait for the end of begun work. Cancelling leaves the work running."""
        ...

    async def abort(self, work: Work) -> None:
        """Stop the work: nothing that it started is left on return."""
        ...

    async def finalize(self, work: Work) -> None:
        """Release whatever the work held; called once it has ended, however."""
        ...


def failed(code: str, message: str, kind: str = "USER") -> Failed:
    """Return a permanent failure."""
    return Failed(
        failure=Failure(code=code, message=message, kind=kind), recoverable=False
    )


def interrupted(code: str, message: str) -> Failed:
    """Return a failure of the system, for which the task isn't to blame."""
    return Failed(
        failure=Failure(code=code, message=message, kind="SYSTEM"), recoverable=True
    )

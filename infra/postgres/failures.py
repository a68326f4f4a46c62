"""What an error of Postgres means, by its SQLSTATE: an outage, or a row's own fault.

Classes of Python don't say it: psycopg's OperationalError is an unreachable server as
well as a value that no index can hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import TypeVar

import psycopg
from eventsourcing import persistence

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Dependency, TransientError
from infra.retry import RETRY_S, retry_transient

_T = TypeVar("_T")
LibraryError = persistence.PersistenceError
"""The errors of `eventsourcing`; psycopg's are their causes."""


class Failure(Enum):
    """What failed."""

    OUTAGE = auto()
    """The server can't be reached, is busy, full or shutting down: wait."""
    ROW = auto()
    """The values can't be stored, whatever the server's state: don't repeat it."""
    DEFECT = auto()
    """The statement, the schema or the server is wrong."""


_CLASS_SIZE = 2
_BY_CLASS = {
    "08": Failure.OUTAGE,  # connection exception
    "40": Failure.OUTAGE,  # transaction rollback: deadlocks, serialization failures
    "53": Failure.OUTAGE,  # insufficient resources: disk, memory, connections
    "57": Failure.OUTAGE,  # operator intervention: shutdown, cancel
    "58": Failure.OUTAGE,  # system error: I/O
    "22": Failure.ROW,  # data exception
    "23": Failure.ROW,  # integrity constraint violation
    "54": Failure.ROW,  # program limit exceeded: too long for an index, too large
}
_BY_STATE = {
    "25006": Failure.OUTAGE,  # read-only transaction: a server that was demoted
    "25P03": Failure.OUTAGE,  # the session was idle in a transaction for too long
    "25P04": Failure.OUTAGE,  # the transaction took too long
    "55P03": Failure.OUTAGE,  # lock not available
}
# Errors without a SQLSTATE are the client's: the server has said nothing.
_ROWS = (psycopg.DataError, persistence.DataError, persistence.IntegrityError)
_DEFECTS = (
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
    persistence.ProgrammingError,
    persistence.NotSupportedError,
)


def failure_of(error: psycopg.Error | LibraryError) -> Failure:
    """Return what an error means."""
    cause = error.__cause__ if isinstance(error, LibraryError) else error
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if state is not None:
        found = _BY_STATE.get(state) or _BY_CLASS.get(state[:_CLASS_SIZE])
        return found or Failure.DEFECT
    if isinstance(error, _ROWS):
        return Failure.ROW
    return Failure.DEFECT if isinstance(error, _DEFECTS) else Failure.OUTAGE


def unreachable(error: Exception | str) -> TransientError:
    """Return the error of a Postgres that can't be reached, is full or is busy."""
    return TransientError(f"Cannot reach Postgres: {error}", of=Dependency.POSTGRES)


@contextmanager
def outages_are_transient() -> Iterator[None]:
    """Raise TransientError if Postgres can't be reached, is full or is busy."""
    try:
        yield
    except (psycopg.Error, LibraryError) as error:
        if failure_of(error) is not Failure.OUTAGE:
            raise
        raise unreachable(error) from error


async def retry_outages(
    action: Callable[[], Awaitable[_T]],
    event: str,
    retry_s: float = RETRY_S,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> _T:
    """Return the result of an action, repeated while Postgres can't be reached."""

    async def attempt() -> _T:
        with outages_are_transient():
            return await action()

    return await retry_transient(attempt, event, retry_s, clock=clock)

"""What errors of Postgres mean: by their SQLSTATE, else by their class."""

from __future__ import annotations

import psycopg
import pytest
from eventsourcing import persistence
from psycopg import errors
from psycopg_pool import PoolTimeout

from infra.errors import TransientError
from infra.postgres.failures import Failure, failure_of, outages_are_transient

OUTAGES = (
    errors.ConnectionFailure,
    errors.DeadlockDetected,
    errors.DiskFull,
    errors.TooManyConnections,
    errors.LockNotAvailable,
    errors.AdminShutdown,
    errors.IoError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    persistence.OperationalError,
    persistence.InterfaceError,
)
ROWS = (
    errors.NumericValueOutOfRange,
    errors.NotNullViolation,
    errors.ProgramLimitExceeded,
    psycopg.DataError,
    persistence.DataError,
)
DEFECTS = (
    errors.UndefinedTable,
    errors.ObjectInUse,
    errors.DataCorrupted,
    psycopg.ProgrammingError,
)


@pytest.mark.parametrize("error", OUTAGES)
def test_outages_are_waited_for(error: type[Exception]) -> None:
    """The same statement may work later."""
    found = pytest.raises(TransientError, match="Cannot reach Postgres")
    with found, outages_are_transient():
        raise error


@pytest.mark.parametrize(
    ("kinds", "failure"), [(ROWS, Failure.ROW), (DEFECTS, Failure.DEFECT)]
)
def test_other_failures_are_raised(
    kinds: tuple[type[psycopg.Error], ...], failure: Failure
) -> None:
    """Waiting doesn't help: neither what no row holds, nor a wrong statement."""
    for kind in kinds:
        assert failure_of(kind()) is failure
        with pytest.raises(kind), outages_are_transient():
            raise kind


def test_the_state_counts_not_the_class_of_the_library() -> None:
    """It calls a value that no index holds an operational error, as psycopg does."""
    error = persistence.OperationalError()
    error.__cause__ = errors.ProgramLimitExceeded()

    assert isinstance(error.__cause__, psycopg.OperationalError)
    assert failure_of(error) is Failure.ROW

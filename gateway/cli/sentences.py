"""What an error tells a user: one sentence, or one JSON line where logs are JSON."""

from __future__ import annotations

import msgspec
import psycopg
import typer

from infra.errors import InfraError
from infra.postgres.failures import Failure, failure_of
from infra.postgres.usable import one_line

_NO_TABLE = "42P01"
_REFUSALS = ("28", "3D", "3F", "25006", "42501")
"""SQLSTATEs, or classes of them, of what an operator may not do or hasn't created."""


def sentence(error: BaseException) -> str | None:
    """Return what an error tells; None for one that is a defect."""
    if isinstance(error, psycopg.Error):
        if (error.sqlstate or "").startswith(_REFUSALS):
            return f"Expected Postgres to accept this, but: {one_line(error)}"
        if error.sqlstate == _NO_TABLE:
            return "Expected the data of an engine in this Postgres, but there is none"
        is_outage = failure_of(error) is Failure.OUTAGE
        return f"Cannot reach Postgres: {one_line(error)}" if is_outage else None
    if isinstance(error, OSError) and error.strerror is not None:
        where = f" {error.filename}" if error.filename is not None else " this"
        return f"Cannot use{where}: {error.strerror}"
    return str(error) if isinstance(error, InfraError) else None


def complain(text: str, *, as_json: bool = False) -> None:
    """Print on standard error why a command ends."""
    if as_json:
        line = {"event": text, "level": "error"}
        text = msgspec.json.encode(line).decode()
    typer.echo(text, err=True)

"""What a start needs of this machine and of the settings, checked before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog

from infra.blobs.addresses import SCHEME
from infra.errors import PermanentError
from infra.settings import Settings

log_ = structlog.get_logger(__name__)


def check_python(settings: Settings) -> None:
    """Raise PermanentError if there is no Python to run tasks with."""
    python = settings.process.python
    if settings.plugin != "process" or shutil.which(python):
        return
    why = "it can't be executed" if Path(python).exists() else "there is none"
    raise PermanentError(
        f"Expected a Python at '{python}' (FLIGHTLOG_PROCESS__PYTHON), but {why}"
    )


def check_blobs(settings: Settings) -> None:
    """Raise PermanentError if the blob store can't be one."""
    where = settings.blobs
    bucket = where.removeprefix(SCHEME).partition("/")[0]
    if where.startswith(SCHEME) and bucket:
        return
    if "://" in where or where.startswith("s3:"):
        raise PermanentError(
            "Expected a folder or s3://bucket/prefix in FLIGHTLOG_BLOBS, "
            f"but got '{where}'"
        )


def check_shared(settings: Settings, *, stores_blobs: bool = True) -> None:
    """Raise PermanentError, naming what must be set, if roles can't run with these.

    A folder can be shared, but only if it is the same one on every host.
    """
    needed = {
        "FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "FLIGHTLOG_POSTGRES": settings.postgres,
    }
    if stores_blobs:
        needed["FLIGHTLOG_BLOBS"] = settings.blobs
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise PermanentError(
            f"Expected {_listed(missing)} to be set, as roles share them, but "
            "nothing is; 'flightlog up' needs none of them"
        )
    check_blobs(settings)
    if stores_blobs and not settings.blobs.startswith(SCHEME):
        log_.warning(
            "blobs_in_folder",
            folder=settings.blobs,
            hint="every role, task and client must see this folder under this path",
        )


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last

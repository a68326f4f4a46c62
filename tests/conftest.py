"""Where a run of the tests keeps its folders, and what it tells at its beginning."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import structlog

from schemas.wire import codec
from tests.support.components import containers

_HERE = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]


def pytest_configure() -> None:
    """Check what is encoded; give each clone a root of its own for its folders.

    pytest shuts the root to others whenever a run begins: engines of another clone's
    run, whose Postgres is a user of its own, would lose their data under their feet.
    """
    codec.ENGINE.checks_encoding = True
    _log_exceptions_briefly()
    root = Path(tempfile.gettempdir()) / f"flightlog-tests-{_HERE}"
    root.mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(root))


def _log_exceptions_briefly() -> None:
    """Log exceptions without local variables: rich takes seconds for a workflow's."""
    *others, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*others, renderer])


def pytest_report_header() -> str:
    """Tell where Postgres, Kafka and MinIO are, unless the environment gives them."""
    where = "containers" if containers.available() else "processes started here"
    return f"components: {where}"

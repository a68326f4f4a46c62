"""Where a run of the tests keeps its folders, and what it tells at its beginning."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from infra import logging_setup
from schemas.wire import codec
from tests.support.components import containers

_HERE = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]


def pytest_configure() -> None:
    """Check what is encoded; give each clone a root of its own for its folders.

    pytest shuts the root to others whenever a run begins: engines of another clone's
    run, whose Postgres is a user of its own, would lose their data under their feet.
    """
    codec.ENGINE.checks_encoding = True
    logging_setup.CACHES_LOGGERS = False
    _log_exceptions_briefly()
    root = Path(tempfile.gettempdir()) / f"flightlog-tests-{_HERE}"
    root.mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(root))


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Restore logging: commands that run in a test's own process configure it."""
    before, root = structlog.get_config(), logging.getLogger()
    level, handlers = root.level, set(root.handlers)
    yield
    structlog.configure(**before)
    root.setLevel(level)
    for handler in set(root.handlers) - handlers:
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)


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

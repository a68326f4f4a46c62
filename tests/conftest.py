"""Where a run of the tests keeps its folders, and what it tells at its beginning."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from schemas.wire import codec
from tests.support.components import containers

_HERE = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]


def pytest_configure() -> None:
    """Check what is encoded; give each clone a root of its own for its folders.

    pytest shuts the root to others whenever a run begins: engines of another clone's
    run, whose Postgres is a user of its own, would lose their data under their feet.
    """
    codec.ENGINE.checks_encoding = True
    root = Path(tempfile.gettempdir()) / f"flightlog-tests-{_HERE}"
    root.mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(root))


def pytest_report_header() -> str:
    """Tell where Postgres, Kafka and MinIO are, unless the environment gives them."""
    where = "containers" if containers.available() else "processes started here"
    return f"components: {where}"
